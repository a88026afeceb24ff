"""Every filter through the one interface, each against SciPy, scikit-image or NumPy."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
from scipy import ndimage, stats
from skimage.restoration import (
    denoise_nl_means,
    denoise_tv_chambolle,
    denoise_wavelet,
)

from trainer.denoising_benchmark.cases import ALL_CASES, gaussian, impulse, poisson
from trainer.errors import PlatewiseError
from trainer.filters import FILTERS, apply, find, vst
from trainer.filters.impulses import repair
from trainer.filters.noise_estimate import NoiseModel
from trainer.filters.settings import (
    BilateralSettings,
    GaussianSettings,
    MedianSettings,
    NonLocalMeansSettings,
    TotalVariationSettings,
    WaveletSettings,
)
from trainer.metrics.image import psnr_db
from trainer.strict import ConfigError

INSTALLED = [name for name in FILTERS if name != "bm3d"]
TOLD = NoiseModel(0.0, 10.0, clipped=False)


def clean_image(side_px: int = 64, channels: int = 2) -> np.ndarray:
    rng = np.random.default_rng(1)
    smooth = ndimage.gaussian_filter(rng.normal(size=(side_px, side_px, channels)), (3, 3, 0))
    return np.clip(smooth * 300 + 70, 5, 250).astype(np.float32)


def noisy_image(sigma: float = 10.0) -> np.ndarray:
    return gaussian(sigma, clipped=False).corrupt(clean_image()[None], "x")[0]


@pytest.mark.parametrize("name", INSTALLED)
def test_every_filter_keeps_shape_type_and_input(name: str) -> None:
    noisy = noisy_image()
    before = noisy.copy()
    filtered = apply(name, noisy)
    assert filtered.dtype == np.float32
    assert filtered.shape == noisy.shape
    assert np.isfinite(filtered).all()
    np.testing.assert_array_equal(noisy, before)
    np.testing.assert_array_equal(filtered, apply(name, noisy))


@pytest.mark.parametrize("name", INSTALLED)
def test_channels_are_filtered_by_themselves(name: str) -> None:
    noisy = noisy_image()
    both = apply(name, noisy)
    np.testing.assert_array_equal(both[..., 1:], apply(name, noisy[..., 1:]))


@pytest.mark.parametrize("name", INSTALLED)
@pytest.mark.parametrize("case", ALL_CASES, ids=lambda case: case.name)
def test_no_filter_fails_on_any_noise(name: str, case) -> None:
    noisy = case.corrupt(clean_image(40, 1)[None], "x")[0]
    assert np.isfinite(apply(name, noisy)).all()


@pytest.mark.parametrize("name", INSTALLED)
@pytest.mark.parametrize("image", [np.zeros((9, 11, 1)), np.full((16, 16, 1), 255.0)])
def test_constant_images_stay(name: str, image: np.ndarray) -> None:
    np.testing.assert_allclose(apply(name, image), image, atol=1e-3)


def test_gaussian_is_scipys() -> None:
    noisy = noisy_image()[..., 0]
    ours = apply("gaussian", noisy[..., None], GaussianSettings(1.5))[..., 0]
    np.testing.assert_allclose(ours, ndimage.gaussian_filter(noisy, 1.5, mode="mirror"), atol=1e-4)


@pytest.mark.parametrize("size", [3, 5, 7])
def test_median_is_scipys(size: int) -> None:
    noisy = noisy_image()[..., 0]
    ours = apply("median", noisy[..., None], MedianSettings(size))[..., 0]
    np.testing.assert_array_equal(ours, ndimage.median_filter(noisy, size, mode="mirror"))


def test_non_local_means_is_scikit_images() -> None:
    noisy = noisy_image()[..., 0].astype(np.float64)
    ours = apply("nlm", noisy[..., None], NonLocalMeansSettings(5, 4, 0.8), TOLD)[..., 0]
    theirs = denoise_nl_means(noisy, 5, 4, 0.8 * 10, fast_mode=True, sigma=10)
    np.testing.assert_allclose(ours, theirs, atol=0.02)


def test_total_variation_is_scikit_images() -> None:
    noisy = noisy_image()[..., 0]
    ours = apply("tv", noisy[..., None], TotalVariationSettings(0.9, 60), TOLD)[..., 0]
    theirs = denoise_tv_chambolle(noisy.astype(np.float64), 9.0, max_num_iter=60)
    np.testing.assert_allclose(ours, theirs, atol=0.05)


def test_wavelet_is_scikit_images() -> None:
    noisy = noisy_image()[..., 0]
    ours = apply("wavelet", noisy[..., None], WaveletSettings("db2", strength_in_sigmas=1.0), TOLD)[
        ..., 0
    ]
    # It works on images within -1..1 or thereabouts; the filter itself is linear in scale.
    theirs = 255 * denoise_wavelet(
        noisy.astype(np.float64) / 255,
        sigma=10 / 255,
        wavelet="db2",
        wavelet_levels=4,  # as many as 64 px allow
        rescale_sigma=False,
    )
    np.testing.assert_allclose(ours, theirs, atol=0.01)


def test_bilateral_is_its_formula() -> None:
    noisy = noisy_image()[..., 0]
    ours = apply("bilateral", noisy[..., None], BilateralSettings(1.5, 3.0), TOLD)[..., 0]
    y, x = np.indices((7, 7)) - 3
    near = (y**2 + x**2 <= 9) * np.exp(-(y**2 + x**2) / (2 * 1.5**2))
    for row, column in ((10, 10), (31, 40), (50, 20)):
        window = noisy[row - 3 : row + 4, column - 3 : column + 4].astype(np.float64)
        weight = near * np.exp(-((window - noisy[row, column]) ** 2) / (2 * 30**2))
        expected = (weight * window).sum() / weight.sum()
        assert ours[row, column] == pytest.approx(expected, abs=0.05)


def test_repair_is_the_median_of_what_is_left() -> None:
    rng = np.random.default_rng(3)
    image = rng.uniform(0, 255, (20, 21)).astype(np.float32)
    flagged = rng.random(image.shape) < 0.7
    ours = repair(image, flagged)
    for y, x in zip(*np.nonzero(flagged), strict=True):
        for half in (1, 2, 3):
            window = slice(max(0, y - half), y + half + 1), slice(max(0, x - half), x + half + 1)
            rest = image[window][~flagged[window]]
            if rest.size:
                assert ours[y, x] == pytest.approx(np.median(rest))
                break
        else:
            assert ours[y, x] == image[y, x]
    np.testing.assert_array_equal(ours[~flagged], image[~flagged])


def test_switching_median_keeps_a_saturated_region_and_beats_the_median() -> None:
    image = clean_image(64, 1)
    image[20:40, 20:40] = 255
    kept = apply("switching-median", image)
    assert (kept[24:36, 24:36] == 255).all()
    clean = clean_image()
    struck = impulse(0.3).corrupt(clean[None], "x")[0]
    switching, plain = (apply(name, struck) for name in ("switching-median", "median"))
    assert psnr_db(clean[None], switching[None]).min() > psnr_db(clean[None], plain[None]).max() + 8


@pytest.mark.parametrize(("gain", "sigma"), [(1.0, 0.0), (4.0, 3.0), (17.0, 10.0)])
def test_the_transform_makes_the_noise_one(gain: float, sigma: float) -> None:
    rng = np.random.default_rng(4)
    model = NoiseModel(gain, sigma)
    for photons in (10.0, 40.0):
        draws = gain * rng.poisson(photons, 200_000) + sigma * rng.normal(size=200_000)
        assert vst.forward(draws, model).std() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("photons", [0.5, 1.0, 2.0, 5.0, 20.0, 200.0])
def test_the_inverse_is_the_exact_unbiased_one(photons: float) -> None:
    """Mean of the transform under SciPy's Poisson law, mapped back, is the mean itself."""
    counts = np.arange(stats.poisson.ppf(1 - 1e-12, photons) + 2)
    model = NoiseModel(3.0, 0.0)
    mean = (stats.poisson.pmf(counts, photons) * vst.forward(3.0 * counts, model)).sum()
    # The closed form is within 0.04 photons of the exact inverse, and 1 % from 2 photons on.
    assert vst.inverse(mean, model) / 3.0 == pytest.approx(photons, rel=0.012, abs=0.04)
    algebraic = mean**2 / 4 - 0.375
    if photons >= 1:
        assert abs(vst.inverse(mean, model) / 3.0 - photons) < abs(algebraic - photons)


