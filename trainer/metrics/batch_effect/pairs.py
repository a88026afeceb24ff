"""Every pair of rows, once, in blocks that fit into memory.

A pass over all pairs of 125,510 rows of 512 dimensions is 16 TFLOP, so the metrics that need
pairs share one: each is a reducer that sees a block of rows against all others.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trainer.metrics.batch_effect.inputs import working

#: Bytes of one block of inner products. Reducers hold two or three arrays of that size.
BLOCK_BYTES = 96 * 2**20


@dataclass(frozen=True)
class PairBlock:
    """Rows ``start..stop`` against all N rows."""

    start: int
    stop: int
    #: Inner products of the centred embedding, [R, N].
    inner_RN: NDArray[np.floating]
    #: Squared length of every centred row, [N].
    square_N: NDArray[np.floating]
    #: Inner product of every centred row with the mean, [N].
    with_mean_N: NDArray[np.floating]
    mean_square: float
    #: 1 / length of every row that is not centred; 0 for a row of zeros, [N].
    inverse_length_N: NDArray[np.floating]

    def squared_distances(self) -> NDArray[np.floating]:
        """Squared Euclidean distances, exactly 0 for a row and itself."""
        own_R = self.square_N[self.start : self.stop, None]
        squared = -2 * self.inner_RN
        squared += own_R
        squared += self.square_N
        np.maximum(squared, 0, out=squared)
        squared[np.arange(len(squared)), np.arange(self.start, self.stop)] = 0
        return squared

    def cosines(self) -> NDArray[np.floating]:
        """Cosine similarities; 0 with a row of zeros, which points nowhere."""
        mine = slice(self.start, self.stop)
        cosine = self.inner_RN + self.with_mean_N
        cosine += self.with_mean_N[mine, None] + self.mean_square
        cosine *= self.inverse_length_N
        cosine *= self.inverse_length_N[mine, None]
        return cosine


class PairReducer(Protocol):
    """Takes what it needs from a block; called from several threads, for disjoint rows."""

    def consume(self, block: PairBlock) -> None:
        """Reduce the block's rows."""


def scan_pairs(embedding_ND: NDArray[np.floating], reducers: Sequence[PairReducer]) -> None:
    """Show every pair of rows to every reducer."""
    if not reducers:
        return
    original = working(embedding_ND)
    # Centred, squared lengths are as small as they can be, and distances as exact.
    mean_D = original.mean(axis=0, dtype=np.float64)
    centred = (original - mean_D.astype(original.dtype)).astype(original.dtype, copy=False)
    mean_D = mean_D.astype(original.dtype).astype(np.float64)  # what was in fact subtracted
    n = len(centred)
    square = np.einsum("nd,nd->n", centred, centred)
    with_mean = (centred @ mean_D.astype(centred.dtype)).astype(centred.dtype)
    length = np.sqrt(np.einsum("nd,nd->n", original, original))
    inverse = np.divide(1, length, out=np.zeros_like(length), where=length > 0)
    mean_square = float(mean_D @ mean_D)
    n_threads = len(os.sched_getaffinity(0))
    block_rows = max(1, min(n, BLOCK_BYTES // (centred.itemsize * n)))

    def reduce(start: int, inner_RN: NDArray[np.floating]) -> None:
        block = PairBlock(
            start, start + len(inner_RN), inner_RN, square, with_mean, mean_square, inverse
        )
        for reducer in reducers:
            reducer.consume(block)

    with ThreadPoolExecutor(n_threads) as pool:
        for start in range(0, n, block_rows):
            inner = centred[start : start + block_rows] @ centred.T
            parts = np.array_split(np.arange(len(inner)), n_threads)
            jobs = [
                pool.submit(reduce, start + int(part[0]), inner[part[0] : part[-1] + 1])
                for part in parts
                if part.size
            ]
            for job in jobs:
                job.result()
