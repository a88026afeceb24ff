"""A trained denoiser as a function: noisy grey levels in, grey levels out, any image size."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from trainer.artifact import TRANSFORM_IN_MODEL
from trainer.bundle import Bundle, load_bundle
from trainer.config import ModelConfig, NormalizerConfig
from trainer.denoising.saved import GENERIC as GENERIC
from trainer.denoising.saved import is_denoiser, model_config, read_denoiser
from trainer.errors import PlatewiseError
from trainer.models.denoiser import build_denoiser, denoiser_multiple_px
from trainer.normalize import center_scale
from trainer.schema import GREY_LEVELS
from trainer.tiling import field_of_view_px, in_tiles
from trainer.transform_graph import read_normaliser

#: Smallest scale of an image's own normaliser, grey levels; keeps a constant channel finite.
SCALE_FLOOR_GREY_LEVELS = 0.5


@dataclass(frozen=True, eq=False)
class ImageDenoiser:
    """Callable denoiser; make one with :func:`load_denoiser`."""

    #: Normalised [B, H, W, C] -> the same shape.
    network: keras.Model
    #: Channels it was trained on; 0: any number, each for itself.
    n_channels: int
    #: Height and width must be multiples of this, px; other sizes are reflected up to it.
    multiple_px: int
    #: What the model was trained with; without one, mean and standard deviation.
    normalizer: NormalizerConfig | None = None
    #: The network looks at the extremes of the whole image (``noise_scaled``), and is told them
    #: with every tile.
    sees_extremes: bool = False
    #: Side of a tile, px, which bounds memory and never the result.
    tile_px: int = 512
    #: Channels of a site of the plates it was trained on; 0: it was trained on images alone.
    site_channels: int = 0

    def __call__(
        self,
        noisy: np.ndarray,
        center_C: np.ndarray | None = None,
        scale_C: np.ndarray | None = None,
    ) -> np.ndarray:
        """Denoise one image or several.

        Parameters
        ----------
        noisy
            Grey levels [H, W, C] or [B, H, W, C] of any dtype; they may leave 0..255.
        center_C, scale_C
            Normaliser of the plate, grey levels, [C] or [B, C]; without one, each image's own
            statistics are taken.

        Returns
        -------
        float32 grey levels of the same shape, neither rounded nor clipped.

        Raises
        ------
        PlatewiseError
            Other axes, another number of channels, an empty image, or pixels that are not finite.
        """
        image_BHWC = self._checked(np.asarray(noisy))
        if center_C is None or scale_C is None:
            center_BC, scale_BC = self._own_statistics(image_BHWC)
        else:
            shape = (len(image_BHWC), image_BHWC.shape[-1])
            center_BC = np.broadcast_to(np.asarray(center_C, np.float32), shape)
            scale_BC = np.broadcast_to(np.asarray(scale_C, np.float32), shape)
        center_B11C, scale_B11C = center_BC[:, None, None], scale_BC[:, None, None]
        normalised_BHWC = (image_BHWC - center_B11C) / scale_B11C
        # One at a time: memory stays that of one image.
        denoised_BHWC = np.stack([self._in_tiles(image_HWC) for image_HWC in normalised_BHWC])
        denoised_BHWC = denoised_BHWC * scale_B11C + center_B11C
        return denoised_BHWC[0] if np.ndim(noisy) == 3 else denoised_BHWC

    def statistics(self, histogram_CQ: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Centre and scale [C], grey levels, from counts [C, Q] of a plate's or image's pixels."""
        return center_scale(histogram_CQ, self.normalizer or NormalizerConfig())

    def _own_statistics(self, image_BHWC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.normalizer is None:
            return own_normaliser(image_BHWC)
        found = [self.statistics(image_histogram(image_HWC)) for image_HWC in image_BHWC]
        center_BC, scale_BC = (
            np.stack(part).astype(np.float32) for part in zip(*found, strict=True)
        )
        return center_BC, scale_BC

    def _checked(self, noisy: np.ndarray) -> np.ndarray:
        if noisy.ndim not in (3, 4) or noisy.size == 0:
            raise PlatewiseError(
                f"a denoiser wants [H, W, C] or [B, H, W, C] with pixels in it; got {noisy.shape}"
            )
        if self.n_channels and noisy.shape[-1] != self.n_channels:
            raise PlatewiseError(
                f"this denoiser was trained on {self.n_channels} channels (the last axis), and the "
                f"image has {noisy.shape[-1]}; take a channel-wise one, or images like its own"
            )
        image = noisy.astype(np.float32)
        if not np.isfinite(image).all():
            raise PlatewiseError(
                "the image has pixels that are not finite (NaN or infinite); mend or mask them"
            )
        return image if image.ndim == 4 else image[None]

    @cached_property
    def _compiled(self) -> Callable[..., tf.Tensor]:
        return tf.function(
            lambda image: self.network(image, training=False),
            autograph=False,
            reduce_retracing=True,
        )

    def _told(self, tile: tf.Tensor, low_C: tf.Tensor, high_C: tf.Tensor) -> tf.Tensor:
        """A tile, and beyond its margin one pixel each with the image's smallest and largest."""
        if not self.sees_extremes:
            return self._compiled(tile)
        edge = self.multiple_px
        sides = ((0, 0), (edge, edge), (edge, edge), (0, 0))
        height, width, _ = tile.shape[1:]
        corners = np.zeros((2, height + 2 * edge, width + 2 * edge, 1), np.float32)
        corners[0, 0, 0] = corners[1, -1, -1] = 1
        framed = tf.pad(tile, sides, "SYMMETRIC") * (1 - corners[0] - corners[1])
        framed += corners[0] * low_C + corners[1] * high_C
        return self._compiled(framed)[:, edge : edge + height, edge : edge + width]

    @cached_property
    def _margin_px(self) -> int:
        n_channels = self.n_channels or 1
        # Beyond every pixel of the probe, so that no pixel of it is an extreme.
        far = tf.fill([n_channels], 100.0)
        return field_of_view_px(
            lambda image: self._told(image, -far, far), n_channels, self.multiple_px
        )

    def _in_tiles(self, image_HWC: np.ndarray) -> np.ndarray:
        low_C, high_C = image_HWC.min((0, 1)), image_HWC.max((0, 1))
        return in_tiles(
            lambda cut: self._told(cut, low_C, high_C).numpy(),
            image_HWC,
            tile_px=self.tile_px,
            margin_px=self._margin_px,
            multiple_px=self.multiple_px,
        )


def own_normaliser(image_BHWC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each image's mean and floored standard deviation, float32 [B, C], grey levels."""
    center_BC = image_BHWC.mean((1, 2), dtype=np.float64)
    scale_BC = np.maximum(image_BHWC.std((1, 2), dtype=np.float64), SCALE_FLOOR_GREY_LEVELS)
    return center_BC.astype(np.float32), scale_BC.astype(np.float32)


def image_histogram(image_HWC: np.ndarray) -> np.ndarray:
    """Counts [C, Q] of an image's grey levels, rounded and clipped to 0..255."""
    grey_HWC = np.clip(np.round(image_HWC), 0, GREY_LEVELS - 1).astype(np.uint8)
    channels = np.moveaxis(grey_HWC, -1, 0)
    return np.stack([np.bincount(grey.ravel(), minlength=GREY_LEVELS) for grey in channels])


def load_denoiser(model: str | os.PathLike[str], tile_px: int = 512) -> ImageDenoiser:
    """The denoiser of a folder.

    Parameters
    ----------
    model
        What ``python -m trainer.denoising`` wrote (channel-wise, for any number of channels), an
        exported or pushed model, or the folder that training wrote.
    tile_px
        Side of a tile, px.

    Raises
    ------
    PlatewiseError
        No model is there, or it was trained without a denoiser.
    """
    folder = os.fspath(model)
    if is_denoiser(folder):
        network, fit = read_denoiser(folder)
        config = model_config(fit)
        return ImageDenoiser(
            network, 0, denoiser_multiple_px(config), None, _sees_extremes(config), tile_px
        )
    bundle = load_bundle(folder)
    config = bundle.config.model
    if not config.denoiser:
        raise PlatewiseError(
            f"the model in {folder} was trained without a denoiser (model.denoiser = false); take "
            "another model, or a classical filter"
        )
    transform = Path(folder) / TRANSFORM_IN_MODEL
    channelwise = config.denoiser_design.mode == "channelwise"
    return ImageDenoiser(
        network=_of_any_channels(bundle) if channelwise else bundle.model.get_layer("denoiser"),
        n_channels=0 if channelwise else config.n_channels,
        multiple_px=denoiser_multiple_px(config),
        normalizer=read_normaliser(str(transform)).config if transform.is_dir() else None,
        sees_extremes=_sees_extremes(config),
        tile_px=tile_px,
        site_channels=config.n_channels,
    )


def _sees_extremes(config: ModelConfig) -> bool:
    return config.denoiser_design.front == "noise_scaled"


def _of_any_channels(bundle: Bundle) -> keras.Model:
    free = build_denoiser(bundle.config.model, any_channels=True)
    free.set_weights(bundle.model.get_layer("denoiser").get_weights())
    return free
