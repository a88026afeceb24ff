"""The generalised Anscombe transform, and filters behind it.

Shot noise grows with the signal; filters for Gaussian noise take it as constant. The
transform makes its standard deviation 1 at every level, approximately, for any mixture of
shot and read noise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from trainer.errors import PlatewiseError
from trainer.filters.clipping import declip
from trainer.filters.impulses import switching_median
from trainer.filters.noise_estimate import NoiseModel, estimate_noise
from trainer.filters.settings import (
    Bm3dSettings,
    NonLocalMeansSettings,
    SwitchingMedianSettings,
)
from trainer.filters.smooth import non_local_means_of_sigma

#: With less shot noise than this the transform has nothing to stabilise, grey levels a photon.
_NO_GAIN = 1e-4
_NO_SIGMA = 1e-3


def forward(image: np.ndarray, noise: NoiseModel) -> np.ndarray:
    """Generalised Anscombe transform: 2 / a * sqrt(a z + 3/8 a^2 + s^2), noise of sigma 1.

    Makitalo and Foi, "Optimal inversion of the generalized Anscombe transformation for
    Poisson-Gaussian noise", IEEE TIP 22 (2013), eq. 3, with gain a, sigma s and offset 0.
    """
    gain, sigma = noise.gain_grey_levels, noise.sigma_grey_levels
    inside = gain * np.asarray(image, np.float64) + 0.375 * gain**2 + sigma**2
    transformed: np.ndarray = 2.0 / gain * np.sqrt(np.maximum(inside, 0.0))
    return transformed


def inverse(transformed: np.ndarray, noise: NoiseModel) -> np.ndarray:
    """Closed form of its exact unbiased inverse, grey levels, never below 0.

    The plain algebraic inverse of an average is not the average: it comes out too dark. Same
    paper, eq. 9 (the read noise only shifts the inverse of the pure Poisson transform).
    """
    gain, sigma = noise.gain_grey_levels, noise.sigma_grey_levels
    # Below this the closed form is no longer monotone; it belongs to a level of 0 photons.
    d = np.maximum(np.asarray(transformed, np.float64), 2.0 * np.sqrt(0.375))
    root = np.sqrt(1.5)
    photons = 0.25 * d**2 + 0.25 * root / d - 1.375 / d**2 + 0.625 * root / d**3 - 0.125
    level: np.ndarray = np.maximum(gain * (photons - (sigma / gain) ** 2), 0.0)
    return level


def stabilised(
    image_HW: np.ndarray,
    of_sigma: Callable[[np.ndarray, float], np.ndarray],
    noise: NoiseModel | None,
    debias: bool,
) -> np.ndarray:
    """Apply a filter for Gaussian noise behind the transform.

    Parameters
    ----------
    of_sigma
        Takes an image and the standard deviation of its noise.
    noise
        None estimates it.
    debias
        Take off the bias of clipping.
    """
    model = noise if noise is not None else estimate_noise(image_HW)
    gain, sigma = model.gain_grey_levels, model.sigma_grey_levels
    if gain <= _NO_GAIN:
        if sigma <= _NO_SIGMA:
            return image_HW
        filtered = of_sigma(image_HW, sigma)
    else:
        filtered = inverse(of_sigma(forward(image_HW, model), 1.0), model)
    filtered = filtered.astype(np.float32)
    return declip(filtered, model) if debias and model.clipped else filtered


def vst_non_local_means(
    image_HW: np.ndarray, settings: NonLocalMeansSettings, noise: NoiseModel | None
) -> np.ndarray:
    """Non-local means behind the transform."""
    if settings.sigma_grey_levels > 0:
        noise = NoiseModel(0.0, settings.sigma_grey_levels, bool(noise and noise.clipped))

    def of_sigma(image: np.ndarray, sigma: float) -> np.ndarray:
        return non_local_means_of_sigma(image, settings, sigma)

    return stabilised(image_HW, of_sigma, noise, settings.debias)


def switching_vst_non_local_means(
    image_HW: np.ndarray, settings: NonLocalMeansSettings, noise: NoiseModel | None
) -> np.ndarray:
    """Impulses first, then the rest of the noise."""
    repaired_HW = switching_median(image_HW, SwitchingMedianSettings(), noise)
    if noise is None:
        noise = estimate_noise(repaired_HW)
    return vst_non_local_means(repaired_HW, settings, noise)


def bm3d(image_HW: np.ndarray, settings: Bm3dSettings, noise: NoiseModel | None) -> Any:
    """BM3D (Dabov et al. 2007), where its package is installed.

    Raises
    ------
    PlatewiseError
        It is not.
    """
    try:
        from bm3d import bm3d as block_matching
    except ImportError as error:
        raise PlatewiseError(
            "the filter bm3d needs the package bm3d, whose licence is for non-commercial use "
            "only and which therefore does not come with Platewise: pip install bm3d, or take "
            "another filter (vst-nlm is the nearest)"
        ) from error

    def of_sigma(image: np.ndarray, sigma: float) -> np.ndarray:
        filtered: np.ndarray = block_matching(image / sigma, sigma_psd=1.0) * sigma
        return filtered

    model = noise if noise is not None else estimate_noise(image_HW)
    if settings.transform == "plain":
        sigma = float(model.sigma_at(float(image_HW.mean())))
        model = NoiseModel(0.0, sigma, model.clipped)
    return stabilised(image_HW, of_sigma, model, settings.debias)
