"""The training pipeline: from a screen to a blessed, pushed model and a report."""

from __future__ import annotations

import json

from tfx.orchestration.pipeline import Pipeline

from components.batch_effect_evaluator.component import BatchEffectEvaluator
from components.digest import code_digest
from components.evaluator.component import PlateEvaluator
from components.evaluator.config import THRESHOLDS
from components.leak_audit.component import PlateLeakAudit
from components.normaliser.component import PlateTransform
from components.plate_example_gen.component import PlateExampleGen
from components.predictor.component import PlatePredictor
from components.report.component import PlateReport
from pipelines.config import PlatewiseConfig
from pipelines.target import LocalTarget, Target
from trainer.strict import to_mapping

NAME = "platewise-training"


def create_pipeline(config: PlatewiseConfig, target: Target | None = None) -> Pipeline:
    """The pipeline that a configuration describes; ``target`` changes where it runs alone."""
    target = target or LocalTarget(config)

    # 1. Read the screen: one Example a site, one shard a plate, what is bad left out and counted.
    example_gen = _example_gen(config, target)
    examples = example_gen.outputs["examples"]

    # 2. Look for leaks between the splits; where there is one, nothing is learnt.
    leak_audit = PlateLeakAudit(
        examples=examples,
        quality=example_gen.outputs["quality"],
        config=config.leaks,
        code_digest=code_digest("components.leak_audit.component"),
    )

    # 3. Fit the normaliser, plate by plate, from histograms; no pixels are read or written.
    transform = _transform(config, target, example_gen)
    transform.add_upstream_node(leak_audit)  # nothing passes between them

    # 4. Train the denoiser and the classifier on plate-pure minibatches.
    training = target.train(examples, transform.outputs["transform_graph"])

    # 5. Find the model to beat: the latest blessed one of an earlier run, if there is any.
    baseline = target.baseline(training.model)
    to_beat = baseline.outputs["model"] if config.evaluation.compare_with_baseline else None

    # 6. Read every plate once with both models; only small rows come out.
    predictor = PlatePredictor(
        examples=examples,
        transform_graph=transform.outputs["transform_graph"],
        model=training.model,
        baseline_model=to_beat,
        predict=config.training.predict,
        baseline_everywhere=config.evaluation.compares_probe,
        code_digest=code_digest("components.predictor.component"),
    )

    # 7. Tell biology from batch in the wells' embeddings, before and after each correction.
    batch_effect_evaluator = BatchEffectEvaluator(
        predictions=predictor.outputs["predictions"],
        config=config.batch_effects,
        code_digest=code_digest("components.batch_effect_evaluator.component"),
    )
    batch_effects = batch_effect_evaluator.outputs["batch_effects"]

    # 8. Slice the metrics by experiment, plate, cell type and site; bless or refuse.
    evaluator = PlateEvaluator(
        predictions=predictor.outputs["predictions"],
        model=training.model,
        baseline_model=to_beat,
        config=config.evaluation,
        thresholds={
            name: target.parameter(name, getattr(config.evaluation, name)) for name in THRESHOLDS
        },
        batch_effects=batch_effects,
        code_digest=code_digest("components.evaluator.component"),
    )

    # 9. Push a blessed model as a new version; a refused one stays where it is.
    pusher = target.push(training.model, {**evaluator.outputs, "batch_effects": batch_effects})

    # 10. Write the page: can each experiment be trusted, and what was found?
    report = PlateReport(
        examples=examples,
        quality=example_gen.outputs["quality"],
        leaks=leak_audit.outputs["leaks"],
        transform_graph=transform.outputs["transform_graph"],
        model=training.model,
        model_run=training.model_run,
        predictions=predictor.outputs["predictions"],
        evaluation=evaluator.outputs["evaluation"],
        blessing=evaluator.outputs["blessing"],
        batch_effects=batch_effects,
        config_json=as_json(config),
        code_digest=code_digest("components.report.component"),
    )
    report.add_upstream_node(pusher)  # nothing passes between them; the page comes last

    steps = [example_gen, leak_audit, transform, *training.steps, baseline]
    return target.assemble(
        NAME, [*steps, predictor, batch_effect_evaluator, evaluator, pusher, report]
    )


def _example_gen(config: PlatewiseConfig, target: Target) -> PlateExampleGen:
    return PlateExampleGen(
        screen=config.screen,
        splits=config.splits,
        quality=config.quality,
        screen_fingerprint=target.fingerprint(config.screen),
        code_digest=code_digest("components.plate_example_gen.component"),
        screen_root=target.parameter("screen_root", config.screen.root),
        train_experiments=target.parameter("train_experiments", ""),
        eval_experiments=target.parameter("eval_experiments", ""),
    )


def _transform(
    config: PlatewiseConfig, target: Target, example_gen: PlateExampleGen
) -> PlateTransform:
    return PlateTransform(
        examples=example_gen.outputs["examples"],
        schema=example_gen.outputs["schema"],
        normalizer=config.normalizer,
        controls_as_classes=config.training.controls_as_classes,
        method=target.parameter("normalizer_method", config.normalizer.method),
        code_digest=code_digest("components.normaliser.component"),
    )


def as_json(config: PlatewiseConfig) -> str:
    """The configuration as the page shows it: what decides a run, wherever it ran."""
    plain = to_mapping(config)
    del plain["vertex"]
    return json.dumps(plain, sort_keys=True)
