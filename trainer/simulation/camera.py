"""From the stained specimen to 8-bit pixels: the batch's optics, then the camera's noise."""

from __future__ import annotations

import numpy as np

from trainer.simulation.config import SimulationConfig
from trainer.simulation.effects import WellEffects
from trainer.simulation.fields import blur


def through_optics(image_CHW: np.ndarray, effects: WellEffects) -> np.ndarray:
    """Apply focus, illumination, stain gain and offset; still free of noise, float32."""
    size_px = image_CHW.shape[-1]
    axis = np.linspace(-1, 1, size_px, dtype=np.float32)
    gx, gy = effects.gradient_xy
    shade_HW = 1 + gx * axis[None, :] + gy * axis[:, None]
    shade_HW = shade_HW + effects.vignetting * (axis[None, :] ** 2 + axis[:, None] ** 2 - 2 / 3) / 2
    shade_HW = np.maximum(shade_HW, 0.1)
    out_CHW = np.stack([blur(channel, effects.blur_sigma_px) for channel in image_CHW])
    out_CHW = out_CHW * shade_HW * effects.gain_C[:, None, None]
    return (out_CHW + effects.offset_C[:, None, None]).astype(np.float32)


def expose(rng: np.random.Generator, clean_CHW: np.ndarray, config: SimulationConfig) -> np.ndarray:
    """Shot noise (variance proportional to the signal), read noise; float, not clipped."""
    normal_CHW = rng.standard_normal((2, *clean_CHW.shape), dtype=np.float32)
    shot_sd = np.sqrt(np.float32(config.shot_noise_grey_levels) * np.maximum(clean_CHW, 0))
    read_sd = np.float32(config.read_noise_sd_grey_levels)
    return clean_CHW + shot_sd * normal_CHW[0] + read_sd * normal_CHW[1]


def quantise(image_CHW: np.ndarray) -> np.ndarray:
    """Grey levels rounded and clipped to 0..255, uint8."""
    return np.clip(np.rint(image_CHW), 0, 255).astype(np.uint8)
