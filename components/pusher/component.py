"""PlatePusher: TFX's Pusher, but a version appears whole or not at all."""

from __future__ import annotations

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.artifacts import BatchEffects
from components.pusher.executor import PlatePusherExecutor


class PlatePusherSpec(component_spec.ComponentSpec):
    """What is pushed, and where to."""

    PARAMETERS = {  # noqa: RUF012 - TFX reads a plain dict
        "folder": component_spec.ExecutionParameter(type=str),
        "code_digest": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "model_blessing": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
        "evaluation": component_spec.ChannelParameter(
            type=standard_artifacts.ModelEvaluation, optional=True
        ),
        "batch_effects": component_spec.ChannelParameter(type=BatchEffects, optional=True),
    }
    OUTPUTS = {  # noqa: RUF012
        "pushed_model": component_spec.ChannelParameter(type=standard_artifacts.PushedModel),
    }


class PlatePusher(base_component.BaseComponent):
    """Copies the model to ``folder/VERSION`` if it was blessed; output ``pushed_model``.

    Parameters
    ----------
    model
        From PlateTrainer.
    model_blessing
        From PlateEvaluator; a model that was refused is not pushed, and that is no error.
    evaluation, batch_effects
        From PlateEvaluator and BatchEffectEvaluator: the temperature and the corrections that
        they fitted go with the model, and scoring applies them.
    folder
        Folder of versions, local or ``gs://``. A version is named by its time, in seconds since
        1970, as TensorFlow Serving wants it: the highest number is the newest.
    code_digest
        Digest of the code this step depends on; a new one makes it run again.
    """

    SPEC_CLASS = PlatePusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(PlatePusherExecutor)

    def __init__(
        self,
        model: types.BaseChannel,
        model_blessing: types.BaseChannel,
        folder: str,
        code_digest: str = "",
        evaluation: types.BaseChannel | None = None,
        batch_effects: types.BaseChannel | None = None,
    ) -> None:
        spec = PlatePusherSpec(
            model=model,
            model_blessing=model_blessing,
            evaluation=evaluation,
            batch_effects=batch_effects,
            folder=folder,
            code_digest=code_digest,
            pushed_model=types.Channel(type=standard_artifacts.PushedModel),
        )
        super().__init__(spec=spec)
