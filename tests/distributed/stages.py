"""Run one Beam component's executor with given Beam arguments, in a process of its own.

``python stages.py STAGE FOLDER ARGUMENT...``: reads what the stages before it left in FOLDER, as
the pipeline would hand it over, and writes its own artifacts there.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from components.evaluator.config import EvaluationConfig
from components.plate_example_gen.config import QualityConfig, ScreenConfig, SplitConfig
from trainer.config import NormalizerConfig
from trainer.manifest import read_manifest
from trainer.strict import to_mapping

#: Artifacts of each stage, in the folder that the command names.
OUTPUTS = {
    "example_gen": ("examples", "quality", "schema"),
    "transform": ("transform_graph",),
    "evaluator": ("evaluation", "blessing"),
}


def artifact(kind: Any, folder: Path, number: int = 1) -> Any:
    """A TFX artifact at a folder."""
    made = kind()
    made.uri, made.id = str(folder), number
    return made


def example_gen(context: Any, folder: Path) -> None:
    """PlateExampleGen on ``screen``."""
    from tfx.types import standard_artifacts

    from components.artifacts import QualityControl
    from components.plate_example_gen.executor import Executor

    outputs = {
        "examples": [artifact(standard_artifacts.Examples, folder / "examples")],
        "quality": [artifact(QualityControl, folder / "quality")],
        "schema": [artifact(standard_artifacts.Schema, folder / "schema")],
    }
    properties = {
        "screen": json.dumps(to_mapping(ScreenConfig(root=str((folder / "screen").resolve())))),
        "splits": json.dumps(to_mapping(SplitConfig())),
        "quality_config": json.dumps(to_mapping(QualityConfig())),
    }
    Executor(context).Do({}, outputs, properties)


def transform(context: Any, folder: Path) -> None:
    """PlateTransform on ``examples`` and ``schema``."""
    from tfx.types import standard_artifacts
    from tfx.utils import json_utils

    from components.normaliser.component import PREPROCESSING_FN
    from components.normaliser.executor import PlateTransformExecutor

    inputs = {
        "examples": [artifact(standard_artifacts.Examples, folder / "examples")],
        "schema": [artifact(standard_artifacts.Schema, folder / "schema")],
    }
    splits = read_manifest(str(folder / "examples")).splits()
    inputs["examples"][0].split_names = json.dumps(list(splits))
    custom = {"normalizer": to_mapping(NormalizerConfig()), "controls_as_classes": False}
    outputs = {
        "transform_graph": [artifact(standard_artifacts.TransformGraph, folder / "transform_graph")]
    }
    properties = {
        "preprocessing_fn": PREPROCESSING_FN,
        "force_tf_compat_v1": 0,
        "custom_config": json_utils.dumps(custom),
        "disable_statistics": 1,
    }
    PlateTransformExecutor(context).Do(inputs, outputs, properties)


def evaluator(context: Any, folder: Path) -> None:
    """PlateEvaluator on ``predictions``."""
    from tfx.types import standard_artifacts

    from components.evaluator.executor import CONFIG_KEY, PlateEvaluatorExecutor

    inputs = {
        "examples": [artifact(standard_artifacts.Examples, folder / "predictions")],
        "model": [artifact(standard_artifacts.Model, folder / "model", 7)],
    }
    inputs["examples"][0].split_names = json.dumps(["eval"])
    outputs = {
        "evaluation": [artifact(standard_artifacts.ModelEvaluation, folder / "evaluation")],
        "blessing": [artifact(standard_artifacts.ModelBlessing, folder / "blessing")],
    }
    properties = {CONFIG_KEY: json.dumps(to_mapping(EvaluationConfig()))}
    PlateEvaluatorExecutor(context).Do(inputs, outputs, properties)


def main(stage: str, folder: str, *beam_args: str) -> None:
    """Run a stage."""
    from tfx.dsl.components.base import base_beam_executor

    root = Path(folder)
    for name in OUTPUTS[stage]:
        (root / name).mkdir(parents=True, exist_ok=True)
    context = base_beam_executor.BaseBeamExecutor.Context(
        beam_pipeline_args=list(beam_args), tmp_dir=str(root / "tmp" / stage), unique_id="1"
    )
    {"example_gen": example_gen, "transform": transform, "evaluator": evaluator}[stage](
        context, root
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
