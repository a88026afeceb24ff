"""LISI: how many experiments, or labels, does a neighbourhood hold in effect?"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainer.metrics.batch_effect.inputs import codes
from trainer.metrics.batch_effect.neighbors import Neighbors

_CHUNK_ROWS = 8192
#: Of the search for a neighbourhood's width: nats of entropy, and halvings at most.
_TOLERANCE, _MAX_STEPS = 1e-5, 50


def lisi(
    neighbors: Neighbors, group_N: ArrayLike, perplexity: float | None = None
) -> NDArray[np.float64]:
    """Inverse Simpson index of the groups around each row, [N], 1..groups.

    Neighbours are weighted by exp(-beta distance), beta such that the weights' perplexity is
    ``perplexity`` (default: a third of the neighbours, rounded down); the row itself has weight
    zero. scib-metrics' ``lisi_knn`` (Korsunsky et al., 2019).
    """
    n, k = neighbors.index_Nk.shape
    group, names = codes(group_N, n, "group")
    target = math.log(math.floor(k / 3) if perplexity is None else perplexity)
    result = np.empty(n)
    for start in range(0, n, _CHUNK_ROWS):
        rows = np.arange(start, min(n, start + _CHUNK_ROWS))
        index = neighbors.index_Nk[rows]
        weight = _weights(neighbors.distance_Nk[rows], index != rows[:, None], target)
        place = np.arange(len(rows))[:, None] * len(names) + group[index]
        share = np.bincount(place.ravel(), weight.ravel(), minlength=len(rows) * len(names))
        simpson = np.square(share.reshape(len(rows), len(names))).sum(axis=1)
        with np.errstate(divide="ignore"):
            result[rows] = 1 / simpson
    return result


def _entropy(
    distance_Rk: NDArray[np.float64], other_Rk: NDArray[np.bool_], beta_R: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    weight = np.exp(-distance_Rk * beta_R[:, None]) * other_Rk
    total = weight.sum(axis=1)
    some = total > 0
    safe = np.where(some, total, 1.0)
    mean = (distance_Rk * weight).sum(axis=1) / safe
    return np.where(some, np.log(safe) + beta_R * mean, 0.0), weight / safe[:, None]


def _weights(
    distance_Rk: NDArray[np.float64], other_Rk: NDArray[np.bool_], target: float
) -> NDArray[np.float64]:
    """Weights of the neighbours, of the wanted entropy (in nats) in every row."""
    beta = np.ones(len(distance_Rk))
    low, high = np.full_like(beta, -np.inf), np.full_like(beta, np.inf)
    entropy, weight = _entropy(distance_Rk, other_Rk, beta)
    for _ in range(_MAX_STEPS):
        off = np.flatnonzero(np.abs(entropy - target) >= _TOLERANCE)
        if not off.size:
            break
        wide = entropy[off] > target
        low[off[wide]] = beta[off[wide]]
        high[off[~wide]] = beta[off[~wide]]
        with np.errstate(invalid="ignore"):
            middle = (low[off] + high[off]) / 2
        middle = np.where(np.isinf(high[off]), beta[off] * 2, middle)
        beta[off] = np.where(np.isinf(low[off]), beta[off] / 2, middle)
        entropy[off], weight[off] = _entropy(distance_Rk[off], other_Rk[off], beta[off])
    return weight


def ilisi(neighbors: Neighbors, experiment_N: ArrayLike, perplexity: float | None = None) -> float:
    """(median LISI of the experiments - 1) / (experiments - 1): 0..1, higher mixes better.

    scib-metrics' ``ilisi_knn``. NaN for fewer than two experiments.
    """
    n_experiments = np.unique(np.asarray(experiment_N).astype(str)).size
    if n_experiments < 2:
        return float("nan")
    median = float(np.median(lisi(neighbors, experiment_N, perplexity)))
    return (median - 1) / (n_experiments - 1)


def clisi(neighbors: Neighbors, label_N: ArrayLike, perplexity: float | None = None) -> float:
    """(labels - median LISI of the labels) / (labels - 1): 0..1, higher is better.

    scib-metrics' ``clisi_knn``. NaN for fewer than two labels. With hundreds of labels it is
    close to 1 whatever the embedding: read it beside its value before a correction.
    """
    n_labels = np.unique(np.asarray(label_N).astype(str)).size
    if n_labels < 2:
        return float("nan")
    median = float(np.median(lisi(neighbors, label_N, perplexity)))
    return (n_labels - median) / (n_labels - 1)
