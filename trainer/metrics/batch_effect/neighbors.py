"""Nearest neighbours by Euclidean distance, exact at any size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainer.metrics.batch_effect.inputs import checked_embedding
from trainer.metrics.batch_effect.pairs import PairBlock, scan_pairs

#: Groups that the columns of a block are dealt into to bound the k-th smallest distance.
_COLUMNS_A_GROUP = 64


@dataclass(frozen=True)
class Neighbors:
    """The nearest rows of each row, itself first and the nearest next."""

    #: Row numbers, int64 [N, k].
    index_Nk: NDArray[np.int64]
    #: Euclidean distances, float64 [N, k].
    distance_Nk: NDArray[np.float64]

    def first(self, k: int) -> Neighbors:
        """The nearest ``k`` alone (all, where there are fewer)."""
        return Neighbors(self.index_Nk[:, :k], self.distance_Nk[:, :k])


def nearest_neighbors(embedding_ND: ArrayLike, k: int) -> Neighbors:
    """The ``k`` nearest rows of each row, itself counted; min(k, N) where there are fewer.

    Equal distances stand in the order of the rows. Exact: every pair is compared, and the
    distances returned are taken from differences, not from inner products.
    """
    embedding = checked_embedding(embedding_ND)
    reducer = NeighborReducer(embedding, k)
    scan_pairs(embedding, [reducer])
    return reducer.result()


class NeighborReducer:
    """Keeps the k nearest of every row of a block."""

    def __init__(self, embedding_ND: NDArray[np.floating], k: int) -> None:
        if k < 1:
            raise ValueError(f"the number of neighbours must be at least 1; got {k}")
        self._embedding = embedding_ND
        n = len(embedding_ND)
        self._k = min(k, n)
        self._index = np.zeros((n, self._k), dtype=np.int64)
        self._distance = np.zeros((n, self._k))

    def consume(self, block: PairBlock) -> None:
        """Find the neighbours of the block's rows."""
        squared = block.squared_distances()
        bound = self._bound(squared)
        for i, row in enumerate(range(block.start, block.stop)):
            candidates = np.flatnonzero(squared[i] <= bound[i])
            if candidates.size > 4 * self._k + 64:  # many ties
                order = np.argsort(squared[i, candidates], kind="stable")
                candidates = np.sort(candidates[order[: 4 * self._k + 64]])
            difference = self._embedding[candidates].astype(np.float64) - self._embedding[row]
            distance = np.sqrt(np.einsum("cd,cd->c", difference, difference))
            distance[candidates == row] = -1.0
            nearest = np.argsort(distance, kind="stable")[: self._k]
            self._index[row] = candidates[nearest]
            self._distance[row] = np.maximum(distance[nearest], 0.0)

    def _bound(self, squared_RN: NDArray[np.floating]) -> NDArray[np.floating]:
        """At least the k-th smallest of each row, with room for rounding.

        The k-th smallest of the minima of disjoint groups is such a bound, and sixty times
        cheaper than selecting among all columns.
        """
        n = squared_RN.shape[1]
        n_groups = n // _COLUMNS_A_GROUP
        if n_groups > 4 * self._k:
            cut = squared_RN[:, : n_groups * _COLUMNS_A_GROUP]
            minima = cut.reshape(len(cut), _COLUMNS_A_GROUP, n_groups).min(axis=1)
        else:
            minima = squared_RN
        kth = np.partition(minima, self._k - 1, axis=1)[:, self._k - 1]
        scale = float(np.max(squared_RN, initial=0.0))
        return kth * (1 + 1e-4) + 64 * np.finfo(squared_RN.dtype).eps * scale

    def result(self) -> Neighbors:
        """The neighbours, once every block was seen."""
        return Neighbors(self._index, self._distance)