def test_stabilising_beats_plain_means_on_shot_noise() -> None:
    clean = clean_image(128, 1)
    noisy = poisson(15).corrupt(clean[None], "x")
    plain, stabilised = (apply(name, noisy[0])[None] for name in ("nlm", "vst-nlm"))
    assert psnr_db(clean[None], stabilised) > psnr_db(clean[None], plain) + 0.5
    assert stabilised.mean() == pytest.approx(clean.mean(), rel=0.02)
    # Told the noise, what is left is the transform's own bias and that of the means.
    told = apply("vst-nlm", noisy[0], None, NoiseModel(255 / 15, 0.0, False))[None]
    assert told.mean() == pytest.approx(clean.mean(), rel=0.01)


@pytest.mark.parametrize("name", ["gaussian", "nlm", "vst-nlm", "tv", "wavelet"])
def test_the_bias_of_clipping_is_taken_off(name: str) -> None:
    clean = np.full((1, 128, 128, 1), 12.0, np.float32)
    clean[:, 40:90, 40:90] = 90
    noisy = gaussian(25, clipped=True).corrupt(clean, "x")
    assert noisy.mean() - clean.mean() > 3
    told = NoiseModel(0.0, 25.0, clipped=True)
    for noise in (None, told):
        assert abs(apply(name, noisy[0], noise=noise).mean() - clean.mean()) < 1.5
    kept = apply(name, noisy[0], FILTERS[name].settings(debias=False))
    assert kept.mean() - clean.mean() > 3


