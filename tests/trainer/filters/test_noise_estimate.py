"""Blind noise estimates against the noise that was put in, and against scikit-image's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.restoration import estimate_sigma as scikit_image_sigma

from trainer.denoising_benchmark.cases import gaussian, impulse
from trainer.filters.noise_estimate import NoiseModel, estimate_noise, estimate_sigma


def cells(side_px: int = 256, background: float = 6.0) -> np.ndarray:
    """Bright smooth blobs on a dark background."""
    rng = np.random.default_rng(2)
    seeds = (rng.random((side_px, side_px)) < 0.002).astype(float)
    blobs = ndimage.gaussian_filter(seeds, 7)
    return (background + 150 * blobs / blobs.max()).astype(np.float32)


def noisy(clean: np.ndarray, gain: float, sigma: float, clip: bool = False) -> np.ndarray:
    rng = np.random.default_rng(3)
    image = gain * rng.poisson(clean / gain) if gain else clean
    image = image + rng.normal(size=clean.shape) * sigma
    return np.clip(np.round(image), 0, 255) if clip else image


@pytest.mark.parametrize("sigma", [2.0, 10.0, 25.0, 50.0])
@pytest.mark.parametrize("clip", [False, True])
def test_gaussian_noise_is_found(sigma: float, clip: bool) -> None:
    image = noisy(cells(), 0.0, sigma, clip)
    found = estimate_noise(image)
    assert found.sigma_grey_levels == pytest.approx(sigma, rel=0.12, abs=0.2)
    assert found.gain_grey_levels * 60 < 0.25 * sigma**2
    assert found.clipped == (clip and sigma >= 10)
    if not clip:
        assert estimate_sigma(image) == pytest.approx(scikit_image_sigma(image), rel=0.1)


@pytest.mark.parametrize("peak", [255, 60, 15])
def test_shot_noise_is_found(peak: float) -> None:
    gain = 255 / peak
    found = estimate_noise(noisy(cells(background=12.0), gain, 0.0))
    for level in (20.0, 60.0, 120.0):
        assert found.sigma_at(level) == pytest.approx(np.sqrt(gain * level), rel=0.3)


def test_shot_and_read_noise_together() -> None:
    found = estimate_noise(noisy(cells(background=12.0), 2.0, 6.0))
    for level in (12.0, 40.0, 100.0):
        assert found.sigma_at(level) == pytest.approx(np.sqrt(2 * level + 36), rel=0.15)


def test_impulses_do_not_count_as_noise() -> None:
    struck = impulse(0.02).corrupt(noisy(cells(), 0.0, 10.0)[None, ..., None], "a")[0, ..., 0]
    assert estimate_sigma(struck) == pytest.approx(10, rel=0.2)


def test_clean_and_constant_images_have_none() -> None:
    assert estimate_sigma(cells()) < 0.1
    assert estimate_noise(np.full((32, 32), 9.0)) == NoiseModel(0.0, 0.0, False)
    assert estimate_noise(np.zeros((32, 32))).sigma_grey_levels == 0
    assert np.isfinite(
        estimate_sigma(
            gaussian(5, clipped=False).corrupt(np.full((1, 9, 7, 1), 50.0), "a")[0, ..., 0]
        )
    )
