"""What the tests of the registry share: the pusher's step, run as a pipeline would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tfx.types import standard_artifacts

from components.evaluator.config import EvaluationConfig
from components.evaluator.results import FILE_NAME, Evaluation, Gate, SliceMetrics, Value
from components.registry.config import RegistryConfig
from components.registry.executor import PlateVertexPusherExecutor
from trainer.strict import to_mapping

PROJECT, REGION = "screens", "europe-west4"
JOB = f"projects/{PROJECT}/locations/{REGION}/pipelineJobs/training-20260901"
KEY = f"projects/{PROJECT}/locations/{REGION}/keyRings/r/cryptoKeys/k"
WELLS = {"level": "well", "well_type": "treatment"}

EVALUATION = Evaluation(
    blessed=True,
    reasons=(),
    gates=(Gate("accuracy", "all wells", 0.5, ">= 0.25", True),),
    slices=(
        SliceMetrics({"level": "site"}, 80, {"accuracy": Value(0.4)}),
        SliceMetrics(
            WELLS,
            40,
            {
                "accuracy": Value(0.5, 0.4, 0.6),
                "top_5_accuracy": Value(0.9),
                "cross_entropy": Value(1.25),
            },
        ),
        SliceMetrics({**WELLS, "experiment": "RPE-09"}, 40, {"cross_entropy": Value(float("inf"))}),
        SliceMetrics({**WELLS, "plate_id": "RPE-09_1"}, 10, {"accuracy": Value(0.3)}),
    ),
    n_classes=8,
    has_baseline=False,
    config=EvaluationConfig(),
)


@pytest.fixture
def push_model(tmp_path: Path) -> Any:
    """Runs the pusher as a pipeline step would; returns the artifact."""

    def run(
        weights: str = "one",
        config: RegistryConfig | None = None,
        blessed: bool = True,
        job: str = JOB,
    ) -> Any:
        folder = tmp_path / "model" / "Format-Serving"
        for name, text in {"saved_model.pb": "graph", "variables/variables.index": weights}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        evaluation = tmp_path / "evaluation"
        evaluation.mkdir(exist_ok=True)
        (evaluation / FILE_NAME).write_text(EVALUATION.to_json())
        artifacts: dict[str, Any] = {
            "model": standard_artifacts.Model(),
            "model_blessing": standard_artifacts.ModelBlessing(),
            "evaluation": standard_artifacts.ModelEvaluation(),
        }
        for name, artifact in artifacts.items():
            artifact.uri = str(tmp_path / name)
        artifacts["model_blessing"].set_int_custom_property("blessed", int(blessed))
        pushed = standard_artifacts.PushedModel()
        pushed.uri = str(tmp_path / "pushed_model")
        Path(pushed.uri).mkdir(exist_ok=True)
        PlateVertexPusherExecutor().Do(
            {name: [artifact] for name, artifact in artifacts.items()},
            {"pushed_model": [pushed]},
            {
                "folder": str(tmp_path / "pushed"),
                "registry": json.dumps(to_mapping(config or RegistryConfig())),
                "project": PROJECT,
                "region": REGION,
                "service_account": "server@screens.iam.gserviceaccount.com",
                "encryption_key": KEY,
                "labels": json.dumps({"team": "imaging"}),
                "pipeline_job": job,
                "code_digest": "",
            },
        )
        return pushed

    return run
