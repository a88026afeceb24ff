"""BatchEffectEvaluator: batch against biology as a TFX component."""

from __future__ import annotations

import json

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.artifacts import BatchEffects
from components.batch_effect_evaluator.config import BatchEffectsConfig
from components.batch_effect_evaluator.executor import CONFIG_KEY, BatchEffectEvaluatorExecutor
from trainer.strict import to_mapping


class BatchEffectEvaluatorSpec(component_spec.ComponentSpec):
    """What is measured and what comes out."""

    PARAMETERS = {  # noqa: RUF012 - TFX reads a plain dict
        CONFIG_KEY: component_spec.ExecutionParameter(type=str),
        "model_digest": component_spec.ExecutionParameter(type=str, optional=True),
        "code_digest": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        "predictions": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model, optional=True),
    }
    OUTPUTS = {  # noqa: RUF012
        "batch_effects": component_spec.ChannelParameter(type=BatchEffects),
    }


class BatchEffectEvaluator(base_component.BaseComponent):
    """Measures how much of the wells' embeddings is experiment and how much treatment.

    Output ``batch_effects`` (read it with
    :func:`components.batch_effect_evaluator.results.read_batch_effects`): tables before and after
    each correction, and the fitted corrections.

    Parameters
    ----------
    predictions
        Rows of PlatePredictor, with a manifest beside their splits.
    config
        Corrections and metrics.
    model
        In scoring: the model, which may bring corrections that were fitted when it was trained.
    model_digest
        Digest of an imported model's files: TFX knows it by its folder alone.
    code_digest
        Digest of the code this step depends on; a new one makes it run again.
    """

    SPEC_CLASS = BatchEffectEvaluatorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(BatchEffectEvaluatorExecutor)

    def __init__(
        self,
        predictions: types.BaseChannel,
        config: BatchEffectsConfig,
        model: types.BaseChannel | None = None,
        model_digest: str | None = None,
        code_digest: str = "",
    ) -> None:
        values = {CONFIG_KEY: json.dumps(to_mapping(config), sort_keys=True)}
        spec = BatchEffectEvaluatorSpec(
            predictions=predictions,
            model=model,
            model_digest=model_digest,
            code_digest=code_digest,
            batch_effects=types.Channel(type=BatchEffects),
            **values,
        )
        super().__init__(spec=spec)
