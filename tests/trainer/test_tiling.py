"""Tiles against the whole image; the field of view against convolutions of known reach."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from trainer.errors import PlatewiseError
from trainer.models.denoiser import build_denoiser, denoiser_multiple_px
from trainer.presets import preset
from trainer.tiling import field_of_view_px, in_tiles

MODEL = preset("tiny").model


def blur(image_BHWC: np.ndarray) -> np.ndarray:
    """Reaches 4 px."""
    return ndimage.uniform_filter(image_BHWC, (1, 9, 9, 1), mode="constant")


@pytest.mark.parametrize("shape", [(64, 64), (70, 33), (128, 96), (1, 5)])
def test_tiles_are_the_whole_image(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).normal(size=(*shape, 3)).astype(np.float32)
    whole = ndimage.uniform_filter(image, (9, 9, 1), mode="reflect")  # SciPy's name for symmetric
    tiled = in_tiles(blur, image, tile_px=16, margin_px=4, multiple_px=4)
    assert tiled.shape == image.shape
    np.testing.assert_allclose(tiled, whole, atol=1e-5)


def test_all_tiles_have_one_shape() -> None:
    shapes = set()

    def network(image: np.ndarray) -> np.ndarray:
        shapes.add(image.shape)
        return image

    image = np.random.default_rng(0).normal(size=(75, 101, 2)).astype(np.float32)
    np.testing.assert_array_equal(
        in_tiles(network, image, tile_px=32, margin_px=5, multiple_px=8), image
    )
    assert shapes == {(1, 48, 48, 2)}


@pytest.mark.parametrize("radius", [1, 3, 7])
def test_the_field_of_view_of_a_convolution(radius: int) -> None:
    kernel = tf.ones((2 * radius + 1, 2 * radius + 1, 2, 2))
    found = field_of_view_px(lambda x: tf.nn.conv2d(x, kernel, 1, "SAME"), 2, 4, farthest_px=16)
    assert found == radius


def test_a_network_that_sees_everything_cannot_be_tiled() -> None:
    with pytest.raises(PlatewiseError, match="cannot be applied in tiles"):
        field_of_view_px(lambda x: x - tf.reduce_mean(x, (1, 2), keepdims=True), 1, 4, 16)


def test_the_denoiser_leaves_no_seams() -> None:
    config = dataclasses.replace(MODEL, n_channels=2)
    model = build_denoiser(config)
    rng = np.random.default_rng(1)
    for weight in model.weights:  # the last layer starts at zero, which would hide every seam
        weight.assign(rng.normal(scale=0.15, size=weight.shape))
    multiple = denoiser_multiple_px(config)
    margin = field_of_view_px(lambda x: model(x, training=False), 2, multiple)
    assert 8 < margin < 64
    image = rng.normal(size=(90, 117, 2)).astype(np.float32)

    def network(cut: np.ndarray) -> np.ndarray:
        return model(cut, training=False).numpy()

    options = {"margin_px": margin, "multiple_px": multiple}
    whole = in_tiles(network, image, tile_px=256, **options)
    tiled = in_tiles(network, image, tile_px=24, **options)
    assert np.abs(whole - image).max() > 0.1
    np.testing.assert_allclose(tiled, whole, atol=1e-4)
    seams = in_tiles(network, image, tile_px=24, margin_px=0, multiple_px=multiple)
    assert np.abs(seams - whole).max() > 1e-2
