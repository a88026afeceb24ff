"""PlateTrainingJob: training in a custom job of Vertex AI, as a TFX component."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.orchestration.data_types import RuntimeParameter
from tfx.types import component_spec, standard_artifacts

from components.training_job.config import TrainingJobConfig
from components.training_job.executor import PlateTrainingJobExecutor
from trainer.config import TrainerConfig
from trainer.strict import to_mapping


class PlateTrainingJobSpec(component_spec.ComponentSpec):
    """What goes into training and what comes out."""

    PARAMETERS = {  # noqa: RUF012 - TFX reads a plain dict
        "config": component_spec.ExecutionParameter(type=str),
        "config_preset": component_spec.ExecutionParameter(type=str),
        "preset": component_spec.ExecutionParameter(type=str),
        "epochs": component_spec.ExecutionParameter(type=int),
        "job": component_spec.ExecutionParameter(type=str),
        "project": component_spec.ExecutionParameter(type=str),
        "region": component_spec.ExecutionParameter(type=str),
        "service_account": component_spec.ExecutionParameter(type=str),
        "network": component_spec.ExecutionParameter(type=str),
        "encryption_key": component_spec.ExecutionParameter(type=str),
        "labels": component_spec.ExecutionParameter(type=str),
        "checkpoint_root": component_spec.ExecutionParameter(type=str),
        "code_digest": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "transform_graph": component_spec.ChannelParameter(type=standard_artifacts.TransformGraph),
    }
    OUTPUTS = {  # noqa: RUF012
        "model_run": component_spec.ChannelParameter(type=standard_artifacts.ModelRun),
    }


class PlateTrainingJob(base_component.BaseComponent):
    """Trains a network on machines of its own; output ``model_run``, as PlateTrainer's.

    Parameters
    ----------
    examples
        Examples with a manifest beside their splits.
    transform_graph
        What PlateTransform fitted on them.
    config
        Everything that decides what training gives; where it computes follows from ``job``.
    config_preset
        Preset that ``config`` began with.
    preset
        Preset to take instead, keeping what ``config`` changed; empty: the same.
    epochs
        Epochs to train; 0: as configured.
    job
        Image, accelerator, scheduling.
    project, region, service_account, network, encryption_key, labels
        Of the custom job; empty ones are left out.
    checkpoint_root
        Folder of checkpoints: training that was stopped goes on from there.
    code_digest
        Digest of the code this step depends on; a new one makes it run again.
    """

    SPEC_CLASS = PlateTrainingJobSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(PlateTrainingJobExecutor)

    def __init__(
        self,
        examples: types.BaseChannel,
        transform_graph: types.BaseChannel,
        config: TrainerConfig,
        config_preset: str,
        job: TrainingJobConfig,
        project: str,
        region: str,
        checkpoint_root: str,
        preset: str | RuntimeParameter = "",
        epochs: int | RuntimeParameter = 0,
        service_account: str = "",
        network: str = "",
        encryption_key: str = "",
        labels: Mapping[str, str] | None = None,
        code_digest: str = "",
    ) -> None:
        spec = PlateTrainingJobSpec(
            examples=examples,
            transform_graph=transform_graph,
            config=json.dumps(to_mapping(config), sort_keys=True),
            config_preset=config_preset,
            preset=preset,
            epochs=epochs,
            job=json.dumps(to_mapping(job), sort_keys=True),
            project=project,
            region=region,
            service_account=service_account,
            network=network,
            encryption_key=encryption_key,
            labels=json.dumps(dict(labels or {}), sort_keys=True),
            checkpoint_root=checkpoint_root,
            code_digest=code_digest,
            model_run=types.Channel(type=standard_artifacts.ModelRun),
        )
        super().__init__(spec=spec)
