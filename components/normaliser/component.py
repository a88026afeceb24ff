"""PlateTransform: TFX's Transform, fitted on every split and fed with histograms alone."""

from __future__ import annotations

from typing import Any

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import component_spec, standard_artifacts, standard_component_specs
from tfx.utils import json_utils

from components.normaliser.executor import METHOD_KEY, MODEL_KEY, PlateTransformExecutor
from trainer.config import NormalizerConfig
from trainer.strict import to_mapping

PREPROCESSING_FN = "components.normaliser.preprocessing.preprocessing_fn"
CODE_DIGEST_KEY = "code_digest"


class PlateTransformSpec(standard_component_specs.TransformSpec):
    """Transform's contract and the digest of the code, which TFX's cache key lacks."""

    PARAMETERS = {  # noqa: RUF012  (TFX reads a plain dict)
        **standard_component_specs.TransformSpec.PARAMETERS,
        CODE_DIGEST_KEY: component_spec.ExecutionParameter(type=str),
        METHOD_KEY: component_spec.ExecutionParameter(type=str, optional=True),
    }
    INPUTS = {  # noqa: RUF012
        **standard_component_specs.TransformSpec.INPUTS,
        MODEL_KEY: component_spec.ChannelParameter(type=standard_artifacts.Model, optional=True),
    }


class PlateTransform(base_beam_component.BaseBeamComponent):
    """Fits the normaliser plate by plate; output ``transform_graph``.

    Nothing is materialised and no statistics are computed: pixels are never parsed.

    Parameters
    ----------
    examples
        Examples with a manifest beside their splits; every split is analysed.
    schema
        Schema with a fixed shape for the histogram.
    normalizer
        How grey levels become model input; None takes it from ``model``.
    controls_as_classes
        Controls, positive and negative, count as classes too.
    method
        Overrides the normaliser's method when the pipeline is started; plain text or a runtime
        parameter, empty for the configured one.
    model
        A trained model: new plates are normalised the way its own were.
    code_digest
        Digest of the code this step depends on; a new one makes it run again.
    """

    SPEC_CLASS = PlateTransformSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(PlateTransformExecutor)

    def __init__(
        self,
        examples: types.BaseChannel,
        schema: types.BaseChannel,
        normalizer: NormalizerConfig | None,
        controls_as_classes: bool = False,
        method: Any = None,
        model: types.BaseChannel | None = None,
        code_digest: str = "",
    ) -> None:
        custom_config = {
            "normalizer": to_mapping(normalizer) if normalizer else None,
            "controls_as_classes": controls_as_classes,
        }
        spec = PlateTransformSpec(
            examples=examples,
            schema=schema,
            preprocessing_fn=PREPROCESSING_FN,
            force_tf_compat_v1=0,
            custom_config=json_utils.dumps(custom_config),
            disable_statistics=1,
            code_digest=code_digest,
            **{METHOD_KEY: method, MODEL_KEY: model},
            transform_graph=types.Channel(type=standard_artifacts.TransformGraph),
        )
        super().__init__(spec=spec)
