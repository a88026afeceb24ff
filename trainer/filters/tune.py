"""The settings under which a filter comes nearest to clean images."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer.errors import PlatewiseError
from trainer.filters import apply, find
from trainer.filters.noise_estimate import NoiseModel
from trainer.metrics.image import psnr_db
from trainer.strict import build


@dataclass(frozen=True, eq=False)
class Pair:
    """A clean image and its noisy twin, grey levels [H, W, C]."""

    clean_HWC: np.ndarray
    noisy_HWC: np.ndarray
    #: None lets the filter estimate it.
    noise: NoiseModel | None = None


@dataclass(frozen=True)
class Tuned:
    """The best settings of a grid, and how all of them did."""

    settings: Any
    psnr_db: float
    #: Every point of the grid with its mean PSNR in dB, best first.
    tried: tuple[tuple[dict[str, Any], float], ...]


def tune(name: str, pairs: Sequence[Pair], grid: Mapping[str, Sequence[Any]]) -> Tuned:
    """Try every combination of settings; the highest mean PSNR wins.

    Parameters
    ----------
    name
        Key of :data:`trainer.filters.FILTERS`.
    pairs
        Of training experiments: what is tuned on held-out ones cannot be compared on them.
    grid
        Setting -> values. Settings that are left out keep their default.

    Raises
    ------
    PlatewiseError
        No pairs.
    ConfigError
        A setting that the filter does not have, or a value that does not fit.
    """
    if not pairs:
        raise PlatewiseError(f"tuning {name} needs at least one pair of images")
    tried = []
    for values in itertools.product(*grid.values()):
        point = dict(zip(grid, values, strict=True))
        settings: Any = build(find(name).settings, point)
        psnr = [
            psnr_db(
                pair.clean_HWC[None], apply(name, pair.noisy_HWC, settings, pair.noise)[None]
            ).mean()
            for pair in pairs
        ]
        tried.append((point, float(np.mean(psnr))))
    tried.sort(key=lambda entry: -entry[1])
    best, psnr_best = tried[0]
    return Tuned(build(find(name).settings, best), psnr_best, tuple(tried))
