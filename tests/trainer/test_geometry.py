"""Resizing and tiling against Pillow and slicing."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from trainer.config import ModelConfig
from trainer.errors import PlatewiseError
from trainer.geometry import (
    check_size,
    grey_image,
    n_tiles,
    resize_weights,
    tile_corners_px,
    tiles,
)


def config(size_px: int, resize_px: int = 0) -> ModelConfig:
    return ModelConfig(image_size_px=size_px, resize_px=resize_px, denoiser=False)


@pytest.mark.parametrize(("source", "target"), [(48, 20), (50, 50), (31, 64), (64, 16)])
def test_resizing_is_pillows_bilinear(source: int, target: int) -> None:
    rng = np.random.default_rng(0)
    pixels_CHW = rng.integers(0, 256, (2, source, source), dtype=np.uint8)
    resized = grey_image(pixels_CHW[None], config(target, target)).numpy()[0]
    for c in range(2):
        plane = Image.fromarray(pixels_CHW[c].astype(np.float32))
        expected = np.asarray(plane.resize((target, target), Image.Resampling.BILINEAR))
        np.testing.assert_allclose(resized[..., c], expected, atol=0.01)


def test_the_shorter_side_decides_and_weights_sum_to_one() -> None:
    pixels = np.zeros((1, 1, 40, 60), np.uint8)
    assert grey_image(pixels, config(20, 20)).shape == (1, 20, 30, 1)
    np.testing.assert_allclose(resize_weights(40, 20).sum(axis=1), 1.0, rtol=1e-6)


def test_without_resizing_pixels_are_only_transposed() -> None:
    pixels_BCHW = np.random.default_rng(1).integers(0, 256, (2, 3, 5, 4), dtype=np.uint8)
    image = grey_image(pixels_BCHW, config(4))
    assert image.dtype == tf.float32
    np.testing.assert_array_equal(image, pixels_BCHW.transpose(0, 2, 3, 1))


def test_tiles_are_a_centred_grid_kept_together_by_image() -> None:
    image = np.arange(2 * 11 * 9 * 1, dtype=np.float32).reshape(2, 11, 9, 1)
    cut = tiles(tf.constant(image), 4).numpy()
    corners = [(1, 0), (1, 4), (5, 0), (5, 4)]
    assert tile_corners_px(11, 9, 4) == corners
    assert n_tiles(11, 9, config(4)) == 4
    for b in range(2):
        for t, (y, x) in enumerate(corners):
            np.testing.assert_array_equal(cut[4 * b + t], image[b, y : y + 4, x : x + 4])


def test_a_larger_odd_rest_gives_one_centre_crop() -> None:
    assert tile_corners_px(100, 100, 64) == [(18, 18)]


def test_small_sites_are_refused_with_both_sizes() -> None:
    check_size(64, 64, config(64))
    check_size(32, 48, config(64, 64))
    with pytest.raises(PlatewiseError, match=r"sites are 32 x 48 px, .* sees 64 x 64 px"):
        check_size(32, 48, config(64))
    with pytest.raises(PlatewiseError, match=r"\(20 x 20 px after resizing\)"):
        check_size(32, 32, config(64, 20))
