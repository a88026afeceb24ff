"""Our thresholds and slices as TFMA's configuration."""

from __future__ import annotations

import json

from components.evaluator.config import EvaluationConfig
from components.evaluator.metrics import ACCURACY, SCORES, MeanScore
from components.evaluator.tfma_api import config_pb2, tfma
from trainer import schema

EXAMPLE_COUNT = "example_count"

#: Rows that thresholds read, as slice columns and their values.
GATE_ROWS = {schema.LEVEL: schema.LEVEL_WELL, schema.WELL_TYPE: schema.WELL_TREATMENT}

CANDIDATE = "candidate"
BASELINE = "baseline"


def build_eval_config(
    config: EvaluationConfig, n_classes: int, has_baseline: bool
) -> tfma.EvalConfig:
    """TFMA's configuration for prediction rows of ``n_classes`` classes.

    Parameters
    ----------
    config
        What the model has to reach.
    n_classes
        Classes K; chance is 1 / K.
    has_baseline
        Rows carry the latest blessed model's probabilities too.
    """
    rows = {"label_key": schema.LABEL, "model_type": "materialized_prediction"}
    model_specs = [config_pb2.ModelSpec(prediction_key=schema.PROBABILITIES, **rows)]
    if has_baseline:
        model_specs[0].name = CANDIDATE
        model_specs.append(
            config_pb2.ModelSpec(
                name=BASELINE,
                prediction_key=schema.BASELINE_PROBABILITIES,
                is_baseline=True,
                **rows,
            )
        )
    metrics = [
        config_pb2.MetricConfig(class_name="ExampleCount"),
        *(
            config_pb2.MetricConfig(
                class_name=MeanScore.__name__,
                module=MeanScore.__module__,
                config=json.dumps({"name": name, "intervals": config.confidence_intervals}),
                per_slice_thresholds=(
                    _thresholds(config, n_classes, has_baseline) if name == ACCURACY else []
                ),
            )
            for name in SCORES
        ),
    ]
    options = config_pb2.Options()
    # The metrics bring their own (components.evaluator.metrics.MeanScore).
    options.compute_confidence_intervals.value = False
    options.include_default_metrics.value = False
    return tfma.EvalConfig(
        model_specs=model_specs,
        metrics_specs=[config_pb2.MetricsSpec(metrics=metrics)],
        slicing_specs=[
            config_pb2.SlicingSpec(feature_keys=columns) for columns in config.slice_columns()
        ],
        options=options,
    )


def _thresholds(
    config: EvaluationConfig, n_classes: int, has_baseline: bool
) -> list[config_pb2.PerSliceMetricThreshold]:
    all_wells = config_pb2.SlicingSpec(feature_values=GATE_ROWS)
    each_experiment = config_pb2.SlicingSpec(
        feature_keys=[schema.EXPERIMENT], feature_values=GATE_ROWS
    )
    found = []
    for spec, bound in (
        (all_wells, config.required_per_well(n_classes)),
        (each_experiment, config.required_worst_experiment(n_classes)),
    ):
        if bound > 0:
            threshold = config_pb2.MetricThreshold(
                value_threshold=config_pb2.GenericValueThreshold(lower_bound={"value": bound})
            )
            found.append(
                config_pb2.PerSliceMetricThreshold(slicing_specs=[spec], threshold=threshold)
            )
    if has_baseline:
        change = config_pb2.GenericChangeThreshold(
            absolute={"value": -config.max_drop_against_baseline},
            direction=config_pb2.MetricDirection.HIGHER_IS_BETTER,
        )
        threshold = config_pb2.MetricThreshold(change_threshold=change)
        found.append(
            config_pb2.PerSliceMetricThreshold(slicing_specs=[all_wells], threshold=threshold)
        )
    return found
