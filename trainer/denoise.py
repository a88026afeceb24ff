"""A trained denoiser as a function: noisy grey levels in, grey levels out, any image size."""

from __future__ import annotations

import os
from dataclasses import dataclass

import keras
import numpy as np

from trainer.bundle import Bundle, load_bundle
from trainer.denoising.saved import is_denoiser, model_config, read_denoiser
from trainer.errors import PlatewiseError
from trainer.models.denoiser import build_denoiser, denoiser_multiple_px

#: Smallest scale of an image's own normaliser, grey levels; keeps a constant channel finite.
SCALE_FLOOR_GREY_LEVELS = 0.5
#: Reflected pixels around an image, so that the zeros which convolutions pad with stay outside.
MARGIN_PX = 16


@dataclass(frozen=True, eq=False)
class ImageDenoiser:
    """Callable denoiser; make one with :func:`load_denoiser`."""

    #: Normalised [B, H, W, C] -> the same shape.
    network: keras.Model
    #: Channels it was trained on; 0: any number, each for itself.
    n_channels: int
    #: Height and width must be multiples of this, px; other sizes are reflected up to it.
    multiple_px: int

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
            mean and standard deviation are taken.

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
            center_BC, scale_BC = own_normaliser(image_BHWC)
        else:
            shape = (len(image_BHWC), image_BHWC.shape[-1])
            center_BC = np.broadcast_to(np.asarray(center_C, np.float32), shape)
            scale_BC = np.broadcast_to(np.asarray(scale_C, np.float32), shape)
        center_B11C, scale_B11C = center_BC[:, None, None], scale_BC[:, None, None]
        normalised_BHWC = (image_BHWC - center_B11C) / scale_B11C
        # One at a time: memory stays that of one image.
        denoised_BHWC = np.concatenate([self._one(image[None]) for image in normalised_BHWC])
        denoised_BHWC = denoised_BHWC * scale_B11C + center_B11C
        return denoised_BHWC[0] if np.ndim(noisy) == 3 else denoised_BHWC

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

    def _one(self, image_1HWC: np.ndarray) -> np.ndarray:
        height, width = image_1HWC.shape[1:3]
        after = [MARGIN_PX + -(side + 2 * MARGIN_PX) % self.multiple_px for side in (height, width)]
        padded = np.pad(
            image_1HWC,
            ((0, 0), (MARGIN_PX, after[0]), (MARGIN_PX, after[1]), (0, 0)),
            mode="reflect",
        )
        denoised = np.asarray(self.network(padded, training=False), np.float32)
        return denoised[:, MARGIN_PX : MARGIN_PX + height, MARGIN_PX : MARGIN_PX + width]


def own_normaliser(image_BHWC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each image's mean and floored standard deviation, float32 [B, C], grey levels."""
    center_BC = image_BHWC.mean((1, 2), dtype=np.float64)
    scale_BC = np.maximum(image_BHWC.std((1, 2), dtype=np.float64), SCALE_FLOOR_GREY_LEVELS)
    return center_BC.astype(np.float32), scale_BC.astype(np.float32)


def load_denoiser(model: str | os.PathLike[str]) -> ImageDenoiser:
    """The denoiser of a folder.

    Parameters
    ----------
    model
        What ``python -m trainer.denoising`` wrote (channel-wise, for any number of channels), an
        exported or pushed model, or the folder that training wrote.

    Raises
    ------
    PlatewiseError
        No model is there, or it was trained without a denoiser.
    """
    folder = os.fspath(model)
    if is_denoiser(folder):
        network, fit = read_denoiser(folder)
        return ImageDenoiser(network, 0, denoiser_multiple_px(model_config(fit)))
    bundle = load_bundle(folder)
    config = bundle.config.model
    if not config.denoiser:
        raise PlatewiseError(
            f"the model in {folder} was trained with model.denoiser = false; take one that has "
            "a denoiser"
        )
    channelwise = config.denoiser_design.mode == "channelwise"
    return ImageDenoiser(
        network=_of_any_channels(bundle) if channelwise else bundle.model.get_layer("denoiser"),
        n_channels=0 if channelwise else config.n_channels,
        multiple_px=denoiser_multiple_px(config),
    )


def _of_any_channels(bundle: Bundle) -> keras.Model:
    free = build_denoiser(bundle.config.model, any_channels=True)
    free.set_weights(bundle.model.get_layer("denoiser").get_weights())
    return free
