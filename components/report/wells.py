"""Ladder and calibration as the page and ``metrics.json`` show them."""

from __future__ import annotations

import dataclasses
from typing import Any

from components.evaluator.wells import WellMeasures, read_wells
from components.report.data import Rung, SliceScore
from trainer.errors import PlatewiseError
from trainer.metrics.intervals import Proportion
from trainer.metrics.ladder import ASSIGNMENT, BOTH, GROUPS, RUNGS, USES_LAYOUT, Ladder

#: Names of the rungs in a table's head.
NAMES = {
    "per_site": "Per site",
    "per_well": "Per well",
    GROUPS: "Plate groups",
    ASSIGNMENT: "Linear assignment",
    BOTH: "Both",
}


def read_measures(evaluation: str) -> WellMeasures:
    """What the Evaluator measured of whole plates; empty without an evaluation.

    Raises
    ------
    PlatewiseError
        A file that is not whole.
    """
    if not evaluation:
        return WellMeasures()
    try:
        return read_wells(evaluation)
    except (ValueError, KeyError, TypeError) as error:
        raise PlatewiseError(
            f"cannot read the ladder or the calibration in {evaluation} "
            f"({type(error).__name__}: {error}): not a finished evaluation; run the pipeline again"
        ) from error


def layout_rungs(ladder: Ladder | None) -> tuple[Rung, ...]:
    """The rungs that use knowledge of the layout; none where none was learned."""
    if ladder is None:
        return ()
    rungs = []
    for key in USES_LAYOUT:
        score = ladder.overall[key]
        rungs.append(
            Rung(key, NAMES[key], _meaning(key, ladder), score.value, score, uses_layout=True)
        )
    return tuple(rungs)


def _meaning(key: str, ladder: Ladder) -> str:
    if not ladder.n_training_plates:
        return "Not measured: there are no predictions of training plates to learn a layout from."
    if key in (GROUPS, BOTH) and not ladder.group_sizes:
        return "Not measured: on the training plates treatments stand in no fixed groups."
    guessed = ladder.plates_guessed
    groups = (
        f"Answers kept to one of the {len(ladder.group_sizes)} groups of treatments that share a "
        f"plate in training; the group is guessed from the plate's own predictions (right on "
        f"{guessed.n_correct} of {guessed.n} plates)."
    )
    each = "one well" if ladder.copies == 1 else f"at most {ladder.copies} wells"
    assignment = f"All wells of a plate answered together, each treatment given to {each}."
    return {
        GROUPS: groups,
        ASSIGNMENT: assignment,
        BOTH: "The group first, then the assignment within it.",
    }[key]


def with_ladder(experiment: SliceScore, ladder: Ladder | None) -> dict[str, Proportion]:
    """Rung -> accuracy of one experiment; empty where it was not climbed."""
    return dict(ladder.experiments.get(experiment.name, {})) if ladder else {}


def ladder_entry(experiment: SliceScore, ladder: Ladder | None) -> dict[str, Any]:
    """An experiment's ladder for ``metrics.json``."""
    found = with_ladder(experiment, ladder)
    return {
        rung: {
            "accuracy": found[rung].value,
            "low": found[rung].low,
            "high": found[rung].high,
            "n": found[rung].n,
            "uses_layout": rung in USES_LAYOUT,
        }
        for rung in RUNGS
        if rung in found
    }


def ladder_facts(ladder: Ladder | None) -> dict[str, Any] | None:
    """What the layout rungs were made from, for ``metrics.json``."""
    if ladder is None:
        return None
    return {
        "group_sizes": list(ladder.group_sizes),
        "plates_guessed": dataclasses.asdict(ladder.plates_guessed),
        "copies": ladder.copies,
        "n_training_plates": ladder.n_training_plates,
    }
