"""The scoring pipeline: a trained model reads plates that training never saw."""

from __future__ import annotations

from pathlib import Path

from tfx.dsl.components.common.importer import Importer
from tfx.orchestration.pipeline import Pipeline
from tfx.types import standard_artifacts

from components.digest import code_digest
from components.normaliser.component import PlateTransform
from components.plate_example_gen.component import PlateExampleGen
from components.plate_example_gen.config import SplitConfig
from components.plate_example_gen.fingerprint import screen_fingerprint
from components.predictor.component import PlatePredictor
from components.report.component import PlateReport
from pipelines.assembly import Target, as_json, assemble
from pipelines.config import PlatewiseConfig
from pipelines.model_folder import model_digest, normalizer_of

NAME = "platewise-scoring"


def create_pipeline(config: PlatewiseConfig, model: Path, target: Target = "local") -> Pipeline:
    """Score the screen of a configuration with the model in a folder.

    Parameters
    ----------
    config
        Screen, quality, run and how to read plates (``training.predict``); the rest comes
        with the model.
    model
        From :func:`pipelines.model_folder.find_model`.
    target
        Where it runs.
    """
    # 1. Read the new plates; no labels are needed, and nothing is held out.
    example_gen = PlateExampleGen(
        screen=config.screen,
        splits=SplitConfig(mode="score"),
        quality=config.quality,
        screen_fingerprint=screen_fingerprint(config.screen),
        code_digest=code_digest("components.plate_example_gen.component"),
    )

    # 2. Fit the normaliser anew on these plates, the way the model's own was fitted.
    transform = PlateTransform(
        examples=example_gen.outputs["examples"],
        schema=example_gen.outputs["schema"],
        normalizer=normalizer_of(model),
        code_digest=code_digest("components.normaliser.component"),
    )

    # 3. Take the model from its folder.
    importer = Importer(
        source_uri=str(model.absolute()), artifact_type=standard_artifacts.Model
    ).with_id("Model")

    # 4. Read every plate once.
    predictor = PlatePredictor(
        examples=example_gen.outputs["examples"],
        transform_graph=transform.outputs["transform_graph"],
        model=importer.outputs["result"],
        predict=config.training.predict,
        model_digest=model_digest(model),
        code_digest=code_digest("components.predictor.component"),
    )

    # 5. Write tables and the page.
    report = PlateReport(
        examples=example_gen.outputs["examples"],
        quality=example_gen.outputs["quality"],
        transform_graph=transform.outputs["transform_graph"],
        model=importer.outputs["result"],
        predictions=predictor.outputs["predictions"],
        config_json=as_json(config),
        code_digest=code_digest("components.report.component"),
    )

    return assemble(NAME, config, [example_gen, transform, importer, predictor, report], target)
