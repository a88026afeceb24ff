"""Calibration of a whole prediction: before and after a temperature that never saw the rows.

The temperature of an experiment that is judged is fitted on other rows than its own: on the
other held-out experiments (cross-fitting), or, where there is only one, on held-back sites of
training experiments.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.metrics.calibration import (
    Bin,
    brier_score,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    reliability,
    tempered,
)
from trainer.metrics.intervals import cluster_bootstrap

#: Where a temperature comes from, as a sentence for people.
CROSS_FITTED = (
    "each held-out experiment's temperature is fitted on the other held-out experiments, never "
    "on its own wells"
)
FITTED_APART = "the temperature is fitted on the split {split}, which no threshold reads"
NOT_FITTED = (
    "no temperature was fitted: that takes a second held-out experiment, or sites held back "
    "from training experiments"
)


@dataclass(frozen=True, eq=False)
class WellTable:
    """Treatment wells with known labels."""

    #: float [N, K], rows that sum to 1.
    probabilities_NK: NDArray[Any]
    label_N: NDArray[np.int64]
    experiment_N: NDArray[Any]
    plate_N: NDArray[Any]


@dataclass(frozen=True)
class CalibrationScores:
    """How far probabilities can be believed; None without rows. Lower is better in all."""

    n: int
    #: Expected calibration error, 15 bins of equal width, with its 95 % interval over plates.
    ece: float | None
    ece_low: float | None
    ece_high: float | None
    #: The same in 15 bins of equal mass.
    ece_equal_mass: float | None
    brier: float | None
    #: Nats.
    negative_log_likelihood: float | None
    #: Mean probability of the first choice, and the share in which it is right.
    mean_confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Calibration:
    """Before and after temperature scaling, over all held-out experiments and within each."""

    before: CalibrationScores
    #: None where no temperature could be fitted apart from the rows it is tried on.
    after: CalibrationScores | None
    before_by_experiment: Mapping[str, CalibrationScores]
    after_by_experiment: Mapping[str, CalibrationScores]
    #: Temperature that each experiment was read at.
    temperatures: Mapping[str, float]
    #: For plates still to come: fitted on all of the rows that may be fitted on.
    temperature: float | None
    #: How the temperature was fitted, a sentence.
    fitted_on: str
    bins_before: tuple[Bin, ...] = ()
    bins_after: tuple[Bin, ...] = ()

    def plain(self) -> dict[str, Any]:
        """For JSON; :func:`from_plain` reads it back."""
        return dataclasses.asdict(self)


def calibration(held_out: WellTable, apart: WellTable | None, split: str = "") -> Calibration:
    """Measure calibration and fit temperatures.

    Parameters
    ----------
    held_out
        Wells of the experiments that are judged.
    apart
        Wells that no threshold reads, of split ``split``: taken where there are not two
        held-out experiments to fit crosswise.
    """
    names = sorted(set(held_out.experiment_N.tolist()))
    temperatures, temperature, fitted_on = _temperatures(held_out, apart, split, names)
    p = held_out.probabilities_NK
    parts = {name: held_out.experiment_N == name for name in names}
    after = np.array(p, dtype=np.float64)
    for name, value in temperatures.items():
        after[parts[name]] = tempered(p[parts[name]], value)

    def scores(values: NDArray[Any], rows: NDArray[np.bool_]) -> CalibrationScores:
        return _scores(values[rows], held_out.label_N[rows], held_out.plate_N[rows])

    every = np.ones(len(held_out.label_N), dtype=bool)
    return Calibration(
        before=scores(p, every),
        after=scores(after, every) if temperatures else None,
        before_by_experiment={name: scores(p, rows) for name, rows in parts.items()},
        after_by_experiment={name: scores(after, parts[name]) for name in temperatures},
        temperatures=temperatures,
        temperature=temperature,
        fitted_on=fitted_on,
        bins_before=reliability(*_first(p, held_out.label_N)),
        bins_after=reliability(*_first(after, held_out.label_N)) if temperatures else (),
    )


def from_plain(plain: Mapping[str, Any]) -> Calibration:
    """Inverse of :meth:`Calibration.plain`."""
    one = CalibrationScores
    return Calibration(
        before=one(**plain["before"]),
        after=one(**plain["after"]) if plain["after"] else None,
        before_by_experiment={k: one(**v) for k, v in plain["before_by_experiment"].items()},
        after_by_experiment={k: one(**v) for k, v in plain["after_by_experiment"].items()},
        temperatures=plain["temperatures"],
        temperature=plain["temperature"],
        fitted_on=plain["fitted_on"],
        bins_before=tuple(Bin(**b) for b in plain["bins_before"]),
        bins_after=tuple(Bin(**b) for b in plain["bins_after"]),
    )


def _temperatures(
    held_out: WellTable, apart: WellTable | None, split: str, names: list[str]
) -> tuple[dict[str, float], float | None, str]:
    """Of each experiment, of plates to come, and how they were found."""
    if len(names) > 1:
        crossed = {}
        for name in names:
            others = held_out.experiment_N != name
            crossed[name] = fit_temperature(
                held_out.probabilities_NK[others], held_out.label_N[others]
            )
        everything = fit_temperature(held_out.probabilities_NK, held_out.label_N)
        return crossed, everything, CROSS_FITTED
    if apart is not None and len(apart.label_N):
        value = fit_temperature(apart.probabilities_NK, apart.label_N)
        return dict.fromkeys(names, value), value, FITTED_APART.format(split=split)
    return {}, None, NOT_FITTED


def _first(p_NK: NDArray[Any], label_N: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Probability of the first choice, and whether it is right."""
    if not len(label_N):
        return np.zeros(0), np.zeros(0, dtype=bool)
    return np.minimum(p_NK.max(axis=1), 1.0), p_NK.argmax(axis=1) == label_N


def _scores(
    p_NK: NDArray[Any], label_N: NDArray[np.int64], plate_N: NDArray[Any]
) -> CalibrationScores:
    confidence, right = _first(p_NK, label_N)
    if not label_N.size:
        return CalibrationScores(0, *[None] * 8)
    low = high = None
    if len(set(plate_N.tolist())) > 1:
        low, high = cluster_bootstrap(
            lambda rows: expected_calibration_error(confidence[rows], right[rows]) or 0.0,
            plate_N,
            n_resamples=200,
        )
    return CalibrationScores(
        n=int(label_N.size),
        ece=expected_calibration_error(confidence, right),
        ece_low=low,
        ece_high=high,
        ece_equal_mass=expected_calibration_error(confidence, right, binning="mass"),
        brier=brier_score(p_NK, label_N),
        negative_log_likelihood=negative_log_likelihood(p_NK, label_N),
        mean_confidence=float(confidence.mean()),
        accuracy=float(right.mean()),
    )
