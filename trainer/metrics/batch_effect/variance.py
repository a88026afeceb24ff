"""Variance table: what of each principal component do experiment, plate and treatment explain?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainer.metrics.batch_effect.inputs import checked_embedding, codes

RESIDUAL = "residual"
_CHUNK_ROWS = 8192


@dataclass(frozen=True)
class VarianceTable:
    """Shares of the variance by component and factor."""

    #: In the order of fitting, ``residual`` last.
    factors: tuple[str, ...]
    #: Component 0 is the whole embedding, then the leading principal components, [1 + K, F].
    share_KF: NDArray[np.float64]
    #: Share of the whole variance, [1 + K].
    variance_share_K: NDArray[np.float64]
    #: What factors without effect take: their degrees of freedom / (N - 1), [F].
    chance_F: NDArray[np.float64]


def variance_table(
    embedding_ND: ArrayLike, factors: Mapping[str, ArrayLike], n_components: int = 10
) -> VarianceTable:
    """Sequential (type I) sums of squares of the factors, in the order given.

    Each factor is credited with what it explains beyond those before it: put experiment, plate
    and position first and the treatment last, and the treatment gets only what no technical
    factor can explain. A factor nested in an earlier one (plates in experiments) is credited with
    what it adds. Shares of a component add up to 1 with the residual.

    Parameters
    ----------
    factors
        Names of each row's level, by factor; factors with one level take nothing.

    Raises
    ------
    ValueError
        Nothing varies.
    """
    embedding = checked_embedding(embedding_ND)
    n = len(embedding)
    mean_D = embedding.mean(axis=0, dtype=np.float64)
    scatter = np.zeros((embedding.shape[1],) * 2)
    for start in range(0, n, _CHUNK_ROWS):
        part = embedding[start : start + _CHUNK_ROWS] - mean_D
        scatter += part.T @ part
    values, vectors = np.linalg.eigh(scatter)
    total = float(np.trace(scatter))
    if not total > 0:
        raise ValueError("nothing varies: every row of the embedding is the same")
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    leading = min(n_components, int((values > total * 1e-12).sum()))
    level, offsets = _levels(factors, n)
    gram, cross = _normal_equations(embedding, mean_D, level, offsets[-1])
    explained, rank = [np.zeros(1 + leading)], [0]
    for stop in offsets[1:]:
        fitted, freedom = _fitted(gram[:stop, :stop], cross[:stop], vectors[:, :leading])
        explained.append(fitted)
        rank.append(freedom)
    sums = np.concatenate([[total], values[:leading]])
    shares = np.diff(np.stack(explained, axis=1), axis=1) / sums[:, None]
    shares = np.clip(np.column_stack([shares, 1 - shares.sum(axis=1)]), 0.0, 1.0)
    degrees_F = np.diff(rank)
    chance = np.append(degrees_F, n - 1 - degrees_F.sum()) / max(1, n - 1)
    return VarianceTable((*factors, RESIDUAL), shares, sums / total, chance)


def _levels(
    factors: Mapping[str, ArrayLike], n: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Column of each row's level in the design matrix, [N, F], and where each factor ends."""
    columns, offsets = [], [0]
    for what, name_N in factors.items():
        code, names = codes(name_N, n, what)
        columns.append(code + offsets[-1])
        offsets.append(offsets[-1] + len(names))
    return np.stack(columns, axis=1), np.asarray(offsets)


def _normal_equations(
    embedding: NDArray[np.floating],
    mean_D: NDArray[np.float64],
    level_NF: NDArray[np.int64],
    n_columns: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """X'X and X'Y of the centred indicator matrix X and the centred embedding Y."""
    from scipy.sparse import csr_matrix

    n, n_factors = level_NF.shape
    pointers = np.arange(0, n * n_factors + 1, n_factors)
    design = csr_matrix((np.ones(level_NF.size), level_NF.ravel(), pointers), (n, n_columns))
    count = np.bincount(level_NF.ravel(), minlength=n_columns).astype(np.float64)
    gram = (design.T @ design).toarray() - np.outer(count, count) / n
    cross = np.zeros((n_columns, embedding.shape[1]))
    for start in range(0, n, _CHUNK_ROWS):
        rows = slice(start, start + _CHUNK_ROWS)
        cross += design[rows].T @ (embedding[rows] - mean_D)
    return gram, cross


def _fitted(
    gram: NDArray[np.float64], cross: NDArray[np.float64], vectors_DK: NDArray[np.float64]
) -> tuple[NDArray[np.float64], int]:
    """Explained sum of squares of the whole and of each component; degrees of freedom."""
    values, basis = np.linalg.eigh(gram)
    kept = values > max(1e-9 * float(values[-1]), 1e-12)
    effect = (basis[:, kept].T @ cross) / np.sqrt(values[kept])[:, None]
    by_component = np.square(effect @ vectors_DK).sum(axis=0)
    return np.concatenate([[np.square(effect).sum()], by_component]), int(kept.sum())
