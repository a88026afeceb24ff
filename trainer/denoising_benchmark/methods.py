"""The rows that every benchmark has: the classical filters, blind or told the noise."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trainer.denoising_benchmark.cases import NoiseCase
from trainer.denoising_benchmark.evaluate import CLASSICAL, LOF, Denoise, Method
from trainer.filters import apply
from trainer.filters.noise_estimate import NoiseModel
from trainer.filters.settings import (
    GaussianSettings,
    MedianSettings,
    TotalVariationSettings,
)


@dataclass(frozen=True)
class _Row:
    name: str
    filter: str
    settings: Any = None
    family: str = field(default=CLASSICAL)


_ROWS = (
    _Row("gaussian", "gaussian"),
    # What suits a smooth screen, and what suits fine structure, differ: both are there.
    _Row("gaussian-2", "gaussian", GaussianSettings(2.0)),
    _Row("gaussian-4", "gaussian", GaussianSettings(4.0)),
    _Row("median-3", "median", MedianSettings(3)),
    _Row("median-5", "median", MedianSettings(5)),
    _Row("switching-median", "switching-median"),
    _Row("bilateral", "bilateral"),
    _Row("tv", "tv"),
    _Row("tv-1", "tv", TotalVariationSettings(1.0)),
    _Row("wavelet", "wavelet"),
    _Row("nlm", "nlm"),
    _Row("vst-nlm", "vst-nlm"),
    _Row("switching+vst-nlm", "switching+vst-nlm"),
    _Row("lof", "lof", family=LOF),
    _Row("kde-lof", "kde-lof", family=LOF),
    _Row("grid-lof", "grid-lof", family=LOF),
    _Row("bm3d", "bm3d"),
)


def classical_methods(told: bool = False, names: tuple[str, ...] = ()) -> list[Method]:
    """Every classical filter with its tuned settings; BM3D where its package is installed.

    Parameters
    ----------
    told
        Tell the filters the noise of each case; else they estimate it.
    names
        Rows to take; empty takes all.
    """
    has_bm3d = importlib.util.find_spec("bm3d") is not None
    return [
        _method(row, told)
        for row in _ROWS
        if (not names or row.name in names) and (row.filter != "bm3d" or has_bm3d)
    ]


def noise_of(case: NoiseCase) -> NoiseModel:
    """What a filter is told of a case; impulses are not part of it."""
    gain = 255.0 / case.peak_photons if case.peak_photons else 0.0
    return NoiseModel(gain, case.sigma_grey_levels, case.clipped)


def _method(row: _Row, told: bool) -> Method:
    def for_case(case: NoiseCase) -> Denoise:
        noise = noise_of(case) if told else None

        def denoise(noisy_BHWC: np.ndarray) -> np.ndarray:
            return np.stack([apply(row.filter, x, row.settings, noise) for x in noisy_BHWC])

        return denoise

    name = f"{row.name} (told)" if told else row.name
    return Method(name, for_case, row.family, blind=not told)
