"""The denoiser: a U-Net behind a space-to-depth, that predicts what to add."""

from __future__ import annotations

import keras

from trainer.config import ModelConfig
from trainer.models.blocks import DepthToSpace, SpaceToDepth, conv


def build_denoiser(config: ModelConfig) -> keras.Model:
    """Normalised noisy image [B, H, W, C] -> denoised image of the same shape, float32.

    There are no normalisation layers, because they would shift intensities with the content
    of the minibatch. The last convolution starts at zero, so an untrained denoiser returns
    its input. It predicts the residual, which is added in float32: bfloat16 resolves about
    one grey level. H and W are free, but multiples of ``denoiser_multiple_px(config)``.
    """
    noisy_BHWC = keras.Input((None, None, config.n_channels), name="noisy")
    # An impulse in a dim channel stands a hundred of its standard deviations high; unbounded,
    # such inputs teach the network that channel and nothing of the others.
    x = keras.ops.arcsinh(noisy_BHWC)
    x = SpaceToDepth(config.space_to_depth, name="space_to_depth")(x)
    first_width, *wider = config.denoiser_widths
    x = conv(first_width, "down0_conv")(x)
    skips = []
    for level, width in enumerate(wider, start=1):
        skips.append(x)
        x = conv(width, f"down{level}_stride", stride=2)(x)
        x = conv(width, f"down{level}_conv")(x)
    for level in reversed(range(len(wider))):
        # 2 x 2 with stride 2: each output pixel has one parent, so no checkerboard of
        # overlapping windows; and a sum instead of a concatenation halves the next layer.
        x = keras.layers.Conv2DTranspose(
            config.denoiser_widths[level], 2, strides=2, name=f"up{level}_stride"
        )(x)
        x = keras.layers.Add(name=f"up{level}_add")([x, skips[level]])
        x = conv(config.denoiser_widths[level], f"up{level}_conv")(x)
    residual = keras.layers.Conv2D(
        config.n_channels * config.space_to_depth**2,
        3,
        padding="same",
        kernel_initializer="zeros",
        name="residual",
    )(x)
    residual_BHWC = DepthToSpace(config.space_to_depth, name="depth_to_space")(residual)
    denoised_BHWC = keras.layers.Add(dtype="float32", name="add")([noisy_BHWC, residual_BHWC])
    return keras.Model(noisy_BHWC, denoised_BHWC, name="denoiser")


def denoiser_multiple_px(config: ModelConfig) -> int:
    """Height and width of an image must be multiples of this, px; 1 without a denoiser."""
    return config.space_to_depth * 2 ** (len(config.denoiser_widths) - 1) if config.denoiser else 1
