"""PlateExampleGen: the first component of both pipelines."""

from __future__ import annotations

import json
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.artifacts import QualityControl
from components.plate_example_gen.config import QualityConfig, ScreenConfig, SplitConfig
from components.plate_example_gen.executor import Executor
from trainer.strict import to_mapping


def _text(config: object) -> str:
    return config if isinstance(config, str) else json.dumps(to_mapping(config), sort_keys=True)


class PlateExampleGenSpec(ComponentSpec):
    """What PlateExampleGen takes and gives; it has no input artifacts."""

    PARAMETERS = {  # noqa: RUF012  (TFX's name and form)
        "screen": ExecutionParameter(type=str),
        "splits": ExecutionParameter(type=str),
        "quality_config": ExecutionParameter(type=str),  # `quality` is the artifact
        "screen_fingerprint": ExecutionParameter(type=str),
        "code_digest": ExecutionParameter(type=str),
        "screen_root": ExecutionParameter(type=str, optional=True),
        "train_experiments": ExecutionParameter(type=str, optional=True),
        "eval_experiments": ExecutionParameter(type=str, optional=True),
    }
    INPUTS = {}  # noqa: RUF012
    OUTPUTS = {  # noqa: RUF012
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "quality": ChannelParameter(type=QualityControl),
        "schema": ChannelParameter(type=standard_artifacts.Schema),
    }


class PlateExampleGen(base_beam_component.BaseBeamComponent):
    """Reads a screen; splits it by experiment; writes one shard a plate.

    Parameters
    ----------
    screen, splits, quality
        Configuration, or its JSON text.
    screen_fingerprint
        From :func:`fingerprint.screen_fingerprint`: TFX cannot see that files changed. Empty
        where :mod:`driver` finds it out before the cache is asked.
    code_digest
        From :func:`components.digest.code_digest`: nor that code changed.
    screen_root, train_experiments, eval_experiments
        Override the configuration when the pipeline is started (see :mod:`properties`); plain
        text or a runtime parameter.
    """

    SPEC_CLASS = PlateExampleGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        screen: ScreenConfig | str,
        splits: SplitConfig | str,
        quality: QualityConfig | str,
        screen_fingerprint: str,
        code_digest: str,
        screen_root: Any = None,
        train_experiments: Any = None,
        eval_experiments: Any = None,
    ) -> None:
        spec = PlateExampleGenSpec(
            screen=_text(screen),
            splits=_text(splits),
            quality_config=_text(quality),
            screen_fingerprint=screen_fingerprint,
            code_digest=code_digest,
            screen_root=screen_root,
            train_experiments=train_experiments,
            eval_experiments=eval_experiments,
            examples=types.Channel(type=standard_artifacts.Examples),
            quality=types.Channel(type=QualityControl),
            schema=types.Channel(type=standard_artifacts.Schema),
        )
        super().__init__(spec=spec)
