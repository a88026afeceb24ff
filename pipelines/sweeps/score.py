"""What one arm with one seed scored: a few numbers from its prediction rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from trainer import schema
from trainer.corrections import CORRECTIONS_ON_CONTROLS, fit_correction
from trainer.metrics.batch_effect import batch_probe
from trainer.metrics.classification import top_k_correct
from trainer.predictions import SPLIT, Columns, select

#: Metric -> its unit and what it means; a row of the table has one column each.
METRICS = {
    "per_well": ("%", "network, treatment wells of held-out experiments, sites pooled"),
    "per_site": ("%", "the same, each site by itself"),
    "per_well_centroid": (
        "%",
        "nearest treatment centroid (cosine) of the training wells in the corrected embedding",
    ),
    "probe": (
        "%",
        "linear probe of the experiment within a cell type, held-out and training wells, "
        "corrected embedding; chance is 1 / experiments of the cell type",
    ),
    "psnr_gain_db": (
        "dB",
        "denoised against noisy under the fixed noise, mean over channels; the reference is the "
        "image as it is, so on images that are noisy themselves a good denoiser loses",
    ),
    "train_s": ("s", "training, wall clock of the machine as it was"),
}


def score(rows: Columns, correction: str) -> dict[str, float | None]:
    """Metrics of one arm but for its time; None where a metric cannot be had.

    Parameters
    ----------
    rows
        Rows of the splits ``train`` and ``eval``, sites and wells.
    correction
        Name of the correction of the embedding; empty: none.
    """
    held_out = rows[SPLIT] == schema.SPLIT_EVAL
    treated = rows[schema.WELL_TYPE] == schema.WELL_TREATMENT
    known = rows[schema.LABEL] >= 0
    wells = rows[schema.LEVEL] == schema.LEVEL_WELL
    embedding = _corrected(select(rows, wells), correction)
    scored = {
        "per_well": _accuracy(select(rows, held_out & treated & known & wells)),
        "per_site": _accuracy(select(rows, held_out & treated & known & ~wells)),
    }
    at_wells = select(rows, wells)
    return scored | {
        "per_well_centroid": _centroid_accuracy(at_wells, embedding),
        "probe": _probe(at_wells, embedding),
        "psnr_gain_db": _psnr_gain_db(select(rows, held_out & ~wells)),
    }


def _accuracy(rows: Columns) -> float | None:
    if not len(rows[schema.LABEL]):
        return None
    correct = top_k_correct(rows[schema.PROBABILITIES], rows[schema.LABEL])
    return 100 * float(correct.mean())


def _corrected(wells: Columns, correction: str) -> np.ndarray:
    embedding = wells[schema.EMBEDDING].astype(np.float64)
    if not correction:
        return embedding
    experiment = wells[schema.EXPERIMENT].astype(str)
    # Positive controls stand on every plate too, and one untreated well a plate is too few.
    control = wells[schema.WELL_TYPE] != schema.WELL_TREATMENT
    train = wells[SPLIT] == schema.SPLIT_TRAIN
    on_controls = correction in CORRECTIONS_ON_CONTROLS
    fitted = fit_correction(
        correction, embedding[train], experiment[train], control[train] if on_controls else None
    )
    return np.asarray(fitted.apply(embedding, experiment, control if on_controls else None))


def _centroid_accuracy(wells: Columns, embedding: np.ndarray) -> float | None:
    usable = (wells[schema.WELL_TYPE] == schema.WELL_TREATMENT) & (wells[schema.LABEL] >= 0)
    train = usable & (wells[SPLIT] == schema.SPLIT_TRAIN)
    held_out = usable & (wells[SPLIT] == schema.SPLIT_EVAL)
    if not train.any() or not held_out.any():
        return None
    labels = np.unique(wells[schema.LABEL][train])
    unit = _unit(embedding - embedding[train].mean(axis=0))
    centroids = np.stack([unit[train & (wells[schema.LABEL] == k)].mean(axis=0) for k in labels])
    nearest = labels[np.argmax(unit[held_out] @ _unit(centroids).T, axis=1)]
    return 100 * float((nearest == wells[schema.LABEL][held_out]).mean())


def _unit(rows: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)


def _probe(wells: Columns, embedding: np.ndarray) -> float | None:
    """Mean over cell types of the probe's accuracy."""
    found = []
    for cell_type in np.unique(wells[schema.CELL_TYPE].astype(str)):
        here = wells[schema.CELL_TYPE].astype(str) == cell_type
        experiment = wells[schema.EXPERIMENT][here].astype(str)
        if len(np.unique(experiment)) >= 2:
            result = batch_probe(embedding[here], experiment, wells[schema.WELL_ID][here])
            if result.accuracy.value is not None:
                found.append(result.accuracy.value)
    return 100 * float(np.mean(found)) if found else None


def _psnr_gain_db(sites: Mapping[str, Any]) -> float | None:
    if schema.PSNR_DENOISED not in sites:
        return None
    gain = sites[schema.PSNR_DENOISED] - sites[schema.PSNR_NOISY]
    measured = gain[np.isfinite(gain)]
    return float(measured.mean()) if measured.size else None
