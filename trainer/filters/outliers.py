"""The local outlier factor and two of its kin as filters for impulses.

Each pixel is compared with the other 24 of its 5 x 5 window, by grey level alone: a window is
25 points on a line. Sorted, the k nearest points of any one are a contiguous run of k + 1 with
that point in it, so all windows of an image are worked on at once with static slices,
and only the place of each run is data. Points closer than a grey level count as a grey level
apart, because duplicates would have infinite density.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from trainer.filters.impulses import repair
from trainer.filters.noise_estimate import NoiseModel
from trainer.filters.settings import GridOutlierSettings, KdeOutlierSettings, OutlierSettings

WINDOW_PX = 5
_N = WINDOW_PX**2
#: Added to each distance to the k-th neighbour, grey levels.
FLOOR_GREY_LEVELS = 1.0
#: Windows worked on at once: their arrays stay in the second-level cache.
_CHUNK = 8192
_THREADS = min(8, len(os.sched_getaffinity(0)))
_ROOT_TWO_PI = float(np.sqrt(2 * np.pi))

#: From sorted windows [N, X], positions [X] and run starts [N, X] to factors [X].
_Factor = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def lof(image_HW: np.ndarray, settings: OutlierSettings, noise: NoiseModel | None) -> np.ndarray:
    """Replace pixels of high local outlier factor (Breunig et al., SIGMOD 2000)."""
    flagged_HW = lof_factor(image_HW, settings.neighbours) > settings.threshold
    return repair(image_HW, flagged_HW, settings.max_size_px)


def kde_lof(
    image_HW: np.ndarray, settings: KdeOutlierSettings, noise: NoiseModel | None
) -> np.ndarray:
    """Replace pixels of high local density factor (Latecki et al., MLDM 2007)."""
    factor_HW = kde_factor(image_HW, settings.neighbours, settings.bandwidth, settings.c)
    return repair(image_HW, factor_HW > settings.threshold, settings.max_size_px)


def grid_lof(
    image_HW: np.ndarray, settings: GridOutlierSettings, noise: NoiseModel | None
) -> np.ndarray:
    """Spare pixels in dense cells of a grid, ask the rest for their local outlier factor.

    Chiu and Fu, "Enhancements on local outlier detection", IDEAS 2003.
    """
    dense_HW = dense_cells(
        image_HW, settings.cell_px, settings.cell_grey_levels, settings.dense_share
    )
    factor_HW = lof_factor(image_HW, settings.neighbours, wanted_HW=~dense_HW)
    flagged_HW = (factor_HW > settings.threshold) & ~dense_HW
    return repair(image_HW, flagged_HW, settings.max_size_px)


def lof_factor(
    image_HW: np.ndarray,
    neighbours: int = 12,
    floor_grey_levels: float = FLOOR_GREY_LEVELS,
    wanted_HW: np.ndarray | None = None,
) -> np.ndarray:
    """Local outlier factor of each pixel in its window: about 1 for an ordinary pixel.

    Parameters
    ----------
    neighbours
        k.
    floor_grey_levels
        Added to each distance to the k-th neighbour.
    wanted_HW
        Pixels to compute it for; the others get 1. None: all.

    Returns
    -------
    numpy.ndarray
        float32 [H, W], > 0.
    """

    def factor(
        sorted_NX: np.ndarray, place_X: np.ndarray, start_NX: np.ndarray, distance_NX: np.ndarray
    ) -> np.ndarray:
        distance_NX += floor_grey_levels

        def reach(j: int, near: slice, out: np.ndarray) -> None:
            np.subtract(sorted_NX[near], sorted_NX[j], out=out)
            np.abs(out, out=out)
            np.maximum(distance_NX[near], out, out=out)

        own = distance_NX  # a point's distance to itself is 0, so its reach is its own distance
        reach_NX = _run_sums(reach, start_NX, neighbours) - own
        density_NX = neighbours / np.maximum(reach_NX, 1e-10)
        around_X, own_X = _around(density_NX, place_X, start_NX, neighbours)
        return around_X / own_X

    return _over_windows(image_HW, neighbours, factor, wanted_HW)


def kde_factor(
    image_HW: np.ndarray, neighbours: int = 12, bandwidth: float = 1.0, c: float = 0.1
) -> np.ndarray:
    """Local density factor of each pixel in its window: 1 / (1 + c) for an ordinary pixel.

    Parameters
    ----------
    neighbours, bandwidth, c
        k, h and c of the paper.

    Returns
    -------
    numpy.ndarray
        float32 [H, W], between 0 and 1 / c.
    """

    def factor(
        sorted_NX: np.ndarray, place_X: np.ndarray, start_NX: np.ndarray, distance_NX: np.ndarray
    ) -> np.ndarray:
        distance_NX += FLOOR_GREY_LEVELS
        width_NX = bandwidth * distance_NX
        shortest_squared_NX = distance_NX * distance_NX
        scale_NX = (-0.5) / (width_NX * width_NX)
        height_NX = 1.0 / (_ROOT_TWO_PI * width_NX)

        def kernel(j: int, near: slice, out: np.ndarray) -> None:
            np.subtract(sorted_NX[near], sorted_NX[j], out=out)
            out *= out
            np.maximum(shortest_squared_NX[near], out, out=out)
            out *= scale_NX[near]
            np.exp(out, out=out)
            out *= height_NX[near]

        own_NX = height_NX * np.exp(scale_NX * shortest_squared_NX)
        density_NX = (_run_sums(kernel, start_NX, neighbours) - own_NX) / neighbours
        density_NX = np.maximum(density_NX, 1e-12)
        around_X, own_X = _around(density_NX, place_X, start_NX, neighbours)
        return around_X / (own_X + c * around_X)

    return _over_windows(image_HW, neighbours, factor, None)


def dense_cells(
    image_HW: np.ndarray, cell_px: int, cell_grey_levels: int, dense_share: float
) -> np.ndarray:
    """Which pixels have many others in the 3 x 3 x 3 cells around their own, bool [H, W].

    Parameters
    ----------
    dense_share
        Share (0..1) of the pixels of 3 x 3 cells above which a cell counts as dense.
    """
    height, width = image_HW.shape
    rows, columns = -(-height // cell_px), -(-width // cell_px)
    level_HW = np.floor(np.clip(image_HW, 0, 255) / cell_grey_levels).astype(np.intp)
    n_levels = int(255 // cell_grey_levels) + 1
    cell_y = np.arange(height)[:, None] // cell_px
    cell_x = np.arange(width)[None, :] // cell_px
    index_HW = (cell_y * columns + cell_x) * n_levels + level_HW
    count = np.bincount(index_HW.ravel(), minlength=rows * columns * n_levels)
    around = count.reshape(rows, columns, n_levels)
    for axis in range(3):
        wide = np.pad(around, [(1, 1) if a == axis else (0, 0) for a in range(3)])
        n = around.shape[axis]
        around = np.sum([np.take(wide, np.arange(k, k + n), axis=axis) for k in range(3)], axis=0)
    dense: np.ndarray = around.ravel()[index_HW] > dense_share * 9 * cell_px**2
    return dense


def _over_windows(
    image_HW: np.ndarray, neighbours: int, factor: _Factor, wanted_HW: np.ndarray | None
) -> np.ndarray:
    """Apply a factor to the windows of all wanted pixels; borders are reflected."""
    image_HW = np.ascontiguousarray(image_HW, np.float32)
    padded = np.pad(image_HW, WINDOW_PX // 2, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (WINDOW_PX, WINDOW_PX))
    factor_HW = np.ones(image_HW.shape, np.float32)
    if wanted_HW is None:
        row, column = (index.ravel() for index in np.indices(image_HW.shape))
    else:
        row, column = np.nonzero(wanted_HW)

    def chunk(begin: int) -> None:
        y, x = row[begin : begin + _CHUNK], column[begin : begin + _CHUNK]
        sorted_NX = np.ascontiguousarray(windows[y, x].reshape(y.size, _N).T)
        center_X = sorted_NX[_N // 2].copy()
        _sort_rows(sorted_NX)
        place_X = (sorted_NX < center_X).sum(axis=0)
        start_NX, distance_NX = _runs(sorted_NX, neighbours)
        factor_HW[y, x] = factor(sorted_NX, place_X, start_NX, distance_NX)

    # NumPy lets go of the interpreter in whole-row operations, so threads share the cores.
    with ThreadPoolExecutor(_THREADS) as threads:
        list(threads.map(chunk, range(0, row.size, _CHUNK)))
    return factor_HW


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
    """Of each point, where the run of its k nearest begins, and how far the k-th one is."""
    distance_NX = np.full_like(sorted_NX, np.inf)
    start_NX = np.zeros(sorted_NX.shape, np.int8)
    for start in range(_N - k):
        run = slice(start, start + k + 1)
        farther = np.maximum(
            sorted_NX[run] - sorted_NX[start], sorted_NX[start + k] - sorted_NX[run]
        )
        nearer = farther < distance_NX[run]
        np.minimum(distance_NX[run], farther, out=distance_NX[run])
        np.copyto(start_NX[run], np.int8(start), where=nearer)
    return start_NX, distance_NX


def _run_sums(
    term: Callable[[int, slice, np.ndarray], None], start_NX: np.ndarray, k: int
) -> np.ndarray:
    """For each point j, the sum over its run, itself among it, of what ``term`` writes."""
    sums = np.empty(start_NX.shape, np.float32)
    # One buffer for all points: a fresh one each time would cost more than the sums.
    totals = np.empty((_N + 1, start_NX.shape[1]), np.float32)
    column = np.arange(start_NX.shape[1])
    for j in range(_N):
        first, stop = max(0, j - k), min(_N, j + k + 1)
        run = totals[: stop - first + 1]
        run[0] = 0.0
        term(j, slice(first, stop), run[1:])
        for i in range(1, run.shape[0]):  # np.cumsum down the rows is ten times slower
            np.add(run[i - 1], run[i], out=run[i])
        flat = (start_NX[j].astype(np.int32) - first) * column.size + column
        np.subtract(np.take(run, flat + (k + 1) * column.size), np.take(run, flat), out=sums[j])
    return sums


def _around(
    density_NX: np.ndarray, place_X: np.ndarray, start_NX: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean density of the neighbours of the window's middle pixel, and its own."""
    column = np.arange(place_X.size)
    totals = np.zeros((_N + 1, column.size), np.float64)
    for i in range(_N):
        np.add(totals[i], density_NX[i], out=totals[i + 1])
    begin = start_NX[place_X, column].astype(np.intp)
    own_X = density_NX[place_X, column]
    around_X = (totals[begin + k + 1, column] - totals[begin, column] - own_X) / k
    return around_X, own_X
