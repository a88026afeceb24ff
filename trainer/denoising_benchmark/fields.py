"""Where the benchmark's clean fields come from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainer.denoising_benchmark.evaluate import Field
from trainer.errors import PlatewiseError
from trainer.schema import N_CHANNELS, natural_key

if TYPE_CHECKING:
    from trainer.simulation import SimulationConfig
    from trainer.simulation.layout import SiteRow

#: What the simulation's table calls experiments for training and those held out.
TRAINING_EXPERIMENTS, HELD_OUT_EXPERIMENTS = "train", "test"


def simulated_fields(
    config: SimulationConfig,
    n_fields: int,
    dataset: str = HELD_OUT_EXPERIMENTS,
    size_px: int = 0,
) -> list[Field]:
    """Fields of a simulated screen before its camera, clipped and rounded to 8 bits.

    They are spread evenly over cell types, experiments and plates, each of another well.

    Parameters
    ----------
    config
        The screen. Fields take a second or two each at 512 px.
    n_fields
        How many.
    dataset
        ``test`` (held-out experiments) or ``train``.
    size_px
        Side of the square cut from the middle, px; 0 takes the whole field.
    """
    from trainer.simulation.screen import simulate_site

    fields = []
    for row in _spread(config, n_fields, dataset):
        _, clean_CHW = simulate_site(config, row)
        clean_HWC = np.rint(np.clip(clean_CHW, 0, 255)).transpose(1, 2, 0).astype(np.float32)
        fields.append(Field(row.site_id, _middle(clean_HWC, size_px)))
    return fields


def _spread(config: SimulationConfig, n_fields: int, dataset: str) -> list[SiteRow]:
    """Rows taken in turn from plates, cell types changing fastest."""
    from trainer.simulation.layout import screen_rows

    plates: dict[tuple[str, int], list[SiteRow]] = {}
    for row in screen_rows(config):
        if row.dataset == dataset and row.site == 1:
            plates.setdefault((row.experiment, row.plate), []).append(row)
    if not plates:
        raise PlatewiseError(f"the simulated screen has no {dataset!r} experiments")
    order = sorted(plates, key=lambda key: (key[1], natural_key(key[0].split("-")[-1]), key[0]))
    chosen = []
    for i in range(n_fields):
        wells = plates[order[i % len(order)]]
        # 0.618...: each further round over the plates takes wells far from those it has taken.
        place = int((0.5 + 0.6180339887 * i) % 1.0 * len(wells))
        chosen.append(wells[place])
    return chosen


def rxrx1_fields(folder: str | os.PathLike[str], size_px: int = 0) -> list[Field]:
    """Every six-channel site among the PNGs of a screen in Kaggle's layout, as pseudo-clean.

    Real fields have noise of their own (wavelet sigma 0.1 to 1.8 grey levels in RxRx1), so
    PSNR saturates where a denoiser takes that away too.

    Parameters
    ----------
    folder
        Holds ``train/EXPERIMENT/PlateN/WELL_sS_wC.png`` and ``test/...``.
    size_px
        As in :func:`simulated_fields`.

    Raises
    ------
    PlatewiseError
        No whole site there.
    """
    firsts = sorted(Path(folder).glob("t*/*/Plate*/*_w1.png"), key=lambda p: natural_key(str(p)))
    fields = []
    for first in firsts:
        paths = [first.with_name(first.name.replace("_w1.", f"_w{c}.")) for c in _channels()]
        if all(path.is_file() for path in paths):
            clean_HWC = np.stack([_read_grey(path) for path in paths], axis=-1)
            key = "_".join([first.parts[-3], first.parts[-2].removeprefix("Plate"), first.stem])
            fields.append(Field(key.removesuffix("_w1"), _middle(clean_HWC, size_px)))
    if not fields:
        raise PlatewiseError(f"no site with {N_CHANNELS} channels under {folder}/train or /test")
    return fields


def captured_pairs(folder: str | os.PathLike[str]) -> list[Field]:
    """Pairs ``noisy/NAME.tif`` and ``clean/NAME.tif`` of one channel each.

    Raises
    ------
    PlatewiseError
        No pair there, or two images of different shapes.
    """
    fields = []
    for path in sorted(Path(folder).glob("noisy/*.tif")):
        clean_path = path.parents[1] / "clean" / path.name
        if not clean_path.is_file():
            continue
        noisy_HW, clean_HW = _read_grey(path), _read_grey(clean_path)
        if noisy_HW.shape != clean_HW.shape:
            raise PlatewiseError(
                f"{path} is {noisy_HW.shape} px and {clean_path} {clean_HW.shape}; a pair must "
                "show the same pixels"
            )
        fields.append(Field(path.stem, clean_HW[..., None], noisy_HW[..., None]))
    if not fields:
        raise PlatewiseError(f"no pair noisy/NAME.tif and clean/NAME.tif under {folder}")
    return fields


def _channels() -> Sequence[int]:
    return range(1, N_CHANNELS + 1)


def _read_grey(path: Path) -> np.ndarray:
    import imagecodecs

    data = path.read_bytes()
    decode = imagecodecs.png_decode if path.suffix == ".png" else imagecodecs.imread
    image_HW = np.squeeze(decode(data))
    if image_HW.ndim != 2 or image_HW.dtype != np.uint8:
        raise PlatewiseError(
            f"{path} is {image_HW.dtype} {image_HW.shape}; the benchmark reads 8-bit grey images"
        )
    return image_HW.astype(np.float32)


def _middle(image_HWC: np.ndarray, size_px: int) -> np.ndarray:
    if size_px == 0:
        return image_HWC
    top, left = ((side - size_px) // 2 for side in image_HWC.shape[:2])
    if min(top, left) < 0:
        raise PlatewiseError(f"fields are {image_HWC.shape[:2]} px, smaller than {size_px} px")
    return image_HWC[top : top + size_px, left : left + size_px]
