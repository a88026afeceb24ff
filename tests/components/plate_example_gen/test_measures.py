"""Quality numbers against NumPy and OpenCV on the pixels themselves."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import median_abs_deviation

from components.plate_example_gen.measures import (
    focus,
    mean_and_saturation,
    percentile,
    robust_z,
)
from trainer.records import histogram


@pytest.fixture(name="image_CHW")
def smooth_image():
    rng = np.random.default_rng(3)
    smooth = gaussian_filter(rng.normal(size=(3, 67, 50)), (0, 2, 2)) * 400 + 200
    return np.clip(smooth, 0, 255).astype(np.uint8)


def test_mean_and_saturation(image_CHW):
    mean_C, share_C = mean_and_saturation(histogram(image_CHW))
    np.testing.assert_allclose(mean_C, image_CHW.mean(axis=(1, 2)))
    np.testing.assert_allclose(share_C, (image_CHW == 255).mean(axis=(1, 2)))
    assert share_C.max() > 0


@pytest.mark.parametrize("percent", [0, 0.1, 1, 25, 50, 99, 99.97, 100])
def test_percentile_is_numpys(image_CHW, percent):
    expected = np.percentile(image_CHW, percent, axis=(1, 2), method="inverted_cdf")
    np.testing.assert_array_equal(percentile(histogram(image_CHW), percent), expected)


def test_percentile_of_nothing():
    assert percentile(np.zeros((2, 256), np.int64), 50).tolist() == [-1, -1]


def test_focus_is_opencvs_laplacian_on_sampled_rows(image_CHW):
    expected = []
    for channel in image_CHW:
        laplacian = cv2.Laplacian(channel, cv2.CV_64F, ksize=1)[1:-1:8, 1:-1]
        expected.append(laplacian.var() / channel.var())
    np.testing.assert_allclose(focus(image_CHW, histogram(image_CHW)), expected, rtol=1e-10)


def test_blur_lowers_focus_gain_and_offset_do_not_change_it(image_CHW):
    image_CHW = (image_CHW // 4).astype(np.uint8)
    blurred = gaussian_filter(image_CHW.astype(float), (0, 1.5, 1.5)).astype(np.uint8)
    sharp_C = focus(image_CHW, histogram(image_CHW))
    assert (focus(blurred, histogram(blurred)) < 0.5 * sharp_C).all()
    brighter = image_CHW * 3 + 20
    np.testing.assert_allclose(focus(brighter, histogram(brighter)), sharp_C, rtol=1e-9)


@pytest.mark.parametrize("shape", [(2, 2, 9), (2, 9, 2), (2, 16, 16)])
def test_constant_or_tiny_images_have_no_focus(shape):
    flat = np.full(shape, 9, np.uint8)
    assert focus(flat, histogram(flat)).tolist() == [0, 0]


def test_robust_z():
    values = np.array([10.0, 11, 12, 13, 90])
    scale = median_abs_deviation(values, scale="normal")
    np.testing.assert_allclose(robust_z(values, 1e-9), (values - 12) / scale, rtol=1e-4)
    # Plates that agree to one part in a thousand have no outlier among them.
    assert np.abs(robust_z(np.array([10, 10, 10, 10.1]), 0.1)).max() < 0.2
