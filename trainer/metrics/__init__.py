"""Metrics as pure NumPy functions, each tested against an independent reference."""

from trainer.metrics.image import psnr_db, ssim

__all__ = ["psnr_db", "ssim"]
