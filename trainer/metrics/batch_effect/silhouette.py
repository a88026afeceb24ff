"""Silhouettes: label ASW and batch ASW."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainer.metrics.batch_effect.inputs import checked_embedding, codes
from trainer.metrics.batch_effect.pairs import PairBlock, scan_pairs


class SilhouetteReducer:
    """Silhouettes of rows that are sorted by their group."""

    def __init__(self, sorted_code_N: NDArray[np.int64]) -> None:
        self._code = sorted_code_N
        self._count = np.bincount(sorted_code_N)
        self._starts = np.concatenate([[0], np.cumsum(self._count)[:-1]])
        self._silhouette = np.zeros(len(sorted_code_N))

    def consume(self, block: PairBlock) -> None:
        """Mean distances to every group, then the silhouette."""
        squared = block.squared_distances()
        distance = np.sqrt(squared, out=squared)
        total = np.add.reduceat(distance, self._starts, axis=1).astype(np.float64)
        rows, own = np.arange(len(total)), self._code[block.start : block.stop]
        with np.errstate(divide="ignore", invalid="ignore"):
            inside = total[rows, own] / (self._count[own] - 1)
            total /= self._count
            total[rows, own] = np.inf
            outside = total.min(axis=1)
            silhouette = (outside - inside) / np.maximum(inside, outside)
        # A row that is alone in its group has no silhouette: 0, as everybody counts it.
        self._silhouette[block.start : block.stop] = np.where(
            np.isfinite(silhouette), silhouette, 0.0
        )

    def result(self) -> NDArray[np.float64]:
        """Silhouettes in the sorted order, once every block was seen."""
        return self._silhouette


def silhouette_samples(embedding_ND: ArrayLike, label_N: ArrayLike) -> NDArray[np.float64]:
    """Silhouette of every row, [N], -1..1, higher for rows nearer to their own label.

    (b - a) / max(a, b), a being the mean Euclidean distance to the other rows of the label and
    b the least mean distance to another label; 0 for a row that is alone with its label
    (Rousseeuw, 1987). Exact at any size: distances are made block by block.
    """
    embedding = checked_embedding(embedding_ND)
    code, _ = codes(label_N, len(embedding), "label")
    order = np.argsort(code, kind="stable")
    reducer = SilhouetteReducer(code[order])
    scan_pairs(embedding[order], [reducer])
    silhouette = np.empty(len(code))
    silhouette[order] = reducer.result()
    return silhouette


def label_asw(embedding_ND: ArrayLike, label_N: ArrayLike) -> float:
    """(mean silhouette of the labels + 1) / 2: 0..1, higher is better, 0.5 is no structure.

    scib-metrics' ``silhouette_label``. NaN for fewer than two labels.
    """
    if np.unique(np.asarray(label_N).astype(str)).size < 2:
        return float("nan")
    return float((silhouette_samples(embedding_ND, label_N).mean() + 1) / 2)


def batch_asw(embedding_ND: ArrayLike, label_N: ArrayLike, experiment_N: ArrayLike) -> float:
    """Mean over labels of mean(1 - |silhouette of the experiments|): 0..1, higher mixes better.

    scib-metrics' ``silhouette_batch``. A label within one experiment, or with one row in each
    of its experiments, says nothing and is left out; NaN where no label is left.
    """
    scores = batch_asw_by_label(embedding_ND, label_N, experiment_N)
    return float(np.mean(list(scores.values()))) if scores else float("nan")


def batch_asw_by_label(
    embedding_ND: ArrayLike, label_N: ArrayLike, experiment_N: ArrayLike
) -> dict[str, float]:
    """The terms of :func:`batch_asw`, by label."""
    embedding = checked_embedding(embedding_ND)
    code, names = codes(label_N, len(embedding), "label")
    experiment, _ = codes(experiment_N, len(embedding), "experiment")
    order = np.argsort(code, kind="stable")
    scores = {}
    for name, rows in zip(names, np.split(order, np.cumsum(np.bincount(code))[:-1]), strict=True):
        n_experiments = np.unique(experiment[rows]).size
        if 1 < n_experiments < rows.size:
            silhouette = silhouette_samples(embedding[rows], experiment[rows])
            scores[str(name)] = float(np.mean(1 - np.abs(silhouette)))
    return scores
