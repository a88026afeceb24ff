"""Runs denoisers over noisy fields and keeps what each did to each channel of each field.

A denoiser is any callable from raw grey levels to raw grey levels,
``denoise(noisy_BHWC) -> denoised_BHWC``, float32. It is called with one field at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trainer.denoising_benchmark.cases import NoiseCase
from trainer.errors import PlatewiseError
from trainer.metrics.image import (
    mean_bias_grey_levels,
    psnr_db,
    scale_invariant_psnr_db,
    ssim,
)

Denoise = Callable[[np.ndarray], np.ndarray]

#: Families of methods: ``noisy`` does nothing, ``classical`` is what gates compare with.
NOISY, CLASSICAL, LOF, LEARNED = "noisy", "classical", "lof", "learned"

#: PSNR of equal images is infinite, which no mean survives: errors below this are cut, dB.
PSNR_CAP_DB = 100.0


@dataclass(frozen=True)
class Method:
    """A row of the table."""

    name: str
    #: Gets the case, so that a method can be told the noise; a blind one ignores it.
    for_case: Callable[[NoiseCase], Denoise]
    family: str = CLASSICAL
    #: Its result does not depend on the case it is told (it is blind).
    blind: bool = True

    @classmethod
    def of(cls, name: str, denoise: Denoise, family: str = LEARNED) -> Method:
        """A blind method from a plain callable."""
        return cls(name, lambda case: denoise, family)


@dataclass(frozen=True, eq=False)
class Field:
    """One field of view, taken as free of noise."""

    #: Such as ``HUVEC-03_1_B02_1``.
    key: str
    #: float32 grey levels, 0..255.
    clean_HWC: np.ndarray
    #: A noisy twin that was really captured; None where noise is to be injected.
    noisy_HWC: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Scores:
    """What one method did in one case: one row a field (F), one column a channel (C)."""

    case: str
    method: str
    family: str
    psnr_db_FC: np.ndarray
    ssim_FC: np.ndarray
    scale_invariant_psnr_db_FC: np.ndarray
    bias_grey_levels_FC: np.ndarray
    #: Mean intensity of the clean field, grey levels: what the bias is a share of.
    clean_mean_FC: np.ndarray
    #: Processor time over all cores: other work on the machine does not lengthen it.
    seconds_F: np.ndarray
    keys: tuple[str, ...]

    @property
    def seconds_a_field(self) -> float:
        """Median, because the first call of a network compiles it."""
        return float(np.median(self.seconds_F))


def evaluate(
    methods: Sequence[Method],
    fields: Iterable[Field],
    cases: Sequence[NoiseCase],
    *,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> list[Scores]:
    """Scores of every method in every case, all on the same noisy fields.

    Parameters
    ----------
    methods
        Rows of the table; the noisy image itself is one too (:data:`noisy_method`).
    fields
        All of one number of channels; sizes may differ.
    cases
        Noise to inject. For captured pairs give :data:`CAPTURED` alone.
    seed
        Of the noise.
    progress
        Gets a line of text before each method.

    Raises
    ------
    PlatewiseError
        A method that returns another shape, or pixels that are not finite; no fields.
    """
    kept = list(fields)
    if not kept:
        raise PlatewiseError("the benchmark has no fields to measure on")
    scores = []
    for case in cases:
        pairs = [_pair(field, case, seed) for field in kept]
        for method in methods:
            if progress is not None:
                progress(f"{case.name}: {method.name}")
            scores.append(_score(method, case, kept, pairs))
    return scores


def _pair(field: Field, case: NoiseCase, seed: int) -> tuple[np.ndarray, np.ndarray]:
    clean_BHWC = np.asarray(field.clean_HWC, np.float32)[None]
    if field.noisy_HWC is not None:
        return clean_BHWC, np.asarray(field.noisy_HWC, np.float32)[None]
    return clean_BHWC, case.corrupt(clean_BHWC, field.key, seed)


def _score(
    method: Method,
    case: NoiseCase,
    fields: Sequence[Field],
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
) -> Scores:
    denoise = method.for_case(case)
    columns: dict[str, list[np.ndarray]] = {}
    seconds = []
    for field, (clean, noisy) in zip(fields, pairs, strict=True):
        start = time.process_time()
        denoised = np.asarray(denoise(noisy.copy()), np.float32)
        seconds.append(time.process_time() - start)
        _check(denoised, noisy, f"{method.name} on {field.key} ({case.name})")
        for key, values in measure(clean, denoised).items():
            columns.setdefault(key, []).append(values[0])
    return Scores(
        case=case.name,
        method=method.name,
        family=method.family,
        **{key: np.stack(rows) for key, rows in columns.items()},
        seconds_F=np.array(seconds),
        keys=tuple(field.key for field in fields),
    )


def measure(clean_BHWC: np.ndarray, denoised_BHWC: np.ndarray) -> Mapping[str, np.ndarray]:
    """Every measure of the benchmark, each [B, C], keyed by its field in :class:`Scores`."""
    return {
        "psnr_db_FC": np.minimum(psnr_db(clean_BHWC, denoised_BHWC), PSNR_CAP_DB),
        "ssim_FC": ssim(clean_BHWC, denoised_BHWC),
        "scale_invariant_psnr_db_FC": np.minimum(
            scale_invariant_psnr_db(clean_BHWC, denoised_BHWC), PSNR_CAP_DB
        ),
        "bias_grey_levels_FC": mean_bias_grey_levels(clean_BHWC, denoised_BHWC),
        "clean_mean_FC": np.asarray(clean_BHWC, np.float64).mean(axis=(1, 2)),
    }


def _check(denoised: np.ndarray, noisy: np.ndarray, what: str) -> None:
    if denoised.shape != noisy.shape:
        raise PlatewiseError(f"{what} returned shape {denoised.shape} for {noisy.shape}")
    if not np.isfinite(denoised).all():
        raise PlatewiseError(f"{what} returned pixels that are not finite")


#: The noisy image itself: what every gain is measured from.
noisy_method = Method("noisy", lambda case: lambda noisy_BHWC: noisy_BHWC, NOISY)

#: The only case of fields that bring their own noisy twin.
CAPTURED = NoiseCase("captured")
