"""A trained denoiser on raw grey levels: normalise, tile, denoise, back to grey levels."""

from __future__ import annotations

import numpy as np

from trainer.bundle import Bundle
from trainer.config import NormalizerConfig
from trainer.errors import PlatewiseError
from trainer.models.denoiser import denoiser_multiple_px
from trainer.normalize import center_scale
from trainer.schema import GREY_LEVELS
from trainer.tiling import field_of_view_px, in_tiles


class PlateDenoiser:
    """Denoises images of one trained model's channels.

    Parameters
    ----------
    bundle
        The model, with a denoiser in it.
    normalizer
        What the model was trained with.
    tile_px
        Side of a tile, px; bounds memory, never the result.

    Raises
    ------
    PlatewiseError
        The model has no denoiser.
    """

    def __init__(self, bundle: Bundle, normalizer: NormalizerConfig, tile_px: int = 512) -> None:
        import tensorflow as tf

        config = bundle.config.model
        if not config.denoiser:
            raise PlatewiseError(
                "this model was trained without a denoiser (model.denoiser = false); take "
                "another model, or a classical filter"
            )
        self.n_channels = config.n_channels
        self._normalizer, self._tile_px = normalizer, tile_px
        self._multiple_px = denoiser_multiple_px(config)
        layer = bundle.model.get_layer("denoiser")
        self._margin_px = field_of_view_px(
            lambda image: layer(image, training=False), self.n_channels, self._multiple_px
        )
        self._network = tf.function(
            lambda image: layer(image, training=False), autograph=False, reduce_retracing=True
        )

    def statistics(self, histogram_CQ: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Centre and scale [C], grey levels, from counts [C, Q] of a plate's or image's pixels."""
        return center_scale(histogram_CQ, self._normalizer)

    def denoise(
        self, image_HWC: np.ndarray, center_C: np.ndarray, scale_C: np.ndarray
    ) -> np.ndarray:
        """Denoised grey levels, float32 [H, W, C], of grey levels of any size.

        Raises
        ------
        PlatewiseError
            Another number of channels than the model's.
        """
        if image_HWC.shape[-1] != self.n_channels:
            raise PlatewiseError(
                f"the model denoises {self.n_channels} channels together, got {image_HWC.shape[-1]}"
            )
        denoised = in_tiles(
            lambda cut: self._network(cut).numpy(),
            (image_HWC.astype(np.float32) - center_C) / scale_C,
            tile_px=self._tile_px,
            margin_px=self._margin_px,
            multiple_px=self._multiple_px,
        )
        return denoised * scale_C + center_C

    def __call__(self, noisy_BHWC: np.ndarray) -> np.ndarray:
        """Denoise images with statistics of their own, as a benchmark does.

        An image of one channel is given to every channel of the model, whose first answers.
        """
        return np.stack([self._alone(image_HWC) for image_HWC in noisy_BHWC])

    def _alone(self, image_HWC: np.ndarray) -> np.ndarray:
        n_given = image_HWC.shape[-1]
        if n_given == 1 and self.n_channels > 1:
            image_HWC = np.repeat(image_HWC, self.n_channels, axis=-1)
        return self.denoise(image_HWC, *self.statistics(image_histogram(image_HWC)))[..., :n_given]


def image_histogram(image_HWC: np.ndarray) -> np.ndarray:
    """Counts [C, Q] of an image's grey levels, rounded and clipped to 0..255."""
    grey_HWC = np.clip(np.round(image_HWC), 0, GREY_LEVELS - 1).astype(np.uint8)
    return np.stack(
        [
            np.bincount(grey_HWC[..., c].ravel(), minlength=GREY_LEVELS)
            for c in range(grey_HWC.shape[-1])
        ]
    )
