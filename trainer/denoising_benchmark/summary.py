"""From scores to means, differences and their paired intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trainer.denoising_benchmark.evaluate import CLASSICAL, LOF, Scores
from trainer.errors import PlatewiseError


@dataclass(frozen=True)
class Difference:
    """Mean of paired differences over fields, with its percentile interval."""

    value: float
    low: float
    high: float
    n_fields: int


def paired_bootstrap(
    difference_F: np.ndarray, *, n_resamples: int = 2000, confidence: float = 0.95, seed: int = 0
) -> Difference:
    """Interval of the mean of paired differences, fields resampled (Efron's percentiles).

    The fields are resampled, not pixels or channels: neighbouring pixels and the channels of
    one field rise and fall together. With one field there is nothing to resample, and the
    interval is NaN.
    """
    values = np.asarray(difference_F, np.float64)
    if values.size < 2:
        return Difference(float(values.mean()), float("nan"), float("nan"), int(values.size))
    draws = np.random.default_rng(seed).integers(values.size, size=(n_resamples, values.size))
    tail = (1 - confidence) / 2
    low, high = np.quantile(values[draws].mean(axis=1), [tail, 1 - tail])
    return Difference(float(values.mean()), float(low), float(high), int(values.size))


def select(scores: Sequence[Scores], case: str, method: str) -> Scores:
    """The scores of one method in one case.

    Raises
    ------
    PlatewiseError
        They were not measured.
    """
    for entry in scores:
        if entry.case == case and entry.method == method:
            return entry
    raise PlatewiseError(f"{method!r} was not measured in case {case!r}")


def best_classical(
    scores: Sequence[Scores], case: str, channel: int | None = None, but: str = ""
) -> Scores | None:
    """The classical method of the highest mean PSNR in a case; None where none was measured.

    It is chosen on the very fields that it is compared on, which favours it.

    Parameters
    ----------
    channel
        In this channel; None: over the mean of all.
    but
        Name of a method to leave out.
    """
    entries = [
        entry
        for entry in scores
        if entry.case == case and entry.family in (CLASSICAL, LOF) and entry.method != but
    ]
    return max(entries, key=lambda entry: float(psnr_F(entry, channel).mean()), default=None)


def psnr_F(scores: Scores, channel: int | None = None) -> np.ndarray:  # noqa: N802 - an axis
    """PSNR of each field: of one channel, or the mean over channels."""
    values_FC = scores.psnr_db_FC
    return values_FC.mean(axis=1) if channel is None else values_FC[:, channel]


def gain_db(ours: Scores, theirs: Scores, channel: int | None = None) -> Difference:
    """How much higher our PSNR is, field by field.

    Raises
    ------
    PlatewiseError
        The two were measured on different fields or cases.
    """
    if ours.keys != theirs.keys or ours.case != theirs.case:
        raise PlatewiseError(
            f"{ours.method} and {theirs.method} were measured on different fields or cases"
        )
    return paired_bootstrap(psnr_F(ours, channel) - psnr_F(theirs, channel))
