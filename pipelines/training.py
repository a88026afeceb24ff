"""The training pipeline: from a screen to a blessed, pushed model and a report."""

from __future__ import annotations

import os

from tfx.dsl.components.common.resolver import Resolver
from tfx.orchestration.pipeline import Pipeline
from tfx.types import standard_artifacts
from tfx.types.channel import Channel

from components.baseline import LatestOtherBlessedModelStrategy
from components.digest import code_digest
from components.evaluator.component import PlateEvaluator
from components.normaliser.component import PlateTransform
from components.plate_example_gen.component import PlateExampleGen
from components.plate_example_gen.fingerprint import screen_fingerprint
from components.predictor.component import PlatePredictor
from components.pusher.component import PlatePusher
from components.report.component import PlateReport
from components.trainer.component import PlateTrainer
from pipelines.assembly import Target, absolute, as_json, assemble
from pipelines.config import PlatewiseConfig

NAME = "platewise-training"


def create_pipeline(config: PlatewiseConfig, target: Target = "local") -> Pipeline:
    """The pipeline that a configuration describes; ``target`` changes where it runs alone."""
    # 1. Read the screen: one Example a site, one shard a plate, what is bad left out and counted.
    example_gen = PlateExampleGen(
        screen=config.screen,
        splits=config.splits,
        quality=config.quality,
        screen_fingerprint=screen_fingerprint(config.screen),
        code_digest=code_digest("components.plate_example_gen.component"),
    )

    # 2. Fit the normaliser, plate by plate, from histograms; no pixels are read or written.
    transform = PlateTransform(
        examples=example_gen.outputs["examples"],
        schema=example_gen.outputs["schema"],
        normalizer=config.normalizer,
        controls_as_classes=config.training.controls_as_classes,
        code_digest=code_digest("components.normaliser.component"),
    )

    # 3. Train the denoiser and the classifier on plate-pure minibatches.
    trainer = PlateTrainer(
        examples=example_gen.outputs["examples"],
        transform_graph=transform.outputs["transform_graph"],
        config=config.training.trainer(),
        checkpoint_root=absolute(os.path.join(config.run.folder, "checkpoints")),
        code_digest=code_digest("components.trainer.component"),
    )

    # 4. Find the model to beat: the latest blessed one of an earlier run, if there is any.
    baseline = Resolver(
        strategy_class=LatestOtherBlessedModelStrategy,
        model=Channel(type=standard_artifacts.Model),
        model_blessing=Channel(type=standard_artifacts.ModelBlessing),
        candidate=trainer.outputs["model"],
    ).with_id("LatestBlessedModel")
    to_beat = baseline.outputs["model"] if config.evaluation.compare_with_baseline else None

    # 5. Read every plate once with both models; only small rows come out.
    predictor = PlatePredictor(
        examples=example_gen.outputs["examples"],
        transform_graph=transform.outputs["transform_graph"],
        model=trainer.outputs["model"],
        baseline_model=to_beat,
        predict=config.training.predict,
        code_digest=code_digest("components.predictor.component"),
    )

    # 6. Slice the metrics by experiment, plate, cell type and site; bless or refuse.
    evaluator = PlateEvaluator(
        predictions=predictor.outputs["predictions"],
        model=trainer.outputs["model"],
        baseline_model=to_beat,
        config=config.evaluation,
        code_digest=code_digest("components.evaluator.component"),
    )

    # 7. Push a blessed model as a new version; a refused one stays where it is.
    pusher = PlatePusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        folder=absolute(config.push_folder),
        code_digest=code_digest("components.pusher.component"),
    )

    # 8. Write the page: can each experiment be trusted, and what was found?
    report = PlateReport(
        examples=example_gen.outputs["examples"],
        quality=example_gen.outputs["quality"],
        transform_graph=transform.outputs["transform_graph"],
        model=trainer.outputs["model"],
        model_run=trainer.outputs["model_run"],
        predictions=predictor.outputs["predictions"],
        evaluation=evaluator.outputs["evaluation"],
        blessing=evaluator.outputs["blessing"],
        config_json=as_json(config),
        code_digest=code_digest("components.report.component"),
    )
    report.add_upstream_node(pusher)  # nothing passes between them; the page comes last

    steps = [
        example_gen,
        transform,
        trainer,
        baseline,
        predictor,
        evaluator,
        pusher,
        report,
    ]
    return assemble(NAME, config, steps, target)
