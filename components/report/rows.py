"""Prediction rows, read plate by plate and reduced to what accuracies need.

Probabilities of a whole screen would not fit in memory (RxRx1: 125,510 sites x 1,108), so
each plate's are ranked as they are read and then dropped.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from components.report import scores
from trainer import schema
from trainer.manifest import read_manifest
from trainer.metrics.classification import ranks
from trainer.predictions import FIDELITY_COLUMNS, Columns, read_plates

_KEPT = (
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
)


def splits(folder: str) -> tuple[str, ...]:
    """Splits that were predicted."""
    return read_manifest(folder).splits()


def reduced(plate: Columns) -> scores.Rows:
    """Rows of a plate without probabilities: rank of the truth, likeliest class, fidelity."""
    probabilities_NK = plate[schema.PROBABILITIES]
    label = plate[schema.LABEL]
    known = label >= 0
    rank = np.full(len(label), -1, np.int64)
    rank[known] = ranks(probabilities_NK[known], label[known])
    top1 = probabilities_NK.argmax(axis=1)
    values: dict[str, Any] = {key: plate[key] for key in _KEPT}
    values |= {
        scores.RANK: rank,
        scores.TOP1: top1,
        scores.TOP1_PROBABILITY: probabilities_NK[np.arange(len(top1)), top1],
    }
    values |= {key: _measured(plate[key]) for key in FIDELITY_COLUMNS if key in plate}
    return pd.DataFrame(values)


def _measured(values_NC: np.ndarray) -> list[list[float]]:
    return [[] if np.isnan(row).any() else row.tolist() for row in values_NC]


def read_reduced(folder: str) -> scores.Rows:
    """All rows of a folder, reduced; an empty table where nothing was predicted."""
    return joined([reduced(plate) for plate in read_plates(folder)])


def joined(parts: list[scores.Rows]) -> scores.Rows:
    """Tables of plates, one below the other."""
    if not parts:
        return pd.DataFrame({key: [] for key in scores.COLUMNS})
    return pd.concat(parts, ignore_index=True)
