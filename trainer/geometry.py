"""From a site as it was stored to the squares that the network sees.

Training resizes and cuts one random window; prediction resizes and cuts a fixed grid of
windows. Both resize here, so that the network never meets two kinds of interpolation.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from trainer.config import ModelConfig
from trainer.errors import PlatewiseError


def resized_shape_px(height_px: int, width_px: int, resize_px: int) -> tuple[int, int]:
    """Height and width after resizing the shorter side to ``resize_px`` (0 keeps both)."""
    if resize_px == 0:
        return height_px, width_px
    shorter = min(height_px, width_px)
    return round(height_px * resize_px / shorter), round(width_px * resize_px / shorter)


def check_size(height_px: int, width_px: int, config: ModelConfig) -> None:
    """Refuse sites smaller than what the network sees.

    Raises
    ------
    PlatewiseError
        Says both sizes and which setting to change.
    """
    resized = resized_shape_px(height_px, width_px, config.resize_px)
    if min(resized) < config.image_size_px:
        after = f" ({resized[0]} x {resized[1]} px after resizing)" if config.resize_px else ""
        raise PlatewiseError(
            f"sites are {height_px} x {width_px} px{after}, but the network sees "
            f"{config.image_size_px} x {config.image_size_px} px; lower model.image_size_px to "
            f"at most {min(resized)}, or set model.resize_px to {config.image_size_px} or more"
        )


def grey_image(pixels_BCHW: tf.Tensor, config: ModelConfig) -> tf.Tensor:
    """Stored uint8 planes to float32 grey levels [B, H, W, C], resized as configured."""
    image_BHWC = tf.cast(tf.transpose(pixels_BCHW, (0, 2, 3, 1)), tf.float32)
    height, width = (int(side) for side in image_BHWC.shape[1:3])
    target = resized_shape_px(height, width, config.resize_px)
    if target == (height, width):
        return image_BHWC
    # Two matrix products: the antialiased resize ops of TensorFlow have no TPU kernel.
    image_BHWC = tf.einsum("oh,bhwc->bowc", resize_weights(height, target[0]), image_BHWC)
    return tf.einsum("ow,bhwc->bhoc", resize_weights(width, target[1]), image_BHWC)


def shrink(image_BHWC: tf.Tensor, size_px: int) -> tf.Tensor:
    """Square images at a smaller side, antialiased; the same field of view."""
    side = int(image_BHWC.shape[1])
    if side == size_px:
        return image_BHWC
    weights = resize_weights(side, size_px)
    return tf.einsum("ow,bhwc->bhoc", weights, tf.einsum("oh,bhwc->bowc", weights, image_BHWC))


def resize_weights(length_px: int, target_px: int) -> np.ndarray:
    """Antialiased linear interpolation as a matrix, float32 [target, length].

    The triangle filter of Pillow and of ``tf.image.resize(..., antialias=True)``: its
    half-width is one pixel of the coarser of the two grids. Rows sum to 1.
    """
    ratio = length_px / target_px
    width = max(ratio, 1.0)
    center = (np.arange(target_px)[:, None] + 0.5) * ratio
    position = np.arange(length_px)[None, :] + 0.5
    weights = np.maximum(0.0, 1.0 - np.abs(position - center) / width)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def tile_corners_px(height_px: int, width_px: int, size_px: int) -> list[tuple[int, int]]:
    """Top left corners of the largest grid of whole tiles, centred, row by row."""
    rows, columns = height_px // size_px, width_px // size_px
    top = (height_px - rows * size_px) // 2
    left = (width_px - columns * size_px) // 2
    return [(top + r * size_px, left + c * size_px) for r in range(rows) for c in range(columns)]


def tiles(image_BHWC: tf.Tensor, size_px: int) -> tf.Tensor:
    """The tiles of :func:`tile_corners_px`, [B * T, size, size, C], those of an image together."""
    height, width = (int(side) for side in image_BHWC.shape[1:3])
    corners = tile_corners_px(height, width, size_px)
    cut = [image_BHWC[:, y : y + size_px, x : x + size_px] for y, x in corners]
    stacked_BTHWC = tf.stack(cut, axis=1)
    return tf.reshape(stacked_BTHWC, (-1, size_px, size_px, image_BHWC.shape[-1]))


def n_tiles(height_px: int, width_px: int, config: ModelConfig) -> int:
    """Tiles T that :func:`tiles` cuts from a stored site."""
    resized = resized_shape_px(height_px, width_px, config.resize_px)
    return (resized[0] // config.image_size_px) * (resized[1] // config.image_size_px)
