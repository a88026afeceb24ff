"""All batch-effect metrics of an embedding as one table."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainer.metrics.batch_effect.catalogue import METRIC_NAMES
from trainer.metrics.batch_effect.config import BatchEffectConfig
from trainer.metrics.batch_effect.inputs import checked_embedding, codes
from trainer.metrics.batch_effect.rows import (
    SCOPE_ALL,
    BatchEffectResult,
    LabelRow,
    VarianceRow,
)
from trainer.metrics.batch_effect.scope import Profiles, ScopeMetrics
from trainer.metrics.batch_effect.threads import blas_threads


def batch_effect_metrics(
    embedding_ND: ArrayLike,
    label_N: ArrayLike,
    experiment_N: ArrayLike,
    *,
    cell_type_N: ArrayLike | None = None,
    plate_N: ArrayLike | None = None,
    position_N: ArrayLike | None = None,
    well_N: ArrayLike | None = None,
    config: BatchEffectConfig | None = None,
) -> BatchEffectResult:
    """Batch and biology metrics within each cell type and over all rows.

    Where an experiment has one cell type, metrics over all rows reward erasing the difference
    between cell types: read those within a cell type first.

    Parameters
    ----------
    embedding_ND
        One row a well (or a site), float [N, D]; float32 from 16,384 rows on is computed as such.
    label_N
        Treatment of each row. All rows take part, controls too: leave out what should not.
    experiment_N
        Experiment of each row.
    cell_type_N
        Cell type of each row; without it, or with one alone, the only scope is ``all``.
    plate_N, position_N
        Plate (any name that is unique within its experiment) and well position of each row: for
        the variance table.
    well_N
        Well of each row, unique within its experiment, where several rows are one well: the
        probe holds out whole wells.
    config
        Which metrics, and their settings.

    Returns
    -------
    BatchEffectResult
        Rows in the order of cell types, ``all`` last, then of the catalogue.

    Raises
    ------
    ValueError
        Shapes that do not fit, or a value that is not finite (its row and column are named).
    """
    config = config or BatchEffectConfig()
    embedding = checked_embedding(embedding_ND)
    n = len(embedding)
    label, label_names = codes(label_N, n, "label")
    # By name within a label too, so that the order of the rows given changes nothing but ties.
    experiment = codes(experiment_N, n, "experiment")[0]
    order = np.lexsort([experiment, label])
    names = {
        "experiment": experiment_N,
        "well": well_N,
        "plate": _within(experiment_N, plate_N, n),
        "position": position_N,
        "cell type": cell_type_N,
    }
    sorted_names = {what: _sorted(name_N, order, what) for what, name_N in names.items()}
    wanted = tuple(name for name in METRIC_NAMES if name in config.metrics)
    done = []
    for scope, mask in _scopes(sorted_names["cell type"], n):
        rows = order[mask]
        profiles = _profiles(embedding[rows], label[rows], label_names, sorted_names, mask)
        metrics = ScopeMetrics(scope, profiles, config, wanted)
        with blas_threads(len(rows)):
            metrics.run()
        done.append(metrics)
    return BatchEffectResult(
        tuple(row for metrics in done for row in metrics.rows),
        tuple(row for metrics in done for row in _label_rows(metrics)),
        tuple(row for metrics in done for row in _variance_rows(metrics)),
    )


def _scopes(cell_type_N: NDArray[np.str_] | None, n: int) -> list[tuple[str, NDArray[np.bool_]]]:
    """Each cell type, where there are several, and all rows."""
    scopes: list[tuple[str, NDArray[np.bool_]]] = []
    if cell_type_N is not None and len(set(cell_type_N)) > 1:
        scopes = [(str(name), cell_type_N == name) for name in np.unique(cell_type_N)]
    return [*scopes, (SCOPE_ALL, np.ones(n, dtype=bool))]


def _profiles(
    embedding_ND: NDArray[np.floating],
    label_N: NDArray[np.int64],
    label_names: NDArray[np.str_],
    names: dict[str, NDArray[np.str_] | None],
    mask: NDArray[np.bool_],
) -> Profiles:
    """The rows of one scope; ``names`` are those of all rows, in the same order."""
    inside, kept = np.unique(label_N, return_inverse=True)
    return Profiles(
        embedding_ND,
        kept,
        label_names[inside],
        _masked(names["experiment"], mask),  # type: ignore[arg-type]
        _masked(names["well"], mask),
        _masked(names["plate"], mask),
        _masked(names["position"], mask),
    )


def _within(experiment_N: ArrayLike, name_N: ArrayLike | None, n: int) -> NDArray[np.str_] | None:
    """Names made unique over experiments: plate 1 of two experiments is two plates."""
    if name_N is None:
        return None
    name, names = codes(name_N, n, "plate")
    experiment = codes(experiment_N, n, "experiment")[0]
    return (experiment * len(names) + name).astype(str)


def _sorted(
    name_N: ArrayLike | None, order: NDArray[np.int64], what: str
) -> NDArray[np.str_] | None:
    if name_N is None:
        return None
    code, names = codes(name_N, len(order), what)
    return np.asarray(names[code[order]])


def _masked(name_N: NDArray[np.str_] | None, mask_N: NDArray[np.bool_]) -> NDArray[np.str_] | None:
    return None if name_N is None else name_N[mask_N]


def _label_rows(metrics: ScopeMetrics) -> list[LabelRow]:
    p = metrics.profiles
    correlation = metrics.consistency.median_by_label if metrics.consistency else {}
    place = {str(name): code for code, name in enumerate(p.label_names)}
    count = np.bincount(p.label_N)
    rows = []
    for found in metrics.label_precisions:
        code = place[found.label]
        n_experiments = len(set(p.experiment_N[p.label_N == code]))
        rows.append(
            LabelRow(
                metrics.scope,
                found.label,
                int(count[code]),
                n_experiments,
                found.mean_average_precision,
                found.p_value,
                found.corrected_p_value,
                correlation.get(found.label),
            )
        )
    return rows


def _variance_rows(metrics: ScopeMetrics) -> list[VarianceRow]:
    table = metrics.variance
    if table is None:
        return []
    chance = {f: float(v) for f, v in zip(table.factors, table.chance_F, strict=True)}
    return [
        VarianceRow(
            metrics.scope,
            component,
            float(table.variance_share_K[component]),
            {f: float(v) for f, v in zip(table.factors, share_F, strict=True)},
            chance,
            len(metrics.profiles.embedding_ND),
        )
        for component, share_F in enumerate(table.share_KF)
    ]
