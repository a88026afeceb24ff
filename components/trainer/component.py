"""PlateTrainer: the training loop of ``trainer`` as a TFX component."""

from __future__ import annotations

import json

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.trainer.executor import PlateTrainerExecutor
from trainer.config import TrainerConfig
from trainer.strict import to_mapping


class PlateTrainerSpec(component_spec.ComponentSpec):
    """What goes into training and what comes out."""

    PARAMETERS = {  # noqa: RUF012 - TFX reads a plain dict
        "config": component_spec.ExecutionParameter(type=str),
        "checkpoint_root": component_spec.ExecutionParameter(type=str),
        "code_digest": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "transform_graph": component_spec.ChannelParameter(type=standard_artifacts.TransformGraph),
    }
    OUTPUTS = {  # noqa: RUF012
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "model_run": component_spec.ChannelParameter(type=standard_artifacts.ModelRun),
    }


class PlateTrainer(base_component.BaseComponent):
    """Trains a network; outputs ``model`` and ``model_run``.

    ``model`` holds a SavedModel under ``Format-Serving``, where TFX's Evaluator and Pusher look
    for it. ``model_run`` holds the weights, the history and TensorBoard's scalars.

    Parameters
    ----------
    examples
        Examples with a manifest beside their splits.
    transform_graph
        What PlateTransform fitted on them.
    config
        Everything that decides what training gives.
    checkpoint_root
        Folder of checkpoints: training that was stopped goes on from there.
    code_digest
        Digest of the code this step depends on; a new one makes it run again. Whether that
        trains anew is for the trainer's own digest of the code that decides the weights.
    """

    SPEC_CLASS = PlateTrainerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(PlateTrainerExecutor)

    def __init__(
        self,
        examples: types.BaseChannel,
        transform_graph: types.BaseChannel,
        config: TrainerConfig,
        checkpoint_root: str,
        code_digest: str = "",
    ) -> None:
        spec = PlateTrainerSpec(
            examples=examples,
            transform_graph=transform_graph,
            config=json.dumps(to_mapping(config), sort_keys=True),
            checkpoint_root=checkpoint_root,
            code_digest=code_digest,
            model=types.Channel(type=standard_artifacts.Model),
            model_run=types.Channel(type=standard_artifacts.ModelRun),
        )
        super().__init__(spec=spec)
