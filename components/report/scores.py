"""Prediction rows to accuracies with their intervals.

Rows arrive as a data frame without probabilities (see ``collect.py``), one row a site or
a well, with the columns in :data:`COLUMNS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import pandas as pd

from components.report.data import (
    Headline,
    PlateScore,
    Rung,
    ScoredExperiment,
    SliceScore,
    SplitScore,
)
from trainer import schema
from trainer.metrics.classification import chance_level, commonest_share, macro_accuracy
from trainer.metrics.intervals import (
    Proportion,
    accuracy,
    clustered_interval,
)

CONFIDENCE = 0.95
#: Place of the true class among the predicted ones, 0 the top; -1 where unknown.
RANK = "rank"
#: Index and probability of the likeliest class.
TOP1, TOP1_PROBABILITY = "top1", "top1_probability"
COLUMNS = (
    "split",
    schema.LEVEL,
    schema.EXPERIMENT,
    schema.PLATE_ID,
    schema.WELL_ID,
    schema.SITE,
    schema.CELL_TYPE,
    schema.WELL_TYPE,
    schema.LABEL,
    schema.PLATE_KNOWN,
    RANK,
    TOP1,
    TOP1_PROBABILITY,
)

_MEANING = {
    schema.SPLIT_TRAIN: "Experiments the model was trained on: how well it remembers them.",
    schema.SPLIT_IN_DISTRIBUTION: "Sites held back from wells of training experiments: an easier "
    "question than a new experiment.",
    schema.SPLIT_TEST: "Further held-out experiments.",
}

_SPLIT_ORDER = (
    schema.SPLIT_TRAIN,
    schema.SPLIT_EVAL,
    schema.SPLIT_IN_DISTRIBUTION,
    schema.SPLIT_TEST,
    schema.SPLIT_UNLABELLED,
    schema.SPLIT_SCORE,
)

Rows: TypeAlias = pd.DataFrame


def split_order(split: str) -> tuple[int, str]:
    """Sort key: splits in the order of their use, unknown ones last."""
    known = split in _SPLIT_ORDER
    return (_SPLIT_ORDER.index(split) if known else len(_SPLIT_ORDER), split)


def judged(rows: Rows, split: str) -> Rows:
    """Rows of treatment wells with a known label: what accuracies are made of."""
    keep = (
        (rows["split"] == split)
        & (rows[schema.WELL_TYPE] == schema.WELL_TREATMENT)
        & (rows[schema.LABEL] >= 0)
    )
    return rows[keep]


def of_level(rows: Rows, level: str) -> Rows:
    """Site rows or well rows alone."""
    return rows[rows[schema.LEVEL] == level]


def _by_experiment(rows: Rows) -> Proportion:
    return accuracy(rows[RANK] == 0, CONFIDENCE)


def _by_cluster(rows: Rows, cluster: str, stratum: str | None = None, top: int = 1) -> Proportion:
    strata = None if stratum is None else rows[stratum].to_numpy()
    return clustered_interval(rows[RANK] < top, rows[cluster].to_numpy(), strata, CONFIDENCE)


def headline(rows: Rows, n_classes: int) -> Headline:
    """Accuracy per well over all held-out experiments; plates are the clusters."""
    wells = of_level(judged(rows, schema.SPLIT_EVAL), schema.LEVEL_WELL)
    right = wells[RANK] == 0
    return Headline(
        well=_by_cluster(wells, schema.PLATE_ID, schema.EXPERIMENT),
        well_top5=_by_cluster(wells, schema.PLATE_ID, schema.EXPERIMENT, top=5),
        chance=chance_level(n_classes),
        n_classes=n_classes,
        n_experiments=wells[schema.EXPERIMENT].nunique(),
        mean_over_experiments=macro_accuracy(right, wells[schema.EXPERIMENT].to_numpy()),
        commonest_share=commonest_share(wells[schema.LABEL]),
        confidence=CONFIDENCE,
    )


def experiments(
    rows: Rows, expected: Mapping[str, int], cell_types: Mapping[str, str]
) -> tuple[SliceScore, ...]:
    """Every held-out experiment, those of one cell type together, worst first.

    Parameters
    ----------
    expected
        Experiment -> sites it should have; those without a row are shown with n = 0.
    cell_types
        Experiment -> cell type, for experiments that have no row to tell it.
    """
    rows = judged(rows, schema.SPLIT_EVAL)
    names = list(dict.fromkeys([*expected, *rows[schema.EXPERIMENT]]))
    slices = []
    for name in names:
        mine = rows[rows[schema.EXPERIMENT] == name]
        cell_type = mine[schema.CELL_TYPE].iloc[0] if len(mine) else cell_types.get(name, "")
        slices.append(_slice(name, cell_type, mine, _by_experiment, _plates(mine)))
    return _worst_first(slices)


def cell_types(rows: Rows) -> tuple[SliceScore, ...]:
    """Every cell type of the held-out experiments, worst first."""
    rows = judged(rows, schema.SPLIT_EVAL)

    def pooled(wells: Rows) -> Proportion:
        if wells[schema.EXPERIMENT].nunique() <= 1:  # the same wells as in the experiment's row
            return _by_experiment(wells)
        return _by_cluster(wells, schema.PLATE_ID, schema.EXPERIMENT)

    names = sorted(set(rows[schema.CELL_TYPE]))
    found = [_slice(n, n, rows[rows[schema.CELL_TYPE] == n], pooled) for n in names]
    return tuple(sorted(found, key=_worst))


def _slice(
    name: str,
    cell_type: str,
    rows: Rows,
    per_well: Callable[[Rows], Proportion],
    plates: tuple[PlateScore, ...] = (),
) -> SliceScore:
    wells = of_level(rows, schema.LEVEL_WELL)
    sites = of_level(rows, schema.LEVEL_SITE)
    return SliceScore(
        name=name,
        cell_type=cell_type,
        well=per_well(wells),
        well_top5=accuracy(wells[RANK] < 5, CONFIDENCE),
        site=_by_cluster(sites, schema.WELL_ID),
        plates=plates,
    )


def _plates(rows: Rows) -> tuple[PlateScore, ...]:
    numbers = sorted(set(of_level(rows, schema.LEVEL_SITE)[schema.SITE]))
    scores = []
    for plate, mine in rows.groupby(schema.PLATE_ID, sort=True):
        sites = of_level(mine, schema.LEVEL_SITE)
        by_site = {int(s): _by_experiment(sites[sites[schema.SITE] == s]) for s in numbers}
        wells = of_level(mine, schema.LEVEL_WELL)
        scores.append(PlateScore(str(plate), _by_experiment(wells), by_site))
    return tuple(scores)


def _worst(row: SliceScore) -> tuple[float, str]:
    return (-1.0 if row.well.value is None else row.well.value, row.name)


def _worst_first(slices: list[SliceScore]) -> tuple[SliceScore, ...]:
    group_worst: dict[str, tuple[float, str]] = {}
    for row in slices:
        group_worst[row.cell_type] = min(_worst(row), group_worst.get(row.cell_type, _worst(row)))
    return tuple(sorted(slices, key=lambda row: (group_worst[row.cell_type], _worst(row))))


def ladder(rows: Rows, top: Headline) -> tuple[Rung, ...]:
    """From guessing to the headline; no rung knows the layout of the plates."""
    sites = of_level(judged(rows, schema.SPLIT_EVAL), schema.LEVEL_SITE)
    per_site = _by_cluster(sites, schema.PLATE_ID, schema.EXPERIMENT)
    return (
        Rung("chance", "Guessing", f"One of {top.n_classes:,} treatments at random.", top.chance),
        Rung(
            "commonest",
            "The commonest treatment",
            "Naming the same one everywhere; above chance only where treatments are uneven.",
            top.commonest_share,
        ),
        Rung(
            "per_site",
            "Per site",
            "One field of view at a time, as most published figures are given.",
            per_site.value,
            per_site,
        ),
        Rung(
            "per_well",
            "Per well",
            "The sites of a well pooled (mean probability): the headline.",
            top.well.value,
            top.well,
            headline=True,
        ),
        Rung(
            "top5_per_well",
            "Per well, among the first five",
            "The right treatment is one of the five likeliest; chance is "
            f"{100 * min(5 / top.n_classes, 1):.2g} %.",
            top.well_top5.value,
            top.well_top5,
        ),
    )


def other_splits(rows: Rows) -> tuple[SplitScore, ...]:
    """Accuracy on every split with labels that the headline does not use."""
    scores = []
    for split in sorted(set(rows["split"]), key=split_order):
        mine = judged(rows, split)
        if split == schema.SPLIT_EVAL or not len(mine):
            continue
        per = {
            level: _by_cluster(of_level(mine, level), schema.PLATE_ID, schema.EXPERIMENT)
            for level in (schema.LEVEL_WELL, schema.LEVEL_SITE)
        }
        scores.append(
            SplitScore(
                split,
                _MEANING.get(split, ""),
                mine[schema.EXPERIMENT].nunique(),
                per[schema.LEVEL_WELL],
                per[schema.LEVEL_SITE],
            )
        )
    return tuple(scores)


def scored(rows: Rows) -> tuple[ScoredExperiment, ...]:
    """How sure the model is, experiment by experiment, whatever the labels."""
    found = []
    for name, mine in rows.groupby(schema.EXPERIMENT, sort=True):
        wells = of_level(mine, schema.LEVEL_WELL)
        sure = wells[TOP1_PROBABILITY].to_numpy()
        plates = mine.groupby(schema.PLATE_ID)[schema.PLATE_KNOWN].min()
        found.append(
            ScoredExperiment(
                experiment=str(name),
                cell_type=str(mine[schema.CELL_TYPE].iloc[0]),
                n_plates=len(plates),
                n_wells=len(wells),
                n_sites=len(of_level(mine, schema.LEVEL_SITE)),
                n_plates_unknown=int((plates == 0).sum()),
                mean_confidence=float(sure.mean()) if len(sure) else None,
                confidence_bins=tuple(np.histogram(sure, bins=10, range=(0, 1))[0].tolist()),
            )
        )
    return tuple(found)
