"""Sorted 5 x 5 windows of an image, many at once.

A window is 25 points on a line: grey levels alone count. Sorted, the k nearest points of any one
are a contiguous run of k + 1 with that point in it, so many windows are worked on at once with
static slices. What is asked of a window concerns the points in the run of its own pixel, so windows
are taken together by where that run begins.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

WINDOW_PX = 5
_N = WINDOW_PX**2
#: Windows worked on at once: their arrays stay in the second-level cache.
_CHUNK = 16384
#: Windows that are sorted before they are taken together by their runs: bounds memory to 40 MB.
_BLOCK = 1 << 17
_THREADS = min(8, len(os.sched_getaffinity(0)))


@dataclass(frozen=True, eq=False)
class Windows:
    """Sorted windows whose own pixels' runs all begin at the same place."""

    #: Grey levels [N, X], and the distance of each to its k-th neighbour [N, X].
    sorted_NX: np.ndarray
    distance_NX: np.ndarray
    #: Where each point's run begins [N, X], and which point is the window's own pixel [X].
    start_NX: np.ndarray
    place_X: np.ndarray
    #: The points in the run of the own pixel.
    run: range


#: One number for each window [X].
Factor = Callable[[Windows], np.ndarray]


def over_windows(
    image_HW: np.ndarray, neighbours: int, factor: Factor, wanted_HW: np.ndarray | None
) -> np.ndarray:
    """Apply a factor to the windows of all wanted pixels; borders are reflected."""
    image_HW = np.ascontiguousarray(image_HW, np.float32)
    padded = np.pad(image_HW, WINDOW_PX // 2, mode="reflect")
    factor_HW = np.ones(image_HW.shape, np.float32)
    if wanted_HW is None:
        row, column = (index.ravel() for index in np.indices(image_HW.shape))
    else:
        row, column = np.nonzero(wanted_HW)
    # NumPy lets go of the interpreter in whole-row operations, so threads share the cores.
    with ThreadPoolExecutor(_THREADS) as threads:
        for begin in range(0, row.size, _BLOCK):
            y, x = row[begin : begin + _BLOCK], column[begin : begin + _BLOCK]
            factor_HW[y, x] = _factors(padded, y, x, neighbours, factor, threads)
    return factor_HW


def _factors(
    padded_HW: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    k: int,
    factor: Factor,
    threads: ThreadPoolExecutor,
) -> np.ndarray:
    """Factors of the windows whose upper left corners are ``y, x`` [X]."""
    corner_X = y * padded_HW.shape[1] + x
    offsets = [i * padded_HW.shape[1] + j for i in range(WINDOW_PX) for j in range(WINDOW_PX)]
    sorted_NX, distance_NX = np.empty((2, _N, y.size), np.float32)
    start_NX = np.empty((_N, y.size), np.int8)
    place_X = np.empty(y.size, np.intp)
    factor_X = np.empty(y.size, np.float32)

    def prepare(begin: int) -> None:
        part = slice(begin, begin + _CHUNK)
        values_NX = np.stack([np.take(padded_HW, corner_X[part] + o) for o in offsets])
        center_X = values_NX[_N // 2].copy()
        _sort_rows(values_NX)
        sorted_NX[:, part] = values_NX
        place_X[part] = (values_NX < center_X).sum(axis=0)
        start_NX[:, part], distance_NX[:, part] = _runs(values_NX, k)

    def answer(task: tuple[int, np.ndarray]) -> None:
        begin, chosen = task
        values, distances, starts = (
            np.take(array, chosen, axis=1) for array in (sorted_NX, distance_NX, start_NX)
        )
        run = range(begin, begin + k + 1)
        factor_X[chosen] = factor(Windows(values, distances, starts, place_X[chosen], run))

    list(threads.map(prepare, range(0, y.size, _CHUNK)))
    begin_X = np.take_along_axis(start_NX, place_X[None], axis=0)[0]
    order = np.argsort(begin_X, kind="stable")
    bounds = np.searchsorted(begin_X[order], np.arange(_N - k + 1))
    tasks = [
        (begin, order[first : min(first + _CHUNK, stop)])
        for begin, (start, stop) in enumerate(itertools.pairwise(bounds))
        for first in range(start, stop, _CHUNK)
    ]
    list(threads.map(answer, tasks))
    return factor_X


def _exchanges(n: int) -> list[tuple[int, int]]:
    """Batcher's merge exchange (Knuth, TAOCP 3, algorithm 5.2.2 M): pairs to put in order."""
    pairs = []
    top = 1 << (n - 1).bit_length() - 1
    p = top
    while p > 0:
        q, r, d = top, 0, p
        while True:
            pairs += [(i, i + d) for i in range(n - d) if i & p == r]
            if q == p:
                break
            d, q, r = q - p, q >> 1, p
        p >>= 1
    return pairs


_EXCHANGES = _exchanges(_N)


def _sort_rows(values_NX: np.ndarray) -> None:
    """Sort along the first axis, in place: whole rows compared at a time, no branches."""
    scratch = np.empty_like(values_NX[0])
    for low, high in _EXCHANGES:
        np.minimum(values_NX[low], values_NX[high], out=scratch)
        np.maximum(values_NX[low], values_NX[high], out=values_NX[high])
        values_NX[low] = scratch


def _runs(sorted_NX: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each point, where the run of its k nearest begins, and how far the k-th one is.

    As a run moves up, its lower end comes nearer and its upper end goes away. The nearest run is
    the last whose lower end is the farther one, or the next.
    """
    n_windows = sorted_NX.shape[1]
    column = np.arange(n_windows)
    edge = np.full((1, n_windows), np.inf, np.float32)
    lower, upper = np.concatenate([-edge, sorted_NX]), np.concatenate([sorted_NX, edge])
    twice_middle = sorted_NX[: _N - k] + sorted_NX[k:]
    start_NX, distance_NX = np.empty(sorted_NX.shape, np.int8), np.empty_like(sorted_NX)
    for j, (x, start) in enumerate(zip(sorted_NX, start_NX, strict=True)):
        first = max(0, j - k)
        falling = twice_middle[first : j + 1] < 2 * x
        np.add.reduce(falling.view(np.int8), axis=0, out=start)
        start += first
        index = start * np.int32(n_windows) + column
        below = x - np.take(lower, index)
        above = np.take(upper, index + k * n_windows) - x
        start -= below < above
        np.minimum(below, above, out=distance_NX[j])
    return start_NX, distance_NX


def run_sums(term: Callable[[int, slice, np.ndarray], None], windows: Windows) -> np.ndarray:
    """For the points in the own pixel's run [K, X], the sum over each one's run, itself among it,
    of what ``term`` writes.
    """
    k, n_windows = len(windows.run) - 1, windows.place_X.size
    sums = np.empty((k + 1, n_windows), np.float32)
    # One buffer for all points: a fresh one each time would cost more than the sums.
    totals = np.empty((_N + 1, n_windows), np.float32)
    column = np.arange(n_windows)
    for j, sum_X in zip(windows.run, sums, strict=True):
        first, stop = max(0, j - k), min(_N, j + k + 1)
        run = totals[: stop - first + 1]
        run[0] = 0.0
        term(j, slice(first, stop), run[1:])
        for i in range(1, run.shape[0]):  # np.cumsum down the rows is ten times slower
            np.add(run[i - 1], run[i], out=run[i])
        flat = (windows.start_NX[j].astype(np.int32) - first) * n_windows + column
        np.subtract(np.take(run, flat + (k + 1) * n_windows), np.take(run, flat), out=sum_X)
    return sums


def around(density_KX: np.ndarray, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Mean density of the neighbours of the window's own pixel, and its own."""
    own_X = density_KX[windows.place_X - windows.run.start, np.arange(windows.place_X.size)]
    around_X = (density_KX.sum(axis=0, dtype=np.float64) - own_X) / (len(windows.run) - 1)
    return around_X, own_X
