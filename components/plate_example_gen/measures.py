"""Numbers that tell a good plate from a bad one: pure functions of pixels and histograms."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.plate_example_gen.kernels import laplacian_sums


def mean_and_saturation(
    histogram_CQ: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean grey level and share of pixels at 255, each [C]."""
    n_C = histogram_CQ.sum(axis=1)
    levels_Q = np.arange(histogram_CQ.shape[1])
    with np.errstate(invalid="ignore"):
        return histogram_CQ @ levels_Q / n_C, histogram_CQ[:, -1] / n_C


def focus(
    pixels_CHW: npt.NDArray[np.uint8], histogram_CQ: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Sharpness of each channel, [C]; higher is sharper, 0 where nothing varies.

    Variance of the Laplacian (Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield
    microscopy"; operator LAP4 in the comparison by Pertuz et al. 2013) divided by the variance
    of the grey levels, so that neither gain nor offset of the stain changes it. Compare it
    within a channel and an experiment only: cells differ, and noise raises it.

    Parameters
    ----------
    pixels_CHW
        Raw grey levels.
    histogram_CQ
        Their counts.
    """
    n_channels, height, width = pixels_CHW.shape
    if height < 3 or width < 3:
        return np.zeros(n_channels)
    sums_C, squares_C, n = laplacian_sums(pixels_CHW)
    energy_C = squares_C / n - (sums_C / n) ** 2
    levels_Q = np.arange(histogram_CQ.shape[1])
    n_C = histogram_CQ.sum(axis=1)
    mean_C = histogram_CQ @ levels_Q / n_C
    variance_C = histogram_CQ @ levels_Q**2 / n_C - mean_C**2
    return np.divide(energy_C, variance_C, out=np.zeros(n_channels), where=variance_C > 1e-9)


def percentile(histogram_CQ: npt.NDArray[np.int64], percent: float) -> npt.NDArray[np.int64]:
    """Grey level [C] at or below which ``percent`` of the pixels lie.

    The same as ``numpy.percentile(..., method="inverted_cdf")`` on the pixels; -1 where a
    channel has none.
    """
    cumulative_CQ = np.cumsum(histogram_CQ, axis=1)
    n_C = cumulative_CQ[:, -1]
    # At least one pixel, so that 0 % is the darkest level that occurs.
    rank_C = np.maximum(np.ceil(n_C * (percent / 100) - 1e-9), 1)
    level_C = (cumulative_CQ >= rank_C[:, None]).argmax(axis=1)
    return np.where(n_C > 0, level_C, -1)


def robust_z(values: npt.NDArray[np.float64], spread_floor_share: float) -> npt.NDArray[np.float64]:
    """Distance from the median in robust standard deviations, same shape.

    0.6745 (x - median) / MAD (Iglewicz and Hoaglin 1993), where the spread is at least
    ``spread_floor_share`` of the median: an experiment has four plates, whose MAD alone may
    be next to nothing.
    """
    centre = np.median(values)
    spread = np.median(np.abs(values - centre)) / 0.6745
    spread = max(float(spread), spread_floor_share * abs(float(centre)), 1e-12)
    return (values - centre) / spread
