"""A network over an image of any size, in tiles that leave no seams.

The image is extended by reflection by a margin, and tiles that overlap by twice the margin
are cut from it; of each tile only what lies a margin inside is kept. Where the margin covers
the network's field of view, and tiles begin at multiples of its stride, each kept pixel is
exactly what the network makes of the whole extended image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from trainer.errors import PlatewiseError

#: Takes and returns float32 [B, H, W, C].
Network = Callable[[np.ndarray], np.ndarray]

#: Fields of view are looked for up to this far, px.
_FARTHEST_PX = 160


def in_tiles(
    network: Network,
    image_HWC: np.ndarray,
    *,
    tile_px: int = 512,
    margin_px: int = 64,
    multiple_px: int = 8,
) -> np.ndarray:
    """Apply a network tile by tile; an image of any height and width, the same shape out.

    Parameters
    ----------
    tile_px
        Side of what is kept of a tile, px; rounded up to a multiple of ``multiple_px``. An image
        no larger than that is one tile.
    margin_px
        How far the network sees, px; rounded up likewise.
    multiple_px
        The network takes heights and widths that are multiples of this.
    """
    height, width, channels = image_HWC.shape
    margin, tile = (_up(side, multiple_px) for side in (margin_px, tile_px))
    tall, wide = _up(height, multiple_px), _up(width, multiple_px)
    padding = [(margin, margin + tall - height), (margin, margin + wide - width), (0, 0)]
    # "symmetric" repeats the border pixel and, unlike "reflect", takes images of one pixel.
    padded = np.pad(image_HWC, padding, mode="symmetric")
    # All tiles have one shape, so that a compiled network is compiled once.
    side_y, side_x = min(tile, tall), min(tile, wide)
    out = np.empty((tall, wide, channels), np.float32)
    for top in _starts(tall, side_y):
        for left in _starts(wide, side_x):
            cut = padded[top : top + side_y + 2 * margin, left : left + side_x + 2 * margin]
            made = network(cut[None].astype(np.float32))[0]
            inside = made[margin : margin + side_y, margin : margin + side_x]
            out[top : top + side_y, left : left + side_x] = inside
    return out[:height, :width]


def field_of_view_px(
    network: Callable, n_channels: int, multiple_px: int, farthest_px: int = _FARTHEST_PX
) -> int:
    """How far from a pixel an input pixel can still change it, px: measured, not derived.

    The gradient of one stride's worth of output pixels is followed back to the input. It is
    exact for the weights at hand; a network of zeros sees nothing.

    Parameters
    ----------
    network
        A Keras model or TensorFlow function, [1, H, W, C] -> [1, H, W, C].

    Raises
    ------
    PlatewiseError
        It sees farther than ``farthest_px``: it cannot be tiled.
    """
    import tensorflow as tf

    reach = _up(farthest_px, multiple_px)
    side = 2 * reach + multiple_px
    # Values from a generator: flat images can have gradients that cancel.
    values = np.random.default_rng(0).normal(size=(1, side, side, n_channels))
    image = tf.constant(values, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(image)
        block = network(image)[:, reach : reach + multiple_px, reach : reach + multiple_px]
        total = tf.reduce_sum(
            block
            * tf.constant(
                np.random.default_rng(1).normal(
                    size=(1, multiple_px, multiple_px, int(block.shape[-1]))
                ),
                tf.float32,
            )
        )
    gradient = np.abs(tape.gradient(total, image).numpy()).max(axis=(0, 3))
    seen = np.concatenate([np.flatnonzero(gradient.any(axis=axis)) for axis in (0, 1)])
    if seen.size == 0:
        return 0
    farthest = int(max(reach - seen.min(), seen.max() - (reach + multiple_px - 1)))
    if farthest >= reach:
        raise PlatewiseError(
            f"the network sees at least {reach} px far and cannot be applied in tiles; denoise "
            "whole images with a larger --tile"
        )
    return farthest


def _starts(length: int, tile: int) -> Iterator[int]:
    """Tile corners: from one tile to the next, the last one moved back to end with the image."""
    yield from range(0, length - tile, tile)
    yield length - tile


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
