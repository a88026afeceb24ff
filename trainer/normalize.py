"""From grey-level histograms to centre and scale; normalising an image with them.

For 8-bit images the histogram is a sufficient statistic of every normaliser offered here,
so nothing in this file but :func:`normalise_image` sees a pixel. The NumPy functions fit the
table of plates; the TensorFlow function of the same maths serves an image whose plate the
table does not hold. A normalised pixel is ``(grey - center) / scale``.

=====================  ======================================  =========================
method                 center, grey levels                     scale, grey levels
=====================  ======================================  =========================
plate_mean_std         mean of the plate's pixels              their standard deviation
plate_median_mad       median                                  MAD * 1.4826
plate_percentiles      low percentile                          high minus low percentile
plate_controls         mean of the mixed histogram             its standard deviation
experiment_mean_std    mean over the experiment's plates       their standard deviation
image_mean_std         mean of the image itself                its standard deviation
none                   0                                       255
=====================  ======================================  =========================

Standard deviations are of the population (NumPy's ``ddof=0``), medians and percentiles are
NumPy's (linear interpolation). ``plate_controls`` mixes the grey levels of the plate's n
negative-control wells, at weight n / (n + control_shrinkage_wells), with those of the whole
plate at the remaining weight. ``none`` uses nothing of any plate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.config import NormalizerConfig
from trainer.errors import PlatewiseError
from trainer.histogram import (
    LEVELS_Q,
    median_absolute_deviation,
    mixed_histogram,
    moments,
    percentile,
)
from trainer.schema import natural_key

if TYPE_CHECKING:
    import tensorflow as tf

#: 1 / Phi^-1(3/4): makes the MAD of a Gaussian its standard deviation.
MAD_TO_STD = 1.482602218505602
#: Scale of ``none``: grey levels 0..255 become 0..1.
RAW_SCALE_GREY_LEVELS = 255.0


@dataclass(frozen=True, eq=False)
class PlateCounts:
    """Everything a normaliser needs to know about a plate."""

    experiment: str
    #: Grey-level counts of all sites, int64 [C, Q].
    histogram_CQ: np.ndarray
    #: Grey-level counts of the negative-control wells alone, int64 [C, Q].
    control_histogram_CQ: np.ndarray
    n_control_wells: int = 0


def center_scale(
    histogram_CQ: np.ndarray, config: NormalizerConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Centre and scale of one set of pixels by the statistic the method uses.

    Methods that differ only in *whose* pixels they count (plate, controls, experiment,
    image) share mean and standard deviation.

    Parameters
    ----------
    histogram_CQ
        Counts [C, Q]; every channel holds at least one pixel.

    Returns
    -------
    center, scale
        float32 [C], grey levels; the scale is at least the configured floor.
    """
    if config.method == "none":
        shape = np.shape(histogram_CQ)[:-1]
        return np.zeros(shape, np.float32), np.full(shape, RAW_SCALE_GREY_LEVELS, np.float32)
    if config.method == "plate_median_mad":
        center = percentile(histogram_CQ, 50.0)
        scale = median_absolute_deviation(histogram_CQ) * MAD_TO_STD
    elif config.method == "plate_percentiles":
        center = percentile(histogram_CQ, config.low_percentile)
        scale = percentile(histogram_CQ, config.high_percentile) - center
    else:
        center, scale = moments(histogram_CQ)
    floored = np.maximum(scale, config.scale_floor_grey_levels)
    return center.astype(np.float32), floored.astype(np.float32)


