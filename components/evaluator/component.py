"""PlateEvaluator: TFX's Evaluator on prediction rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import component_spec, standard_artifacts, standard_component_specs

from components.artifacts import BatchEffects
from components.evaluator.config import THRESHOLDS, EvaluationConfig
from components.evaluator.executor import (
    BATCH_EFFECTS_KEY,
    CONFIG_KEY,
    PlateEvaluatorExecutor,
)
from trainer.strict import to_mapping


class PlateEvaluatorSpec(standard_component_specs.EvaluatorSpec):
    """Evaluator's contract, our thresholds, and the digest that TFX's cache key lacks."""

    INPUTS = {  # noqa: RUF012
        **standard_component_specs.EvaluatorSpec.INPUTS,
        BATCH_EFFECTS_KEY: component_spec.ChannelParameter(type=BatchEffects, optional=True),
    }
    PARAMETERS = {  # noqa: RUF012  (TFX reads a plain dict)
        **standard_component_specs.EvaluatorSpec.PARAMETERS,
        CONFIG_KEY: component_spec.ExecutionParameter(type=str),
        "code_digest": component_spec.ExecutionParameter(type=str),
        **{
            name: component_spec.ExecutionParameter(type=float, optional=True)
            for name in THRESHOLDS
        },
    }


class PlateEvaluator(base_beam_component.BaseBeamComponent):
    """Slices metrics of the split ``eval`` and blesses the model or refuses to.

    Outputs ``evaluation`` (read it with :func:`components.evaluator.results.read_evaluation`)
    and ``blessing``.

    Parameters
    ----------
    predictions
        Rows of PlatePredictor, with a manifest beside their splits.
    model
        The model that is blessed; it is not run.
    config
        Thresholds and slices.
    thresholds
        Override those of :data:`config.THRESHOLDS` when the pipeline is started; numbers or
        runtime parameters.
    baseline_model
        Latest blessed model, whose probabilities the rows then carry too.
    code_digest
        Digest of the code this step depends on; a new one makes it run again.
    batch_effects
        From BatchEffectEvaluator, for the thresholds that read it.
    """

    SPEC_CLASS = PlateEvaluatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(PlateEvaluatorExecutor)

    def __init__(
        self,
        predictions: types.BaseChannel,
        model: types.BaseChannel,
        config: EvaluationConfig,
        baseline_model: types.BaseChannel | None = None,
        thresholds: Mapping[str, Any] | None = None,
        code_digest: str = "",
        batch_effects: types.BaseChannel | None = None,
    ) -> None:
        values: dict[str, Any] = {
            CONFIG_KEY: json.dumps(to_mapping(config), sort_keys=True),
            "code_digest": code_digest,
            **(thresholds or {}),
        }
        spec = PlateEvaluatorSpec(
            examples=predictions,
            model=model,
            baseline_model=baseline_model,
            batch_effects=batch_effects,
            evaluation=types.Channel(type=standard_artifacts.ModelEvaluation),
            blessing=types.Channel(type=standard_artifacts.ModelBlessing),
            **values,
        )
        super().__init__(spec=spec)
