"""PlatePredictor: plate-pure inference as a TFX component."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.predictor.executor import PlatePredictorExecutor
from trainer.config import PredictConfig
from trainer.strict import to_mapping


class PlatePredictorSpec(component_spec.ComponentSpec):
    """What goes into prediction and what comes out."""

    PARAMETERS = {  # noqa: RUF012 - TFX reads a plain dict
        "splits": component_spec.ExecutionParameter(type=str),
        "predict": component_spec.ExecutionParameter(type=str, optional=True),
        "model_digest": component_spec.ExecutionParameter(type=str, optional=True),
        "baseline_everywhere": component_spec.ExecutionParameter(type=int, optional=True),
        "code_digest": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "transform_graph": component_spec.ChannelParameter(type=standard_artifacts.TransformGraph),
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "baseline_model": component_spec.ChannelParameter(
            type=standard_artifacts.Model, optional=True
        ),
    }
    OUTPUTS = {  # noqa: RUF012
        "predictions": component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }


class PlatePredictor(base_component.BaseComponent):
    """Predicts plate by plate; output ``predictions``: rows of sites and wells, no pixels.

    Parameters
    ----------
    examples
        Examples with a manifest beside their splits.
    transform_graph
        What PlateTransform fitted on these Examples.
    model
        From PlateTrainer, or an imported one.
    baseline_model
        Where it resolves to a model, that model reads the same sites for comparison.
    splits
        Splits to predict; all where none is named.
    predict
        How to read plates; as the model was trained to where not given.
    model_digest
        Digest of an imported model's files: TFX knows it by its folder alone.
    baseline_everywhere
        The baseline reads every split and leaves its embedding too: for a threshold on how well
        experiments can be guessed, which takes two experiments of a cell type.
    code_digest
        Digest of the code this step depends on; a new one makes it run again.
    """

    SPEC_CLASS = PlatePredictorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(PlatePredictorExecutor)

    def __init__(
        self,
        examples: types.BaseChannel,
        transform_graph: types.BaseChannel,
        model: types.BaseChannel,
        baseline_model: types.BaseChannel | None = None,
        splits: Sequence[str] = (),
        predict: PredictConfig | None = None,
        model_digest: str | None = None,
        baseline_everywhere: bool = False,
        code_digest: str = "",
    ) -> None:
        spec = PlatePredictorSpec(
            examples=examples,
            transform_graph=transform_graph,
            model=model,
            baseline_model=baseline_model,
            splits=json.dumps(list(splits)),
            predict=json.dumps(to_mapping(predict), sort_keys=True) if predict else None,
            model_digest=model_digest,
            baseline_everywhere=1 if baseline_everywhere else None,
            code_digest=code_digest,
            predictions=types.Channel(type=standard_artifacts.Examples),
        )
        super().__init__(spec=spec)
