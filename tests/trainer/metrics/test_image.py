"""PSNR and SSIM against scikit-image, channel by channel."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from trainer.metrics.image import (
    mean_bias_grey_levels,
    psnr_db,
    scale_invariant_psnr_db,
    ssim,
)

RNG = np.random.default_rng(2)


def pair(shape: tuple[int, ...] = (3, 33, 40, 6)) -> tuple[np.ndarray, np.ndarray]:
    """Images with structure and six different noise levels."""
    smooth = np.cumsum(np.cumsum(RNG.normal(size=shape), axis=1), axis=2)
    clean = np.clip(60 + 4 * smooth, 0, 255).astype(np.uint8)
    noisy = clean + RNG.normal(size=shape) * np.arange(1, shape[-1] + 1) * 8
    return clean, np.clip(noisy, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (psnr_db, peak_signal_noise_ratio),
        (ssim, structural_similarity),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_equals_scikit_image(ours, theirs, dtype) -> None:
    clean, noisy = (x.astype(dtype) for x in pair())
    expected = [
        [theirs(a[..., c], b[..., c], data_range=255) for c in range(6)]
        for a, b in zip(clean, noisy, strict=True)
    ]
    np.testing.assert_allclose(ours(clean, noisy), expected, rtol=1e-6)


def test_data_range_is_passed_on() -> None:
    clean, noisy = (x / 255 for x in pair((1, 16, 16, 1)))
    a, b = clean[0, ..., 0], noisy[0, ..., 0]
    assert psnr_db(clean, noisy, 1.0)[0, 0] == pytest.approx(
        peak_signal_noise_ratio(a, b, data_range=1.0)
    )
    assert ssim(clean, noisy, 1.0)[0, 0] == pytest.approx(
        structural_similarity(a, b, data_range=1.0)
    )


def test_equal_images_and_the_smallest_window() -> None:
    clean, _ = pair((2, 7, 7, 2))
    assert np.isposinf(psnr_db(clean, clean)).all()
    np.testing.assert_allclose(ssim(clean, clean), 1.0)
    with pytest.raises(ValueError, match="7 x 7"):
        ssim(clean[:, :6], clean[:, :6])


@pytest.mark.parametrize("metric", [psnr_db, ssim])
def test_shapes_that_differ_are_refused(metric) -> None:
    clean, _ = pair((2, 8, 8, 2))
    with pytest.raises(ValueError, match=r"\(2, 8, 8, 2\) and \(2, 8, 8, 1\)"):
        metric(clean, clean[..., :1])


def test_scale_invariant_psnr_is_that_of_the_best_straight_line() -> None:
    clean, noisy = pair((2, 33, 40, 3))
    for b, c in np.ndindex(2, 3):
        x, y = noisy[b, ..., c].ravel().astype(float), clean[b, ..., c].ravel().astype(float)
        line = stats.linregress(x, y)
        fitted = line.intercept + line.slope * x
        expected = peak_signal_noise_ratio(y, fitted, data_range=np.ptp(y))
        assert scale_invariant_psnr_db(clean, noisy)[b, c] == pytest.approx(expected)
    stretched = 0.3 * noisy + 17.0
    np.testing.assert_allclose(
        scale_invariant_psnr_db(clean, stretched), scale_invariant_psnr_db(clean, noisy)
    )


def test_scale_invariant_psnr_of_constant_images() -> None:
    clean, _ = pair((1, 8, 8, 1))
    flat = np.full_like(clean, 7)
    assert np.isnan(scale_invariant_psnr_db(flat, clean)).all()
    # A constant says nothing of the image: the best line is the image's mean.
    expected = 10 * np.log10(np.ptp(clean.astype(float)) ** 2 / clean.astype(float).var())
    assert scale_invariant_psnr_db(clean, flat)[0, 0] == pytest.approx(expected)


def test_bias_is_signed_and_by_channel() -> None:
    clean, _ = pair((2, 8, 8, 2))
    shifted = clean + np.array([1.5, -2.0])
    np.testing.assert_allclose(mean_bias_grey_levels(clean, shifted), [[1.5, -2.0]] * 2)
