"""Executor of PlateEvaluator: TFMA's metrics, then a verdict that fails closed."""

from __future__ import annotations

import json
import os
from typing import Any

from tfx import types
from tfx.components.evaluator import constants
from tfx.components.evaluator import executor as stock
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.types import standard_component_specs as keys
from tfx.utils import io_utils, json_utils, proto_utils

from components.batch_effect_evaluator.results import read_batch_effects
from components.beam_workers import PortableBeamExecutor
from components.evaluator import module
from components.evaluator.config import THRESHOLDS, EvaluationConfig
from components.evaluator.eval_config import build_eval_config
from components.evaluator.promotion import closed_comparison, further_gates, told_why
from components.evaluator.results import FILE_NAME, Evaluation
from components.evaluator.verdict import judge
from components.evaluator.wells import measure_wells, to_files
from components.predictor.comparison import read_comparison
from components.worker_errors import worker_errors
from trainer import schema
from trainer.manifest import Manifest, open_binary, read_manifest, verify
from trainer.records import read_frames
from trainer.strict import build

#: Execution property that holds the EvaluationConfig as JSON.
CONFIG_KEY = "evaluation_config"

#: Input: what the BatchEffectEvaluator found.
BATCH_EFFECTS_KEY = "batch_effects"

Artifacts = dict[str, list[types.Artifact]]


class PlateEvaluatorExecutor(PortableBeamExecutor, stock.Executor):
    """Evaluates prediction rows; the model is never loaded."""

    def Do(  # noqa: N802  (TFX's name)
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]
    ) -> None:
        """Write the evaluation and the blessing.

        Raises
        ------
        PlatewiseError
            Damaged predictions.
        """
        config = read_config(exec_properties)
        folder = artifact_utils.get_single_uri(input_dict[keys.EXAMPLES_KEY])
        evaluation_uri = artifact_utils.get_single_uri(output_dict[keys.EVALUATION_KEY])
        manifest = read_manifest(folder)
        verify(folder, manifest, [schema.SPLIT_EVAL])
        n_classes = len(manifest.classes)
        compares = config.compare_with_baseline and bool(input_dict.get(keys.BASELINE_MODEL_KEY))
        has_baseline = compares and _rows_have_baseline(folder, manifest)
        if manifest.of_split(schema.SPLIT_EVAL):
            inputs = dict(input_dict)
            inputs.pop(BATCH_EFFECTS_KEY, None)
            if not has_baseline:
                inputs.pop(keys.BASELINE_MODEL_KEY, None)
            eval_config = build_eval_config(config, n_classes, has_baseline)
            properties = exec_properties | {
                keys.EVAL_CONFIG_KEY: proto_utils.proto_to_json(eval_config),
                keys.EXAMPLE_SPLITS_KEY: json_utils.dumps([schema.SPLIT_EVAL]),
                keys.MODULE_PATH_KEY: module.__name__,
            }
            with worker_errors():
                super().Do(inputs, output_dict, properties)
        measures = measure_wells(folder, manifest)
        for name, text in to_files(measures).items():
            io_utils.write_string_file(os.path.join(evaluation_uri, name), text)
        expected = manifest.expected_sites.get(schema.SPLIT_EVAL, {})
        there = input_dict.get(BATCH_EFFECTS_KEY)
        effects = read_batch_effects(artifact_utils.get_single_uri(there)) if there else None
        further = further_gates(config, measures, effects, compares)
        if compares and not has_baseline:
            further = [closed_comparison(config), *further]
        evaluation = judge(
            evaluation_uri,
            config,
            n_classes,
            has_baseline,
            expected,
            *told_why(further, read_comparison(folder) if compares else None),
        )
        io_utils.write_string_file(os.path.join(evaluation_uri, FILE_NAME), evaluation.to_json())
        _bless(input_dict, output_dict, evaluation)


def read_config(exec_properties: dict[str, Any]) -> EvaluationConfig:
    """The configuration, with the thresholds that were given when the run was started."""
    given = {k: exec_properties[k] for k in THRESHOLDS if exec_properties.get(k) is not None}
    return build(EvaluationConfig, json.loads(exec_properties[CONFIG_KEY]) | given, "evaluation.")


def _rows_have_baseline(folder: str, manifest: Manifest) -> bool:
    import tensorflow as tf

    for shard in manifest.of_split(schema.SPLIT_EVAL):
        with open_binary(f"{folder.rstrip('/')}/{shard.name}") as stream:
            for record in read_frames(stream, shard.name):
                feature = tf.train.Example.FromString(record).features.feature
                return bool(feature[schema.BASELINE_PROBABILITIES].float_list.value)
    return False


def _bless(input_dict: Artifacts, output_dict: Artifacts, evaluation: Evaluation) -> None:
    """Write our verdict over TFX's, which does not know of experiments without a row."""
    blessing = artifact_utils.get_single_instance(output_dict[keys.BLESSING_KEY])
    model = artifact_utils.get_single_instance(input_dict[keys.MODEL_KEY])
    blessing.set_string_custom_property(
        constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, model.uri
    )
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, model.id)
    for name in (constants.BLESSED_FILE_NAME, constants.NOT_BLESSED_FILE_NAME):
        path = os.path.join(blessing.uri, name)
        if fileio.exists(path):
            fileio.remove(path)
    name, value = (
        (constants.BLESSED_FILE_NAME, constants.BLESSED_VALUE)
        if evaluation.blessed
        else (constants.NOT_BLESSED_FILE_NAME, constants.NOT_BLESSED_VALUE)
    )
    io_utils.write_string_file(
        os.path.join(blessing.uri, name), "".join(f"{r}\n" for r in evaluation.reasons)
    )
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, value)
