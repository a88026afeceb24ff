"""The Transform graph: plate to centre and scale, treatment to label. It sees no pixel."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from components.normaliser.counts import INPUT_KEYS, FitNormaliser
from trainer import schema
from trainer.config import NormalizerConfig
from trainer.normalize import histogram_center_scale
from trainer.strict import build

#: Key in ``custom_config`` of the path of ``normaliser.json``; the executor sets it.
TEXT_PATH_KEY = "normaliser_json"


def preprocessing_fn(
    inputs: dict[str, tf.Tensor], custom_config: dict[str, Any]
) -> dict[str, tf.Tensor]:
    """Raw features to the Transform keys of :mod:`trainer.schema`.

    Parameters
    ----------
    inputs
        Raw features with a leading axis B.
    custom_config
        ``normalizer`` (mapping of a NormalizerConfig), ``controls_as_classes``, and
        optionally the path of the text that :class:`FitNormaliser` writes.
    """
    config = build(NormalizerConfig, custom_config["normalizer"], "normalizer.")
    controls_as_classes = bool(custom_config["controls_as_classes"])
    n_channels = inputs[schema.HISTOGRAM].shape[1] // schema.GREY_LEVELS
    plate_P, center_PC, scale_PC, class_K, experiment_N, cell_type_N = (
        tft.experimental.ptransform_analyzer(
            inputs=[inputs[key] for key in INPUT_KEYS],
            ptransform=FitNormaliser(config, controls_as_classes, custom_config.get(TEXT_PATH_KEY)),
            output_dtypes=[tf.string, tf.float32, tf.float32, tf.string, tf.string, tf.string],
            output_shapes=[[None], [None, n_channels], [None, n_channels], [None], [None], [None]],
            name="fit_normaliser",
        )
    )
    plate_index_B = _find(inputs[schema.PLATE_ID], plate_P)
    center_BC, scale_BC = _center_scale(inputs, config, plate_index_B, center_PC, scale_PC)
    counted_B = inputs[schema.WELL_TYPE] == schema.WELL_TREATMENT
    if controls_as_classes:
        for control in (schema.WELL_POSITIVE, schema.WELL_NEGATIVE):
            counted_B |= inputs[schema.WELL_TYPE] == control
    label_B = _find(inputs[schema.TREATMENT], class_K)
    unknown_B = tf.fill(tf.shape(label_B), tf.constant(schema.LABEL_UNKNOWN, tf.int64))
    return {
        schema.CENTER: center_BC,
        schema.SCALE: scale_BC,
        schema.PLATE_KNOWN: tf.cast(plate_index_B >= 0, tf.int64),
        schema.LABEL: tf.where(counted_B, label_B, unknown_B),
        schema.EXPERIMENT_INDEX: _find(inputs[schema.EXPERIMENT], experiment_N),
        schema.PLATE_INDEX: plate_index_B,
        schema.CELL_TYPE_INDEX: _find(inputs[schema.CELL_TYPE], cell_type_N),
    }


def _find(name_B: tf.Tensor, known_N: tf.Tensor) -> tf.Tensor:
    """Position of each name among the known ones, int64 [B]; -1 where there is none.

    Comparing with all (204 plates, 1,108 classes) needs no lookup table, hence no state.
    A sum instead of an argmax, which fails where nothing is known (a screen without labels).
    """
    hit_BN = tf.cast(name_B[:, None] == known_N[None, :], tf.int64)
    position_N = tf.range(1, tf.size(known_N, tf.int64) + 1, dtype=tf.int64)
    return tf.reduce_sum(hit_BN * position_N, axis=1) - 1


def _center_scale(
    inputs: dict[str, tf.Tensor],
    config: NormalizerConfig,
    plate_index_B: tf.Tensor,
    center_PC: tf.Tensor,
    scale_PC: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    known_B = plate_index_B >= 0
    if config.unknown_plate == "error":
        plate_index_B += _zero_or_error(known_B, inputs[schema.PLATE_ID])
        if config.method != "image_mean_std":
            return tf.gather(center_PC, plate_index_B), tf.gather(scale_PC, plate_index_B)
    shape = [-1, center_PC.shape[1], schema.GREY_LEVELS]
    histogram_BCQ = tf.reshape(inputs[schema.HISTOGRAM], shape)
    own_center_BC, own_scale_BC = histogram_center_scale(histogram_BCQ, config)
    if config.method == "image_mean_std":
        return own_center_BC, own_scale_BC
    row_B = tf.maximum(plate_index_B, 0)
    return (
        tf.where(known_B[:, None], tf.gather(center_PC, row_B), own_center_BC),
        tf.where(known_B[:, None], tf.gather(scale_PC, row_B), own_scale_BC),
    )


def _zero_or_error(known_B: tf.Tensor, plate_id_B: tf.Tensor) -> tf.Tensor:
    """Zeros, int64 [B]; an InvalidArgumentError that names an unknown plate, if there is one.

    Not ``tf.debugging.Assert``: that op has a side effect, so it would also run, and fail,
    while TFT reads the columns it is about to analyse and no plate is known yet.
    """
    message = "(normalizer.unknown_plate is error, and the normaliser does not know plate "
    text_B = tf.strings.join([message, plate_id_B, ")"])
    return tf.strings.to_number(tf.where(known_B, "0", text_B), tf.int64)
