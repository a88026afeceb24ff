"""Metrics as pure NumPy functions, each tested against an independent reference."""

from trainer.metrics.image import (
    mean_bias_grey_levels,
    psnr_db,
    scale_invariant_psnr_db,
    ssim,
)

__all__ = ["mean_bias_grey_levels", "psnr_db", "scale_invariant_psnr_db", "ssim"]
