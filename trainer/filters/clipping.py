"""What clipping does to the mean and the variance of noise, and how to take it off.

Noise around a dark grey level is cut off at 0, so the mean of what is left lies above the
truth: by 17 grey levels for a background of 6 and noise of sigma 50. A filter that averages
well returns that mean. Its map from true levels is known and monotone, hence invertible.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr

from trainer.schema import GREY_LEVELS

if TYPE_CHECKING:
    from trainer.filters.noise_estimate import NoiseModel

MAX_GREY_LEVEL = float(GREY_LEVELS - 1)
_ROOT_TWO_PI = np.sqrt(2 * np.pi)
#: Share of pixels at exactly 0 or 255 from which an image counts as clipped.
_CLIPPED_SHARE = 2e-3


def clipped_moments(
    level: np.ndarray, sigma: np.ndarray | float, low: float = 0.0, high: float = MAX_GREY_LEVEL
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of ``clip(level + N(0, sigma^2), low, high)``, grey levels.

    Both ends are point masses (a censored Gaussian; Foi, "Clipped noisy images", Signal
    Processing 89, 2009). Where sigma is 0 they are the level itself and 0.
    """
    level = np.asarray(level, np.float64)
    sigma = np.maximum(np.asarray(sigma, np.float64), 1e-9)
    a, b = (low - level) / sigma, (high - level) / sigma
    below, above = ndtr(a), ndtr(-b)
    inside = np.maximum(1.0 - below - above, 0.0)
    density_a, density_b = (np.exp(-0.5 * z * z) / _ROOT_TWO_PI for z in (a, b))
    # Moments about `low`, so that small variances are not lost in large squares.
    shift = level - low
    first = shift * inside + sigma * (density_a - density_b) + (high - low) * above
    second = (
        (shift**2 + sigma**2) * inside
        + sigma * (2 * shift * (density_a - density_b) + sigma * (a * density_a - b * density_b))
        + (high - low) ** 2 * above
    )
    return low + first, np.maximum(second - first**2, 0.0)


def is_clipped(image_HW: np.ndarray) -> bool:
    """Whether an image bears the marks of a camera's range: whole levels, some at its ends."""
    if image_HW.min() < 0 or image_HW.max() > MAX_GREY_LEVEL:
        return False
    ends = np.mean((image_HW == 0) | (image_HW == MAX_GREY_LEVEL))
    return bool(ends > _CLIPPED_SHARE and np.array_equal(image_HW, np.round(image_HW)))


def declip(filtered_HW: np.ndarray, noise: NoiseModel) -> np.ndarray:
    """Mean levels of a clipped image to the levels they came from, within 0..255.

    Parameters
    ----------
    filtered_HW
        What a filter that averages made of a clipped image, grey levels.
    noise
        Before clipping.
    """
    level = np.linspace(0.0, MAX_GREY_LEVEL, 1021)
    mean, _ = clipped_moments(level, noise.sigma_at(level))
    # np.interp wants a growing abscissa; where all is cut off the map is flat.
    mean = np.maximum.accumulate(mean + 1e-9 * np.arange(mean.size))
    return np.interp(filtered_HW, mean, level).astype(np.float32)
