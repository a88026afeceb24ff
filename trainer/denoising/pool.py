"""Patches that a denoiser trains on: one channel each, grey levels, as free of noise as can be."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trainer.denoiser_config import DenoiserFit
from trainer.errors import PlatewiseError
from trainer.schema import GREY_LEVELS

_ENDINGS = (".png", ".tif", ".tiff")
#: Pixel sizes that simulated fields are drawn from, um: from 40x objectives to 4x.
_PIXEL_SIZE_UM = (0.3, 1.6)
_FIELD_SIDE_PATCHES = 3


def generic_pool(config: DenoiserFit, texture_share: float = 0.6) -> np.ndarray:
    """Textures and simulated fields, float32 [N, patch, patch] of ``config.pool_patches``."""
    # Images for training on TPU leave the simulation out.
    from trainer.simulation.config import SimulationConfig
    from trainer.simulation.layout import screen_rows
    from trainer.simulation.screen import simulate_site
    from trainer.simulation.textures import texture_grey

    rng = np.random.default_rng([config.seed, 1])
    side_px = config.pool_patch_px
    n_textures = round(texture_share * config.pool_patches)
    patches = [texture_grey(rng, side_px) for _ in range(n_textures)]
    # Another seed than any screen of the benchmark has.
    screen = SimulationConfig(seed=10_000 + config.seed, experiments_per_cell_type=10)
    rows = screen_rows(screen)
    while len(patches) < config.pool_patches:
        field_px = _FIELD_SIDE_PATCHES * side_px
        low, high = np.log(_PIXEL_SIZE_UM)
        scaled = dataclasses.replace(
            screen, pixel_size_um=float(np.exp(rng.uniform(low, high))), image_size_px=field_px
        )
        _, clean_CHW = simulate_site(scaled, rows[rng.integers(len(rows))])
        for channel_HW in np.clip(clean_CHW, 0, GREY_LEVELS - 1):
            patches += _cut(rng, channel_HW, side_px, _FIELD_SIDE_PATCHES)
    return np.stack(patches[: config.pool_patches]).astype(np.float32)


def folder_pool(folder: str | Path, config: DenoiserFit) -> np.ndarray:
    """Random patches of every grey 8-bit PNG and TIFF below a folder, as many from each.

    Raises
    ------
    PlatewiseError
        No image, one that cannot be read, is no grey 8-bit image, or is smaller than a patch;
        it is named.
    """
    paths = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in _ENDINGS)
    if not paths:
        raise PlatewiseError(f"{folder} holds no image that ends in {', '.join(_ENDINGS)}")
    rng = np.random.default_rng([config.seed, 2])
    if len(paths) > config.pool_patches:
        chosen = rng.choice(len(paths), config.pool_patches, replace=False)
        paths = [paths[i] for i in sorted(chosen)]
    shares = np.full(len(paths), config.pool_patches // len(paths))
    shares[: config.pool_patches % len(paths)] += 1
    patches: list[np.ndarray] = []
    for path, share in zip(paths, shares, strict=True):
        patches += _cut(rng, _read(path, config.pool_patch_px), config.pool_patch_px, int(share))
    return np.stack(patches).astype(np.float32)


def _cut(rng: np.random.Generator, image_HW: np.ndarray, side_px: int, n: int) -> list[np.ndarray]:
    tops = rng.integers(0, image_HW.shape[0] - side_px + 1, n)
    lefts = rng.integers(0, image_HW.shape[1] - side_px + 1, n)
    corners: Sequence[tuple[int, int]] = list(zip(tops, lefts, strict=True))
    return [image_HW[top : top + side_px, left : left + side_px] for top, left in corners]


def _read(path: Path, side_px: int) -> np.ndarray:
    import imagecodecs

    try:
        image_HW = np.squeeze(imagecodecs.imread(path.read_bytes()))
    except Exception as error:  # noqa: BLE001  (each codec has errors of its own)
        raise PlatewiseError(
            f"cannot read {path} as PNG or TIFF ({type(error).__name__}: {error}); mend it or "
            "take it out of the folder"
        ) from None
    if image_HW.ndim != 2 or image_HW.dtype != np.uint8:
        raise PlatewiseError(
            f"{path} is {image_HW.dtype} {image_HW.shape}, and training wants 8-bit grey images "
            "[H, W]; save each channel as one"
        )
    if min(image_HW.shape) < side_px:
        raise PlatewiseError(
            f"{path} is {image_HW.shape[0]} x {image_HW.shape[1]} px, smaller than a patch; set "
            f"pool_patch_px to at most {min(image_HW.shape)} (it is {side_px})"
        )
    return np.asarray(image_HW)
