"""The first steps of the training pipeline: what all arms of an experiment read."""

from __future__ import annotations

from tfx.orchestration.pipeline import Pipeline

from components.digest import code_digest
from components.leak_audit.component import PlateLeakAudit
from components.normaliser.component import PlateTransform
from components.plate_example_gen.component import PlateExampleGen
from pipelines.config import PlatewiseConfig
from pipelines.target import LocalTarget

NAME = "platewise-sweep"


def create_pipeline(config: PlatewiseConfig) -> Pipeline:
    """Ingest, leak audit and Transform, as the training pipeline has them."""
    target = LocalTarget(config)
    example_gen = PlateExampleGen(
        screen=config.screen,
        splits=config.splits,
        quality=config.quality,
        screen_fingerprint=target.fingerprint(config.screen),
        code_digest=code_digest("components.plate_example_gen.component"),
    )
    leak_audit = PlateLeakAudit(
        examples=example_gen.outputs["examples"],
        quality=example_gen.outputs["quality"],
        config=config.leaks,
        code_digest=code_digest("components.leak_audit.component"),
    )
    transform = PlateTransform(
        examples=example_gen.outputs["examples"],
        schema=example_gen.outputs["schema"],
        normalizer=config.normalizer,
        controls_as_classes=config.training.controls_as_classes,
        code_digest=code_digest("components.normaliser.component"),
    )
    transform.add_upstream_node(leak_audit)
    return target.assemble(NAME, [example_gen, leak_audit, transform])
