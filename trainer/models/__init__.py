"""The networks: a denoiser, a classifier, and both in one model."""

from trainer.models.blocks import batch_norm_layers
from trainer.models.initial import initial_draws
from trainer.models.joint import build_model

__all__ = ["batch_norm_layers", "build_model", "initial_draws"]
