"""The loop that trains a denoiser on patches; a killed run goes on from its last checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.checkpoint import Checkpoints
from trainer.config import OptimizerConfig
from trainer.denoiser_config import DenoiserFit
from trainer.denoising.saved import network, start_from
from trainer.errors import PlatewiseError
from trainer.losses import log_mse_db
from trainer.models import initial_draws
from trainer.neighbour_pairs import neighbour_pair
from trainer.noise import MAX_GREY_LEVEL, add_noise
from trainer.schedule import build_optimizer
from trainer.strict import digest, to_mapping

#: Gradients of larger global norm are scaled down. A decibel loss on one patch has a norm of
#: some 10, so this only catches outliers.
_CLIP_NORM = 20.0
#: How far the normaliser of a patch is from its own: log scale, and centre in scales. The whole
#: image that a patch will be part of has other moments.
_SCALE_LOG_SD, _CENTER_SD = 0.4, 0.3
_SCALE_FLOOR_GREY_LEVELS = 0.5

#: Squared error below which nothing is left to gain: 0.06 grey levels.
_LEAST_ERROR = 0.004

Tell = Callable[[int, int, float, float], None]


def fit(
    pool_NHW: np.ndarray,
    config: DenoiserFit,
    checkpoint_root: str,
    tell: Tell | None = None,
    start: str = "",
) -> keras.Model:
    """Train a network on a pool of patches.

    Parameters
    ----------
    pool_NHW
        Grey levels 0..255, sides of ``config.pool_patch_px``.
    checkpoint_root
        Checkpoints go into a folder inside it that is named by patches, configuration and the
        weights to start from.
    tell
        Called every 50 steps with steps done, steps in all, mean loss (dB) and seconds left.
    start
        Folder of a denoiser of the same architecture to go on from, or ``generic``; empty: from
        scratch.

    Raises
    ------
    PlatewiseError
        The loss is no longer finite, or there is nothing fit to start from.
    """
    with initial_draws(config.seed + 1):
        model = network(config)
        if start:
            start_from(model, start)
        optimizer = build_optimizer(_optimizer(config), config.steps)
        optimizer.build(model.trainable_variables)
    variables: list[Any] = [v.value for v in [*model.variables, *optimizer.variables]]
    parts = (pool_NHW, *(model.get_weights() if start else ()))
    sums = [float(part.sum(dtype=np.float64)) for part in parts]
    name = digest(to_mapping(config), sums, pool_NHW.shape)
    checkpoints = Checkpoints(
        f"{checkpoint_root.rstrip('/')}/{name}", variables, every_s=config.checkpoint_every_s
    )
    state = checkpoints.restore()
    done = state["step"] if state else 0
    step = _compiled_step(tf.constant(pool_NHW), model, optimizer, config)
    started_s, first, losses = time.monotonic(), done, []
    for i in range(done, config.steps):
        losses.append(float(step(tf.constant(i, tf.int32))))
        if not np.isfinite(losses[-1]):
            raise PlatewiseError(
                f"the loss became {losses[-1]} at step {i + 1}; lower peak_learning_rate"
            )
        if checkpoints.due(i + 1) or i + 1 == config.steps:
            checkpoints.save(i + 1, {})
        if tell is not None and ((i + 1) % 50 == 0 or i + 1 == config.steps):
            per_step_s = (time.monotonic() - started_s) / (i + 1 - first)
            tell(i + 1, config.steps, float(np.mean(losses)), per_step_s * (config.steps - i - 1))
            losses = []
    return model


def _optimizer(config: DenoiserFit) -> OptimizerConfig:
    return OptimizerConfig(
        peak_learning_rate=config.peak_learning_rate,
        weight_decay=1e-5,
        final_learning_rate_share=0.005,
    )


def _compiled_step(
    pool_NHW: tf.Tensor,
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    config: DenoiserFit,
) -> Callable[[tf.Tensor], tf.Tensor]:
    @tf.function(autograph=False)
    def step(number: tf.Tensor) -> tf.Tensor:
        seeds = tf.random.experimental.stateless_split(
            tf.stack([tf.constant(config.seed, tf.int32), number]), 3
        )
        patch_BHWC = _patches(pool_NHW, config, seeds[0])
        with tf.GradientTape() as tape:
            loss = _loss(model, patch_BHWC, config, seeds)
        gradients = tape.gradient(loss, model.trainable_variables)
        gradients, _ = tf.clip_by_global_norm(gradients, _CLIP_NORM)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    return step


def _patches(pool_NHW: tf.Tensor, config: DenoiserFit, seed: tf.Tensor) -> tf.Tensor:
    """Randomly cut, mirrored, turned and brightened, [B, patch, patch, 1].

    Of clean ones, half are rounded to grey levels, for so are the images that are to be kept as
    they are where they have no noise. Noisy ones are not clipped, which would bias their mean.
    """
    n, side = config.minibatch_patches, config.patch_px
    seeds = tf.random.experimental.stateless_split(seed, 5)
    chosen = tf.random.stateless_uniform((n,), seeds[0], 0, pool_NHW.shape[0], tf.int32)
    spare = pool_NHW.shape[1] - side + 1
    corner = tf.random.stateless_uniform((2,), seeds[1], 0, spare, tf.int32)
    patch_BHW = tf.gather(pool_NHW, chosen)
    patch_BHW = patch_BHW[:, corner[0] : corner[0] + side, corner[1] : corner[1] + side]
    heads = tf.random.stateless_uniform((3,), seeds[2]) < 0.5
    patch_BHW = tf.where(heads[0], patch_BHW[:, ::-1], patch_BHW)
    patch_BHW = tf.where(heads[1], patch_BHW[:, :, ::-1], patch_BHW)
    patch_BHW = tf.where(heads[2], tf.transpose(patch_BHW, (0, 2, 1)), patch_BHW)
    gain = tf.random.stateless_uniform(
        (n, 1, 1), seeds[3], config.log_gain_low, config.log_gain_high
    )
    patch_BHW *= tf.exp(gain)
    if config.target == "clean":
        patch_BHW = tf.clip_by_value(patch_BHW, 0.0, MAX_GREY_LEVEL)
        rounded = tf.random.stateless_uniform((n, 1, 1), seeds[4]) < 0.5
        patch_BHW = tf.where(rounded, tf.round(patch_BHW), patch_BHW)
    return tf.ensure_shape(patch_BHW[..., None], (n, side, side, 1))


def _denoise(model: keras.Model, noisy_BHWC: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Grey levels in and out, under a normaliser near the patch's own."""
    mean, variance = tf.nn.moments(noisy_BHWC, (1, 2), keepdims=True)
    scale = tf.maximum(tf.sqrt(variance), _SCALE_FLOOR_GREY_LEVELS)
    shift = tf.random.stateless_normal((2, tf.shape(noisy_BHWC)[0], 1, 1, 1), seed)
    center = mean + _CENTER_SD * scale * shift[0]
    scale *= tf.exp(_SCALE_LOG_SD * shift[1])
    return model((noisy_BHWC - center) / scale, training=True) * scale + center


def _loss(
    model: keras.Model, patch_BHWC: tf.Tensor, config: DenoiserFit, seeds: tf.Tensor
) -> tf.Tensor:
    if config.target == "neighbours":
        target_BHWC, noisy_BHWC = neighbour_pair(patch_BHWC, seeds[1])
    else:
        target_BHWC, noisy_BHWC = patch_BHWC, add_noise(patch_BHWC, config.noise, seeds[1])
    denoised_BHWC = _denoise(model, noisy_BHWC, seeds[2])
    return log_mse_db(denoised_BHWC, target_BHWC, floor=_LEAST_ERROR)
