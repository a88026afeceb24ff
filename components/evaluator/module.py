"""What TFX's Evaluator calls: rows instead of a model, and how to read them.

The model is an input for the sake of the blessing and is never run: its predictions lie in
the rows.
"""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from components.evaluator.metrics import score_rows
from components.evaluator.tfma_api import tfma
from trainer import schema
from trainer.errors import PlatewiseError


def custom_eval_shared_model(
    eval_saved_model_path: str, model_name: str, eval_config: tfma.EvalConfig, **_: Any
) -> tfma.types.EvalSharedModel:
    """A model of which TFMA knows the name and nothing else."""
    spec = next(spec for spec in eval_config.model_specs if spec.name == model_name)
    return tfma.types.EvalSharedModel(
        model_path=eval_saved_model_path,
        model_name=model_name,
        model_type=spec.model_type,
        is_baseline=spec.is_baseline,
        rubber_stamp=False,
    )


def custom_extractors(
    eval_shared_model: Any, eval_config: tfma.EvalConfig, tensor_adapter_config: Any
) -> list[tfma.extractors.Extractor]:
    """Extractors from Arrow tables of rows to sliced labels and predictions."""
    columns = {key for spec in eval_config.slicing_specs for key in spec.feature_keys}
    return [
        tfma.extractors.Extractor(
            stage_name="ExtractRows",
            ptransform=beam.Map(
                extract_rows, _prediction_columns(eval_config), tuple(sorted(columns))
            ),
        ),
        tfma.extractors.UnbatchExtractor(),
        tfma.extractors.SliceKeyExtractor(eval_config=eval_config, materialize=False),
    ]


def _prediction_columns(eval_config: tfma.EvalConfig) -> dict[str, str]:
    return {spec.name: spec.prediction_key for spec in eval_config.model_specs}


def extract_rows(
    extracts: dict[str, Any], prediction_columns: dict[str, str], slice_columns: tuple[str, ...]
) -> dict[str, Any]:
    """Labels, slice columns, and scores as predictions, of the rows whose label is known.

    Only the columns needed are converted: embeddings stay in Arrow.

    Parameters
    ----------
    extracts
        Holds an Arrow table under TFMA's key.
    prediction_columns
        Model name -> column of its probabilities; one unnamed model, or several.
    slice_columns
        Columns to slice by.

    Raises
    ------
    PlatewiseError
        Rows of different numbers of classes, or without a column that is needed.
    """
    table: pa.RecordBatch = extracts[tfma.ARROW_RECORD_BATCH_KEY]
    label_B = _column(table, schema.LABEL).to_numpy(zero_copy_only=False)
    known_B = label_B >= 0
    label_B = label_B[known_B]
    features = {
        key: _column(table, key).to_numpy(zero_copy_only=False)[known_B][:, None]
        for key in slice_columns
    }
    scores = {
        model: _scores(table, key, known_B, label_B) for model, key in prediction_columns.items()
    }
    several = len(scores) > 1
    return {
        tfma.FEATURES_KEY: features,
        tfma.LABELS_KEY: dict.fromkeys(scores, label_B) if several else label_B,
        tfma.PREDICTIONS_KEY: scores if several else next(iter(scores.values())),
    }


def _scores(
    table: pa.RecordBatch, key: str, known_B: np.ndarray, label_B: np.ndarray
) -> np.ndarray:
    values = _column(table, key).to_numpy(zero_copy_only=False)
    probabilities_BK = values.reshape(len(known_B), -1)[known_B]
    n_classes = probabilities_BK.shape[1]
    if label_B.size and label_B.max() >= n_classes:
        raise PlatewiseError(
            f"prediction rows hold label {label_B.max()} and {n_classes} probabilities in "
            f"{key!r}; predict again"
        )
    if not np.isfinite(probabilities_BK).all():
        raise PlatewiseError(
            f"prediction rows hold probabilities in {key!r} that are not finite: the model is "
            "damaged, train it again"
        )
    return score_rows(probabilities_BK, label_B)


def _column(table: pa.RecordBatch, key: str) -> pa.Array:
    """Values of a list column, the rows one after the other; each row has equally many."""
    index = table.schema.get_field_index(key)
    if index < 0:
        raise PlatewiseError(f"prediction rows without column {key!r}; predict again")
    column = table.column(index)
    lengths = np.diff(column.offsets.to_numpy())
    if column.null_count or lengths.min(initial=1) < 1 or lengths.min() != lengths.max():
        raise PlatewiseError(
            f"prediction rows disagree in the length of {key!r}: {lengths.min(initial=0)} to "
            f"{lengths.max(initial=0)} values; predict again"
        )
    return column.flatten()
