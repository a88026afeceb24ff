"""Smooth random fields: what textures, outlines and slow changes are made of."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def blur(field_HW: np.ndarray, sigma_px: float) -> np.ndarray:
    """Gaussian blur, mirrored at the border; sigma 0 returns the field itself."""
    if sigma_px < 0.05:
        return field_HW
    return ndimage.gaussian_filter(field_HW, sigma_px, mode="reflect", truncate=3.0)


def smooth_noise(rng: np.random.Generator, size_px: int, sigma_px: float) -> np.ndarray:
    """Gaussian field [H, W] of mean 0 and variance 1, correlated over ``sigma_px``.

    Slow fields are drawn on a coarse grid and interpolated: the same look, a fraction of
    the time.
    """
    step = max(1, int(sigma_px / 2))
    margin = 3  # grid points beyond each border, so that no edge is special
    coarse = -(-size_px // step) + 2 * margin
    sigma = max(sigma_px / step, 0.3)
    grid = rng.standard_normal((coarse, coarse), dtype=np.float32)
    grid = ndimage.gaussian_filter(grid, sigma, mode="wrap", truncate=3.0)
    grid *= _gain(sigma)
    if step == 1:
        return grid[margin : margin + size_px, margin : margin + size_px]
    at = margin + np.arange(size_px, dtype=np.float32) / step
    return _bilinear(_bilinear(grid, at).T, at).T


def _bilinear(grid: np.ndarray, at: np.ndarray) -> np.ndarray:
    low = at.astype(np.int64)
    weight = (at - low)[:, None]
    return grid[low] * (1 - weight) + grid[low + 1] * weight


def _gain(sigma: float) -> np.float32:
    """Restores variance 1 after a Gaussian filter of this sigma, exactly."""
    radius = int(3 * sigma + 0.5)
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    taps /= taps.sum()
    return np.float32(1 / (taps**2).sum())
