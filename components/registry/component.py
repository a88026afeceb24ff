"""PlateVertexPusher: PlatePusher, and then a new version in the Vertex Model Registry."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.pusher.component import PlatePusherSpec
from components.registry.config import RegistryConfig
from components.registry.executor import PlateVertexPusherExecutor
from trainer.strict import to_mapping

_STRINGS = ("registry", "project", "region", "service_account", "encryption_key", "labels")


class PlateVertexPusherSpec(component_spec.ComponentSpec):
    """PlatePusher's contract, the evaluation, and where the registry is."""

    PARAMETERS = {  # noqa: RUF012 - TFX reads a plain dict
        **PlatePusherSpec.PARAMETERS,
        **{name: component_spec.ExecutionParameter(type=str) for name in _STRINGS},
        "pipeline_job": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        **PlatePusherSpec.INPUTS,
        "evaluation": component_spec.ChannelParameter(type=standard_artifacts.ModelEvaluation),
    }
    OUTPUTS = PlatePusherSpec.OUTPUTS


class PlateVertexPusher(base_component.BaseComponent):
    """Pushes a blessed model to ``folder/VERSION`` and to the registry; output ``pushed_model``.

    Tried again, or run for a model whose very bytes are there already, it adds no second version.

    Parameters
    ----------
    model, model_blessing, folder, code_digest
        As for PlatePusher; the folder is in a bucket.
    evaluation, batch_effects
        As for PlatePusher; the evaluation's numbers go with the version too.
    registry
        Which model, with which aliases, served by what, deployed where.
    project, region
        Where the registry is.
    service_account
        Identity of the containers of an endpoint; empty: Vertex AI's own.
    encryption_key
        Customer-managed key; empty: Google's.
    labels
        On the version, beside ``registry.labels``, which win.
    pipeline_job
        Resource name of the pipeline job that this is a step of, such as the placeholder
        ``{{$.pipeline_job_resource_name}}``; the version links to it.
    """

    SPEC_CLASS = PlateVertexPusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(PlateVertexPusherExecutor)

    def __init__(
        self,
        model: types.BaseChannel,
        model_blessing: types.BaseChannel,
        evaluation: types.BaseChannel,
        folder: str,
        registry: RegistryConfig,
        project: str,
        region: str,
        service_account: str = "",
        encryption_key: str = "",
        labels: Mapping[str, str] | None = None,
        pipeline_job: str = "",
        code_digest: str = "",
        batch_effects: types.BaseChannel | None = None,
    ) -> None:
        spec = PlateVertexPusherSpec(
            model=model,
            model_blessing=model_blessing,
            evaluation=evaluation,
            batch_effects=batch_effects,
            folder=folder,
            registry=json.dumps(to_mapping(registry), sort_keys=True),
            project=project,
            region=region,
            service_account=service_account,
            encryption_key=encryption_key,
            labels=json.dumps(dict(labels or {}), sort_keys=True),
            pipeline_job=pipeline_job,
            code_digest=code_digest,
            pushed_model=types.Channel(type=standard_artifacts.PushedModel),
        )
        super().__init__(spec=spec)
