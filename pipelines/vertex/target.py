"""The pipeline's steps on Vertex AI: what can be given at the start, who trains, who pushes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.components.common.resolver import Resolver
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import (
    LatestBlessedModelStrategy,
)
from tfx.orchestration.data_types import RuntimeParameter
from tfx.orchestration.pipeline import Pipeline
from tfx.types import BaseChannel, standard_artifacts
from tfx.types.channel import Channel

from components.digest import code_digest
from components.exporter.component import PlateExporter
from components.plate_example_gen.config import ScreenConfig
from components.registry.component import PlateVertexPusher
from components.training_job.component import PlateTrainingJob
from pipelines.config import PlatewiseConfig
from pipelines.target import BASELINE_ID, Training
from pipelines.vertex.beam import beam_args

#: Vertex puts the job's resource name in its place.
PIPELINE_JOB = "{{$.pipeline_job_resource_name}}"


@dataclass(frozen=True)
class VertexTarget:
    """Managed steps; Beam and training on machines of their own."""

    config: PlatewiseConfig
    #: Defaults of the runtime parameters, by name, as the pipeline's steps asked for them.
    parameters: dict[str, Any] = field(default_factory=dict)

    def parameter(self, name: str, configured: Any) -> Any:
        """A runtime parameter whose default is the configured value."""
        self.parameters[name] = configured
        # TFX drops the default; compiling puts it into the specification.
        return RuntimeParameter(name=name, ptype=type(configured), default=configured)

    def fingerprint(self, screen: ScreenConfig) -> str:
        """Empty: the step's driver takes it before the cache is asked."""
        return ""

    def train(self, examples: BaseChannel, transform_graph: BaseChannel) -> Training:
        """A custom job in a container without TFX, then an export on CPU in one with it."""
        vertex, training = self.config.vertex, self.config.training
        job = PlateTrainingJob(
            examples=examples,
            transform_graph=transform_graph,
            config=training.trainer(),
            config_preset=training.preset,
            preset=self.parameter("model_preset", training.preset),
            epochs=self.parameter("epochs", 0),
            job=vertex.training,
            project=vertex.project,
            region=vertex.region,
            service_account=vertex.trainer_service_account or vertex.service_account,
            network=vertex.network,
            encryption_key=vertex.encryption_key,
            labels=vertex.labels,
            checkpoint_root=f"{vertex.pipeline_root.rstrip('/')}/checkpoints",
            code_digest=code_digest("components.training_job.component", "trainer.command"),
        )
        exporter = PlateExporter(
            model_run=job.outputs["model_run"],
            transform_graph=transform_graph,
            code_digest=code_digest("components.exporter.component"),
        )
        return Training((job, exporter), exporter.outputs["model"], job.outputs["model_run"])

    def baseline(self, trained: BaseChannel) -> Resolver:
        """TFX's own strategy: the only ones that Vertex can resolve are stock."""
        return Resolver(
            strategy_class=LatestBlessedModelStrategy,
            model=Channel(type=standard_artifacts.Model),
            model_blessing=Channel(type=standard_artifacts.ModelBlessing),
        ).with_id(BASELINE_ID)

    def push(self, model: BaseChannel, outcome: Mapping[str, BaseChannel]) -> BaseNode:
        """A new version in the push folder and in the Model Registry."""
        vertex = self.config.vertex
        return PlateVertexPusher(
            model=model,
            model_blessing=outcome["blessing"],
            evaluation=outcome["evaluation"],
            batch_effects=outcome["batch_effects"],
            folder=self.config.push.folder or f"{vertex.pipeline_root.rstrip('/')}/pushed",
            registry=vertex.registry,
            project=vertex.project,
            region=vertex.region,
            service_account=vertex.service_account,
            encryption_key=vertex.encryption_key,
            labels=vertex.labels,
            pipeline_job=PIPELINE_JOB,
            code_digest=code_digest("components.registry.component"),
        )

    def assemble(self, name: str, steps: list[BaseNode]) -> Pipeline:
        """Artifacts under the pipeline's root in the bucket."""
        return Pipeline(
            pipeline_name=name,
            pipeline_root=self.config.vertex.pipeline_root,
            components=steps,
            enable_cache=self.config.run.cache,
            beam_pipeline_args=beam_args(self.config.vertex),
        )
