"""Statistics of pixels from their grey-level counts, exactly as NumPy gives them on pixels."""

from __future__ import annotations

import numpy as np

from trainer.schema import GREY_LEVELS

#: Grey level of each bin, float64 [Q].
LEVELS_Q = np.arange(GREY_LEVELS, dtype=np.float64)


def moments(histogram_Q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and population standard deviation of the counted pixels, grey levels.

    Parameters
    ----------
    histogram_Q
        Counts (or weights) [..., Q], not all zero.
    """
    weight_Q = np.asarray(histogram_Q, np.float64)
    total = weight_Q.sum(-1)
    mean = weight_Q @ LEVELS_Q / total
    deviation_Q = LEVELS_Q - mean[..., None]
    variance = (weight_Q * deviation_Q**2).sum(-1) / total
    return mean, np.sqrt(variance)


def percentile(histogram_Q: np.ndarray, percent: float) -> np.ndarray:
    """``numpy.percentile`` of the counted pixels (linear interpolation), grey levels.

    Parameters
    ----------
    histogram_Q
        Integer counts [..., Q], not all zero.
    percent
        0..100.
    """
    levels_Q = np.broadcast_to(LEVELS_Q, np.shape(histogram_Q))
    return _sorted_percentile(levels_Q, np.asarray(histogram_Q), percent)


def median_absolute_deviation(histogram_Q: np.ndarray) -> np.ndarray:
    """Median distance of the counted pixels to their median, grey levels (not scaled)."""
    counts_Q = np.asarray(histogram_Q)
    deviation_Q = np.abs(LEVELS_Q - percentile(counts_Q, 50.0)[..., None])
    order_Q = np.argsort(deviation_Q, axis=-1, kind="stable")
    return _sorted_percentile(
        np.take_along_axis(deviation_Q, order_Q, -1),
        np.take_along_axis(counts_Q, order_Q, -1),
        50.0,
    )


def _sorted_percentile(value_Q: np.ndarray, counts_Q: np.ndarray, percent: float) -> np.ndarray:
    """Percentile of ``value_Q`` (ascending along Q), each repeated ``counts_Q`` times."""
    cumulative_Q = np.cumsum(counts_Q, axis=-1)
    total = cumulative_Q[..., -1]
    position = (total - 1) * (percent / 100.0)
    low = np.floor(position).astype(np.int64)
    low_value = _at_rank(value_Q, cumulative_Q, low)
    high_value = _at_rank(value_Q, cumulative_Q, np.minimum(low + 1, total - 1))
    return low_value + (high_value - low_value) * (position - low)


def _at_rank(value_Q: np.ndarray, cumulative_Q: np.ndarray, rank: np.ndarray) -> np.ndarray:
    bin_index = (cumulative_Q <= rank[..., None]).sum(-1)
    return np.take_along_axis(value_Q, bin_index[..., None], -1)[..., 0]


def mixed_histogram(
    control_CQ: np.ndarray, n_control_wells: int, plate_CQ: np.ndarray, shrinkage_wells: float
) -> np.ndarray:
    """Grey-level distribution of a plate's controls, pulled towards the whole plate.

    Parameters
    ----------
    control_CQ, plate_CQ
        Counts [C, Q].
    n_control_wells
        Wells behind ``control_CQ``, at least 1.
    shrinkage_wells
        The whole plate weighs as much as this many control wells.

    Returns
    -------
    Shares [C, Q]; each channel sums to 1.
    """
    weight = n_control_wells / (n_control_wells + shrinkage_wells)
    return weight * _shares(control_CQ) + (1.0 - weight) * _shares(plate_CQ)


def _shares(counts_CQ: np.ndarray) -> np.ndarray:
    return np.asarray(counts_CQ, np.float64) / counts_CQ.sum(-1, keepdims=True)