def test_impulses_then_means() -> None:
    clean = clean_image(96, 1)
    noisy = impulse(0.1).corrupt(gaussian(10, clipped=False).corrupt(clean[None], "y"), "x")[0]
    both, means = (apply(name, noisy) for name in ("switching+vst-nlm", "vst-nlm"))
    assert psnr_db(clean[None], both[None]) > psnr_db(clean[None], means[None]) + 3


def test_unknown_names_and_foreign_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'median'"):
        find("medain")
    with pytest.raises(ConfigError, match="median takes MedianSettings"):
        apply("median", noisy_image(), GaussianSettings())
    with pytest.raises(ConfigError, match="size_px must be odd"):
        MedianSettings(4)


@pytest.mark.parametrize("image", [np.zeros((8, 8)), np.full((8, 8, 1), np.nan)])
def test_images_that_are_none_are_refused(image: np.ndarray) -> None:
    with pytest.raises(PlatewiseError, match=r"\[H, W, C\]"):
        apply("median", image)


def test_bm3d_is_asked_for_and_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bm3d", None)
    with pytest.raises(PlatewiseError, match="pip install bm3d"):
        apply("bm3d", noisy_image())
    package = types.ModuleType("bm3d")
    package.bm3d = lambda image, sigma_psd: ndimage.gaussian_filter(image, sigma_psd)
    monkeypatch.setitem(sys.modules, "bm3d", package)
    clean, noisy = clean_image(), noisy_image()
    gained = psnr_db(clean[None], apply("bm3d", noisy)[None]) - psnr_db(clean[None], noisy[None])
    assert gained.min() > 3
