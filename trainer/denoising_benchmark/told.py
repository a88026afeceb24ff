"""A denoiser that is told the noise, beside the same one that has to estimate it."""

from __future__ import annotations

import os

import numpy as np

from trainer.denoise import own_normaliser
from trainer.denoising.saved import is_denoiser, model_config, read_denoiser
from trainer.denoising_benchmark.cases import ALL_CASES, NoiseCase
from trainer.denoising_benchmark.evaluate import LEARNED, Denoise, Method
from trainer.models.denoiser import build_denoiser, denoiser_multiple_px

#: The cases with one level of noise for the whole image, which is what can be told.
TOLD_CASES = tuple(case for case in ALL_CASES if case.kind == "gaussian")


def told_method(name: str, folder: str | os.PathLike[str]) -> Method | None:
    """The denoiser of a folder as a row that is told the read noise of the case.

    None where it cannot be told: a model of a screen, or one that does not work in units of the
    noise. Fields must have sides that are multiples of the network's, as those of 256 and 512 px.
    """
    if not is_denoiser(str(folder)):
        return None
    blind, fit = read_denoiser(str(folder))
    if fit.design.front != "noise_scaled":
        return None
    config = model_config(fit)
    network = build_denoiser(config, any_channels=True, told=True)
    network.set_weights(blind.get_weights())
    multiple_px = denoiser_multiple_px(config)

    def for_case(case: NoiseCase) -> Denoise:
        def denoise(noisy_BHWC: np.ndarray) -> np.ndarray:
            if any(side % multiple_px for side in noisy_BHWC.shape[1:3]):
                raise ValueError(f"sides must be multiples of {multiple_px} px")
            center_BC, scale_BC = own_normaliser(noisy_BHWC)
            center, scale = center_BC[:, None, None], scale_BC[:, None, None]
            sigma = np.broadcast_to(case.sigma_grey_levels / scale, noisy_BHWC.shape)
            answer = network([(noisy_BHWC - center) / scale, sigma], training=False)
            denoised: np.ndarray = answer.numpy() * scale + center
            return denoised

        return denoise

    return Method(name, for_case, LEARNED, blind=False)
