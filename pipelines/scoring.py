"""The scoring pipeline: a trained model reads plates that training never saw."""

from __future__ import annotations

from tfx.dsl.components.common.importer import Importer
from tfx.orchestration.pipeline import Pipeline
from tfx.types import standard_artifacts

from components.batch_effect_evaluator.component import BatchEffectEvaluator
from components.digest import code_digest
from components.normaliser.component import PlateTransform
from components.plate_example_gen.component import PlateExampleGen
from components.plate_example_gen.config import SplitConfig
from components.predictor.component import PlatePredictor
from components.report.component import PlateReport
from pipelines.config import PlatewiseConfig
from pipelines.target import LocalTarget, Target, absolute
from pipelines.training import as_json
from trainer.config import PredictConfig

NAME = "platewise-scoring"


def create_pipeline(
    config: PlatewiseConfig,
    model: str,
    model_digest: str = "",
    predict: PredictConfig | None = None,
    target: Target | None = None,
) -> Pipeline:
    """Score the screen of a configuration with the model in a folder.

    Parameters
    ----------
    config
        Screen, quality and run; the rest comes with the model.
    model
        Folder of the SavedModel, local or ``gs://``; its normaliser is fitted anew.
    model_digest
        Digest of its files: TFX knows it by its folder alone.
    predict
        How to read plates; None: as the model was trained to.
    target
        Where it runs.
    """
    target = target or LocalTarget(config)

    # 1. Read the new plates; no labels are needed, and nothing is held out.
    example_gen = PlateExampleGen(
        screen=config.screen,
        splits=SplitConfig(mode="score"),
        quality=config.quality,
        screen_fingerprint=target.fingerprint(config.screen),
        code_digest=code_digest("components.plate_example_gen.component"),
        screen_root=target.parameter("screen_root", config.screen.root),
    )

    # 2. Take the model from its folder.
    importer = Importer(
        source_uri=target.parameter("model_uri", model) or absolute(model),
        artifact_type=standard_artifacts.Model,
    ).with_id("Model")

    # 3. Fit the normaliser anew on these plates, the way the model's own was fitted.
    transform = PlateTransform(
        examples=example_gen.outputs["examples"],
        schema=example_gen.outputs["schema"],
        normalizer=None,
        model=importer.outputs["result"],
        # A model that is replaced where it lies may have another normaliser.
        code_digest=code_digest("components.normaliser.component") + model_digest,
    )

    # 4. Read every plate once.
    predictor = PlatePredictor(
        examples=example_gen.outputs["examples"],
        transform_graph=transform.outputs["transform_graph"],
        model=importer.outputs["result"],
        predict=predict,
        model_digest=model_digest or None,
        code_digest=code_digest("components.predictor.component"),
    )

    # 5. Correct the embeddings as training did; say how much of them is experiment.
    batch_effect_evaluator = BatchEffectEvaluator(
        predictions=predictor.outputs["predictions"],
        config=config.batch_effects,
        model=importer.outputs["result"],
        model_digest=model_digest or None,
        code_digest=code_digest("components.batch_effect_evaluator.component"),
    )

    # 6. Write tables and the page.
    report = PlateReport(
        examples=example_gen.outputs["examples"],
        quality=example_gen.outputs["quality"],
        transform_graph=transform.outputs["transform_graph"],
        model=importer.outputs["result"],
        predictions=predictor.outputs["predictions"],
        batch_effects=batch_effect_evaluator.outputs["batch_effects"],
        config_json=as_json(config),
        code_digest=code_digest("components.report.component"),
    )

    steps = [example_gen, importer, transform, predictor, batch_effect_evaluator, report]
    return target.assemble(NAME, steps)
