"""The local outlier factor and two of its kin as filters for impulses.

Each pixel is compared with the other 24 of its 5 x 5 window, by grey level alone. Points closer
than a grey level count as a grey level apart, because duplicates would have infinite density.
"""

from __future__ import annotations

import numpy as np

from trainer.filters.impulses import repair
from trainer.filters.noise_estimate import NoiseModel
from trainer.filters.settings import GridOutlierSettings, KdeOutlierSettings, OutlierSettings
from trainer.filters.windows import Windows, around, over_windows, run_sums

#: Added to each distance to the k-th neighbour, grey levels.
FLOOR_GREY_LEVELS = 1.0
_ROOT_TWO_PI = float(np.sqrt(2 * np.pi))


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

    def factor(windows: Windows) -> np.ndarray:
        sorted_NX = windows.sorted_NX
        distance_NX = windows.distance_NX + floor_grey_levels

        def reach(j: int, near: slice, out: np.ndarray) -> None:
            np.subtract(sorted_NX[near], sorted_NX[j], out=out)
            np.abs(out, out=out)
            np.maximum(distance_NX[near], out, out=out)

        # A point's distance to itself is 0, so its reach is its own distance.
        own_KX = distance_NX[windows.run.start : windows.run.stop]
        reach_KX = run_sums(reach, windows) - own_KX
        around_X, own_X = around(neighbours / np.maximum(reach_KX, 1e-10), windows)
        return around_X / own_X

    return over_windows(image_HW, neighbours, factor, wanted_HW)


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

    def factor(windows: Windows) -> np.ndarray:
        sorted_NX = windows.sorted_NX
        width_NX = bandwidth * (windows.distance_NX + FLOOR_GREY_LEVELS)
        scale_NX = (-0.5) / (width_NX * width_NX)
        height_NX = 1.0 / (_ROOT_TWO_PI * width_NX)
        # Nearer than a neighbour's k-th distance, reach is that distance: its kernel is flat.
        flat = np.float32(-0.5 / bandwidth**2)

        def kernel(j: int, near: slice, out: np.ndarray) -> None:
            np.subtract(sorted_NX[near], sorted_NX[j], out=out)
            out *= out
            out *= scale_NX[near]
            np.minimum(out, flat, out=out)
            np.exp(out, out=out)
            out *= height_NX[near]

        own_KX = height_NX[windows.run.start : windows.run.stop] * np.exp(flat)
        density_KX = (run_sums(kernel, windows) - own_KX) / neighbours
        around_X, own_X = around(np.maximum(density_KX, 1e-12), windows)
        return around_X / (own_X + c * around_X)

    return over_windows(image_HW, neighbours, factor, None)


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
