"""Filters that average: by distance, by likeness, by total variation, by wavelets."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer.filters.clipping import declip
from trainer.filters.noise_estimate import NoiseModel, estimate_noise
from trainer.filters.settings import (
    BilateralSettings,
    GaussianSettings,
    IdentitySettings,
    NonLocalMeansSettings,
    TotalVariationSettings,
    WaveletSettings,
)

#: Noise below this is none: nothing is filtered, grey levels.
_NO_SIGMA = 1e-3


def identity(image_HW: np.ndarray, settings: IdentitySettings, noise: NoiseModel | None) -> Any:
    """The image as it is."""
    return image_HW


def gaussian(image_HW: np.ndarray, settings: GaussianSettings, noise: NoiseModel | None) -> Any:
    """Gaussian blur; borders are reflected."""
    from scipy import ndimage

    filtered_HW = ndimage.gaussian_filter(image_HW, settings.sigma_px, mode="mirror")
    return _debiased(image_HW, filtered_HW, settings.debias, noise)


def non_local_means(
    image_HW: np.ndarray, settings: NonLocalMeansSettings, noise: NoiseModel | None
) -> Any:
    """Non-local means (Buades et al. 2005) with one sigma for the whole channel."""
    sigma = _sigma(image_HW, settings.sigma_grey_levels, noise)
    if sigma <= _NO_SIGMA:
        return image_HW
    filtered_HW = non_local_means_of_sigma(image_HW, settings, sigma)
    return _debiased(image_HW, filtered_HW, settings.debias, noise)


def non_local_means_of_sigma(
    image_HW: np.ndarray, settings: NonLocalMeansSettings, sigma: float
) -> np.ndarray:
    """Non-local means for noise of a known standard deviation, in the unit of the image."""
    from skimage.restoration import denoise_nl_means

    # Its patch distances are of images around 1: values of thousands overflow its exponent.
    filtered_HW: np.ndarray = sigma * denoise_nl_means(
        image_HW.astype(np.float32) / sigma,
        patch_size=settings.patch_size_px,
        patch_distance=settings.search_distance_px,
        h=settings.cutoff_in_sigmas,
        sigma=1.0,
        fast_mode=True,
    )
    return filtered_HW


def bilateral(image_HW: np.ndarray, settings: BilateralSettings, noise: NoiseModel | None) -> Any:
    """Bilateral filter (Tomasi and Manduchi 1998)."""
    import cv2

    sigma = _sigma(image_HW, settings.sigma_grey_levels, noise)
    if sigma <= _NO_SIGMA:
        return image_HW
    diameter = 2 * int(np.ceil(2 * settings.sigma_px)) + 1
    filtered_HW = cv2.bilateralFilter(
        image_HW, diameter, settings.range_in_sigmas * sigma, settings.sigma_px
    )
    return _debiased(image_HW, filtered_HW, settings.debias, noise)


def total_variation(
    image_HW: np.ndarray, settings: TotalVariationSettings, noise: NoiseModel | None
) -> Any:
    """Total-variation denoising (Chambolle 2004)."""
    from skimage.restoration import denoise_tv_chambolle

    sigma = _sigma(image_HW, settings.sigma_grey_levels, noise)
    if sigma <= _NO_SIGMA:
        return image_HW
    filtered_HW = denoise_tv_chambolle(
        image_HW, weight=settings.weight_in_sigmas * sigma, max_num_iter=settings.iterations
    )
    return _debiased(image_HW, filtered_HW, settings.debias, noise)


def wavelet(image_HW: np.ndarray, settings: WaveletSettings, noise: NoiseModel | None) -> Any:
    """Wavelet shrinkage with BayesShrink's thresholds."""
    import pywt
    from skimage.restoration import denoise_wavelet

    deepest = pywt.dwt_max_level(min(image_HW.shape), pywt.Wavelet(settings.wavelet).dec_len)
    sigma = _sigma(image_HW, settings.sigma_grey_levels, noise)
    if sigma <= _NO_SIGMA:
        return image_HW
    filtered_HW = denoise_wavelet(
        image_HW,
        sigma=settings.strength_in_sigmas * sigma,
        wavelet=settings.wavelet,
        mode="soft",
        method="BayesShrink",
        wavelet_levels=max(1, min(settings.levels, deepest)),
        rescale_sigma=False,
    )
    return _debiased(image_HW, filtered_HW, settings.debias, noise)


def _sigma(image_HW: np.ndarray, given: float, noise: NoiseModel | None) -> float:
    """Standard deviation at the mean level: as set, as told, or estimated."""
    if given > 0:
        return given
    model = noise if noise is not None else estimate_noise(image_HW)
    return float(model.sigma_at(float(image_HW.mean())))


def _debiased(
    image_HW: np.ndarray, filtered_HW: np.ndarray, wanted: bool, noise: NoiseModel | None
) -> np.ndarray:
    if not wanted:
        return filtered_HW
    model = noise if noise is not None else estimate_noise(image_HW)
    return declip(filtered_HW, model) if model.clipped else filtered_HW