def fit_plates(
    plates: Mapping[str, PlateCounts], config: NormalizerConfig
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The normaliser's table: plate -> (center, scale), float32 [C] in grey levels.

    For ``image_mean_std`` the table holds each plate's own mean and standard deviation,
    for information: the graph takes the image's.

    Raises
    ------
    PlatewiseError
        A plate has a channel without pixels, or has no controls where the configuration
        makes that an error; the message names the plates.
    """
    for plate, counts in plates.items():
        empty = np.flatnonzero(counts.histogram_CQ.sum(-1) == 0)
        if empty.size:
            raise PlatewiseError(
                f"plate {plate}: channel {empty[0] + 1} has an empty histogram; its Examples "
                "are damaged, write them anew"
            )
    if config.method == "plate_controls" and config.without_controls == "error":
        bare = plates_without_controls(plates)
        if bare:
            raise PlatewiseError(
                f"{len(bare)} of {len(plates)} plates have no negative-control well "
                f"({', '.join(bare[:5])}{', ...' if len(bare) > 5 else ''}), and "
                'normalizer.without_controls is "error"; set it to "plate" to use the whole '
                "plate there, or choose another normalizer.method"
            )
    pools = _pools(plates, config)
    return {plate: center_scale(pools[plate], config) for plate in plates}


def plates_without_controls(plates: Mapping[str, PlateCounts]) -> list[str]:
    """Plates without a single negative-control well, in natural order."""
    bare = (plate for plate, counts in plates.items() if not counts.n_control_wells)
    return sorted(bare, key=natural_key)


def _pools(plates: Mapping[str, PlateCounts], config: NormalizerConfig) -> dict[str, np.ndarray]:
    """Whose pixels each plate's statistics come from: plate -> [C, Q]."""
    if config.method == "experiment_mean_std":
        sums: dict[str, np.ndarray] = {}
        for counts in plates.values():
            sums[counts.experiment] = sums.get(counts.experiment, 0) + counts.histogram_CQ
        return {plate: sums[counts.experiment] for plate, counts in plates.items()}
    if config.method == "plate_controls":
        return {
            plate: mixed_histogram(
                counts.control_histogram_CQ,
                counts.n_control_wells,
                counts.histogram_CQ,
                config.control_shrinkage_wells,
            )
            if counts.n_control_wells
            else counts.histogram_CQ
            for plate, counts in plates.items()
        }
    return {plate: counts.histogram_CQ for plate, counts in plates.items()}


def normalise_image(image_BHWC: Any, center_BC: Any, scale_BC: Any) -> tf.Tensor:
    """Grey levels to model input, float32 [B, H, W, C].

    Parameters
    ----------
    image_BHWC
        Grey levels; not necessarily within 0..255 (injected noise leaves that range).
    center_BC, scale_BC
        Grey levels.
    """
    import tensorflow as tf

    image_BHWC = tf.cast(image_BHWC, tf.float32)
    return (image_BHWC - center_BC[:, None, None, :]) / scale_BC[:, None, None, :]


def denormalise_image(image_BHWC: Any, center_BC: Any, scale_BC: Any) -> tf.Tensor:
    """Inverse of :func:`normalise_image`: back to grey levels, float32."""
    import tensorflow as tf

    image_BHWC = tf.cast(image_BHWC, tf.float32)
    return image_BHWC * scale_BC[:, None, None, :] + center_BC[:, None, None, :]


def histogram_center_scale(
    histogram_BCQ: tf.Tensor, config: NormalizerConfig
) -> tuple[tf.Tensor, tf.Tensor]:
    """:func:`center_scale` in TensorFlow ops, per image.

    Parameters
    ----------
    histogram_BCQ
        int64 counts.

    Returns
    -------
    center_BC, scale_BC
        float32, grey levels.
    """
    import tensorflow as tf

    counts_BCQ = tf.cast(histogram_BCQ, tf.int64)
    if config.method == "none":
        zero_BC = tf.zeros(tf.shape(counts_BCQ)[:2], tf.float32)
        return zero_BC, zero_BC + RAW_SCALE_GREY_LEVELS
    if config.method == "plate_median_mad":
        center_BC, scale_BC = _median_mad_ops(counts_BCQ)
    elif config.method == "plate_percentiles":
        level_BCQ = LEVELS_Q + tf.zeros_like(counts_BCQ, tf.float64)
        center_BC = _percentile_ops(level_BCQ, counts_BCQ, config.low_percentile)
        high_BC = _percentile_ops(level_BCQ, counts_BCQ, config.high_percentile)
        scale_BC = high_BC - center_BC
    else:
        weight_BCQ = tf.cast(counts_BCQ, tf.float64)
        total_BC = tf.reduce_sum(weight_BCQ, -1)
        center_BC = tf.reduce_sum(weight_BCQ * LEVELS_Q, -1) / total_BC
        deviation_BCQ = LEVELS_Q - center_BC[..., None]
        variance_BC = tf.reduce_sum(weight_BCQ * deviation_BCQ**2, -1) / total_BC
        scale_BC = tf.sqrt(variance_BC)
    floored_BC = tf.maximum(scale_BC, tf.constant(config.scale_floor_grey_levels, tf.float64))
    return tf.cast(center_BC, tf.float32), tf.cast(floored_BC, tf.float32)


def _median_mad_ops(counts_BCQ: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    import tensorflow as tf

    level_BCQ = LEVELS_Q + tf.zeros_like(counts_BCQ, tf.float64)
    median_BC = _percentile_ops(level_BCQ, counts_BCQ, 50.0)
    deviation_BCQ = tf.abs(level_BCQ - median_BC[..., None])
    order_BCQ = tf.argsort(deviation_BCQ, axis=-1, stable=True)
    mad_BC = _percentile_ops(
        tf.gather(deviation_BCQ, order_BCQ, batch_dims=2),
        tf.gather(counts_BCQ, order_BCQ, batch_dims=2),
        50.0,
    )
    return median_BC, mad_BC * MAD_TO_STD


def _percentile_ops(value_BCQ: tf.Tensor, counts_BCQ: tf.Tensor, percent: float) -> tf.Tensor:
    import tensorflow as tf

    cumulative_BCQ = tf.cumsum(counts_BCQ, axis=-1)
    total_BC = cumulative_BCQ[..., -1]
    position_BC = tf.cast(total_BC - 1, tf.float64) * (percent / 100.0)
    low_BC = tf.cast(tf.floor(position_BC), tf.int64)

    def at_rank(rank_BC: tf.Tensor) -> tf.Tensor:
        below_BCQ = tf.cast(cumulative_BCQ <= rank_BC[..., None], tf.int32)
        return tf.gather(value_BCQ, tf.reduce_sum(below_BCQ, -1), batch_dims=2)

    low_value_BC = at_rank(low_BC)
    high_value_BC = at_rank(tf.minimum(low_BC + 1, total_BC - 1))
    fraction_BC = position_BC - tf.cast(low_BC, tf.float64)
    return low_value_BC + (high_value_BC - low_value_BC) * fraction_BC
