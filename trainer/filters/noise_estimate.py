"""How noisy a channel is, told from the channel itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, optimize
from scipy.special import ndtri

from trainer.filters.clipping import clipped_moments, is_clipped

#: Immerkaer, "Fast noise variance estimation", CVIU 64 (1996): blind to planes and edges.
_KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_KERNEL_NORM = float(np.sqrt((_KERNEL**2).sum()))
#: Share of a bin's residuals below the one whose size tells their standard deviation. The median
#: is the most robust, but of a background cut off at 0 it tells 9 % too little.
_SHARE, _SHARE_CLIPPED = 0.5, 0.8
#: Local means are taken over this side, px, and pixels gathered in this many bins of them.
_WINDOW_PX, _N_BINS = 7, 24
#: The fit's grid of true levels.
_LEVELS = np.linspace(0.0, 255.0, 256)


@dataclass(frozen=True)
class NoiseModel:
    """variance = gain * level + sigma^2, before any clipping."""

    #: Grey levels a photon makes: shot noise.
    gain_grey_levels: float = 0.0
    #: Standard deviation of the read noise, grey levels.
    sigma_grey_levels: float = 0.0
    #: Whether the image was clipped to 0..255 after the noise came in.
    clipped: bool = False

    def sigma_at(self, level: np.ndarray | float) -> np.ndarray:
        """Standard deviation of the noise at a true level, grey levels."""
        shot = self.gain_grey_levels * np.maximum(level, 0.0)
        result: np.ndarray = np.sqrt(shot + self.sigma_grey_levels**2)
        return result


def estimate_noise(image_HW: np.ndarray) -> NoiseModel:
    """Shot and read noise of one channel, fitted to its local variances.

    Pixels are binned by local mean; the variance of each bin is the robust one of a high-pass
    residual, which leaves out edges and impulses. Gain and sigma are fitted to the bins
    through the moments of clipping where the image was clipped, because clipping takes away
    most of the variance of a dark background. Noise correlated between neighbours is
    underestimated.
    """
    image_HW = np.asarray(image_HW, np.float32)
    clipped = is_clipped(image_HW)
    mean, variance, weight = _binned(image_HW, _SHARE_CLIPPED if clipped else _SHARE)
    if not (variance > 0).any():
        return NoiseModel(0.0, 0.0, clipped)
    # Means below 0 have no shot noise, and the grid begins at 0.
    start_sigma = np.sqrt(np.median(variance))
    largest = max(float(mean.max()), 1.0)
    floor = 1e-4 * variance.max() + 1e-6

    def residuals(parameters: np.ndarray) -> np.ndarray:
        gain, sigma = parameters
        if clipped:
            expected = _clipped_variance(mean, gain, sigma)
        else:
            expected = gain * np.maximum(mean, 0.0) + sigma**2
        # A variance's error is a share of itself: compare logarithms.
        misfit: np.ndarray = weight * (np.log(expected + floor) - np.log(variance + floor))
        return misfit

    starts = [(1e-3 * start_sigma, start_sigma), (start_sigma**2 / max(mean.mean(), 1.0), 0.1)]
    upper = [10 * start_sigma**2 + 100.0, 10 * start_sigma + 100.0]
    fits = [
        optimize.least_squares(residuals, start, bounds=([0, 0], upper), loss="soft_l1")
        for start in starts
    ]
    gain, sigma = min(fits, key=lambda fit: fit.cost).x
    # A gain that the whole range of levels does not show is nothing.
    if gain * largest < 1e-3 * sigma**2:
        gain = 0.0
    return NoiseModel(float(gain), float(sigma), clipped)


def estimate_sigma(image_HW: np.ndarray) -> float:
    """One standard deviation for the whole channel, grey levels: that at its mean level."""
    model = estimate_noise(image_HW)
    return float(model.sigma_at(float(np.mean(image_HW))))


def _binned(image_HW: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean level, noise variance and weight of each bin of pixels of like local mean."""
    residual = ndimage.convolve(image_HW, _KERNEL, mode="reflect") / _KERNEL_NORM
    mean_HW = ndimage.uniform_filter(image_HW, _WINDOW_PX, mode="reflect")
    order = np.argsort(mean_HW, axis=None)
    n_bins = int(np.clip(order.size // 200, 1, _N_BINS))
    in_sigmas = float(ndtri(0.5 + share / 2))
    rows = []
    for part in np.array_split(order, n_bins):
        spread = float(np.quantile(np.abs(residual.ravel()[part]), share)) / in_sigmas
        rows.append((float(mean_HW.ravel()[part].mean()), spread**2, np.sqrt(part.size)))
    mean, variance, weight = (np.array(column) for column in zip(*rows, strict=True))
    return mean, variance, weight / weight.max()


def _clipped_variance(observed_mean: np.ndarray, gain: float, sigma: float) -> np.ndarray:
    """Variance after clipping of the levels whose clipped means are the observed ones."""
    mean, variance = clipped_moments(_LEVELS, np.sqrt(gain * _LEVELS + sigma**2))
    mean = np.maximum.accumulate(mean + 1e-9 * np.arange(mean.size))
    return np.interp(observed_mean, mean, variance)
