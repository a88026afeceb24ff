"""What differs between the places that a pipeline can run in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.components.common.resolver import Resolver
from tfx.orchestration import metadata
from tfx.orchestration.pipeline import Pipeline
from tfx.types import BaseChannel, standard_artifacts
from tfx.types.channel import Channel

from components.baseline import LatestOtherBlessedModelStrategy
from components.beam_options import IN_PROCESS
from components.digest import code_digest
from components.evaluator.component import PlateEvaluator
from components.plate_example_gen.config import ScreenConfig
from components.plate_example_gen.fingerprint import screen_fingerprint
from components.pusher.component import PlatePusher
from components.trainer.component import PlateTrainer
from pipelines.config import BeamConfig, PlatewiseConfig
from pipelines.local import artifacts_dir, metadata_path

BASELINE_ID = "LatestBlessedModel"
_MOST_WORKERS = 8
#: For steps whose work never leaves the GIL, so that threads gain nothing. Beam's in-process runner
#: with several workers now and then mixes up what they send on a crowded machine ("Invalid
#: PaneInfoEncoding", apache/beam issue 21643), and the step fails; with one it sends nothing.
_ONE_WORKER = ("--direct_num_workers=1", "--direct_running_mode=in_memory")


@dataclass(frozen=True)
class Training:
    """The steps that train, and what they give."""

    steps: tuple[BaseNode, ...]
    model: BaseChannel
    model_run: BaseChannel


class Target(Protocol):
    """A place to run in: the rest of a pipeline is the same everywhere."""

    def parameter(self, name: str, configured: Any) -> Any:
        """A value that can be given at the start; None where the configuration alone decides."""

    def fingerprint(self, screen: ScreenConfig) -> str:
        """Digest of the screen's files; empty where a step finds it out when it starts."""

    def train(self, examples: BaseChannel, transform_graph: BaseChannel) -> Training:
        """The steps that train the configured network."""

    def baseline(self, trained: BaseChannel) -> Resolver:
        """The step that finds the latest blessed model of an earlier run."""

    def push(self, model: BaseChannel, outcome: Mapping[str, BaseChannel]) -> BaseNode:
        """The step that hands on a blessed model; ``outcome`` has the Evaluator's outputs."""

    def assemble(self, name: str, steps: list[BaseNode]) -> Pipeline:
        """Put steps together: where they write, what they remember, how Beam runs."""


@dataclass(frozen=True)
class LocalTarget:
    """This machine: everything under the run's folder, training within the process."""

    config: PlatewiseConfig

    def parameter(self, name: str, configured: Any) -> Any:
        """None: a run's configuration is complete before it starts."""
        return None

    def fingerprint(self, screen: ScreenConfig) -> str:
        """Taken now."""
        return screen_fingerprint(screen)

    def train(self, examples: BaseChannel, transform_graph: BaseChannel) -> Training:
        """One step that trains and exports."""
        trainer = PlateTrainer(
            examples=examples,
            transform_graph=transform_graph,
            config=self.config.training.trainer(),
            checkpoint_root=absolute(os.path.join(self.config.run.folder, "checkpoints")),
            code_digest=code_digest("components.trainer.component"),
        )
        return Training((trainer,), trainer.outputs["model"], trainer.outputs["model_run"])

    def baseline(self, trained: BaseChannel) -> Resolver:
        """Any blessed model but the one just trained."""
        return Resolver(
            strategy_class=LatestOtherBlessedModelStrategy,
            model=Channel(type=standard_artifacts.Model),
            model_blessing=Channel(type=standard_artifacts.ModelBlessing),
            candidate=trained,
        ).with_id(BASELINE_ID)

    def push(self, model: BaseChannel, outcome: Mapping[str, BaseChannel]) -> BaseNode:
        """A new version in the push folder."""
        return PlatePusher(
            model=model,
            model_blessing=outcome["blessing"],
            evaluation=outcome["evaluation"],
            batch_effects=outcome["batch_effects"],
            folder=absolute(self.config.push_folder),
            code_digest=code_digest("components.pusher.component"),
        )

    def assemble(self, name: str, steps: list[BaseNode]) -> Pipeline:
        """Artifacts and a SQLite metadata store in the run's folder."""
        folder = Path(self.config.run.folder)
        folder.mkdir(parents=True, exist_ok=True)
        for step in steps:
            if isinstance(step, PlateEvaluator):
                step.with_beam_pipeline_args(_ONE_WORKER)
        return Pipeline(
            pipeline_name=name,
            pipeline_root=str(artifacts_dir(folder)),
            components=steps,
            enable_cache=self.config.run.cache,
            beam_pipeline_args=beam_args(self.config.beam),
            metadata_connection_config=metadata.sqlite_metadata_connection_config(
                str(metadata_path(folder))
            ),
        )


def absolute(path: str) -> str:
    """A local path made absolute, for artifacts outlive the current directory; gs:// as it is."""
    return path if "://" in path else str(Path(path).absolute())


def beam_args(config: BeamConfig) -> list[Any]:
    """Beam pipeline options for every Beam component of a pipeline on this machine."""
    workers = config.workers or min(_MOST_WORKERS, len(os.sched_getaffinity(0)))
    mode = config.mode if workers > 1 else "in_memory"
    return [
        *IN_PROCESS,
        f"--direct_num_workers={workers}",
        f"--direct_running_mode={mode}",
        *config.extra_args,
    ]
