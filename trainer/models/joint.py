"""The joint model: denoise, then classify what the denoiser returned."""

from __future__ import annotations

import keras

from trainer.config import ModelConfig
from trainer.models.blocks import GradientShare, precision
from trainer.models.classifier import build_classifier
from trainer.models.denoiser import build_denoiser
from trainer.strict import ConfigError


def build_model(config: ModelConfig, n_classes: int) -> keras.Model:
    """Normalised image [B, H, W, C] -> dict(denoised, embedding, logits), all float32.

    ``denoised`` has the shape of the input, ``embedding`` is [B, D] and ``logits`` [B, K]. The
    parts are ``model.get_layer("denoiser")`` and ``model.get_layer("classifier")``. Without a
    denoiser, ``denoised`` is the input. H and W are free, in multiples of what the denoiser
    needs. Built from the same arguments, a model takes the ``.weights.h5`` of another.

    Parameters
    ----------
    config
        Sizes, backbone and precision.
    n_classes
        K, the number of treatments.

    Raises
    ------
    ConfigError
        Fewer than two classes, or an unknown backbone.
    """
    if n_classes < 2:
        raise ConfigError(f"a classifier needs at least 2 classes, got {n_classes}")
    with precision(config.precision):
        noisy_BHWC = keras.Input((None, None, config.n_channels), dtype="float32", name="noisy")
        denoised_BHWC = (
            build_denoiser(config)(noisy_BHWC)
            if config.denoiser
            else keras.layers.Identity(dtype="float32", name="denoiser")(noisy_BHWC)
        )
        seen_BHWC = GradientShare(
            config.task_gradient_share, dtype="float32", name="task_gradient"
        )(denoised_BHWC)
        classified = build_classifier(config, n_classes)(seen_BHWC)
        return keras.Model(noisy_BHWC, {"denoised": denoised_BHWC, **classified}, name="joint")
