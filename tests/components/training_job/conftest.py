"""The trainer's toy screen, and steps that train on it in a custom job of the local Vertex AI."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_TOYS = Path(__file__).parents[2] / "trainer" / "conftest.py"
_spec = importlib.util.spec_from_file_location("trainer_toys", _TOYS)
assert _spec is not None and _spec.loader is not None
_toys = sys.modules["trainer_toys"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_toys)
make_toy_screen, toy_screen = _toys.make_toy_screen, _toys.toy_screen

SERVICE_ACCOUNT = "trainer@my-project.iam.gserviceaccount.com"


@dataclass
class Step:
    """A PlateTrainingJob step on the toy screen."""

    folder: Path
    inputs: dict[str, list[Any]]
    properties: dict[str, Any]

    def run(self, name: str = "model_run") -> Path:
        """Run the executor as a pipeline would; returns the folder of ``model_run``."""
        from tfx.types import standard_artifacts

        from components.training_job.executor import PlateTrainingJobExecutor

        run = standard_artifacts.ModelRun()
        run.uri = str(self.folder / name)
        Path(run.uri).mkdir(exist_ok=True)
        PlateTrainingJobExecutor().Do(self.inputs, {"model_run": [run]}, self.properties)
        return Path(run.uri)


@pytest.fixture
def make_step(toy_screen: Any, tmp_path: Path) -> Callable[..., Step]:
    """Builds a step; keywords are the job's settings, ``properties`` replaces others."""
    from tfx.types import standard_artifacts

    from trainer.strict import to_mapping

    def make(config: Any = None, properties: dict[str, Any] | None = None, **job: Any) -> Step:
        inputs = {}
        for key, kind, uri in (
            ("examples", standard_artifacts.Examples, toy_screen.examples_dir),
            ("transform_graph", standard_artifacts.TransformGraph, toy_screen.transform_dir),
        ):
            artifact = kind()
            artifact.uri = uri
            inputs[key] = [artifact]
        settings = {"image": "trainer:1", "accelerator": "cpu", "poll_s": 0.05}
        known = {
            "config": json.dumps(to_mapping(config or toy_screen.config())),
            "config_preset": "tiny",
            "preset": "",
            "epochs": 0,
            "job": json.dumps(settings | job),
            "project": "my-project",
            "region": "us-central1",
            "service_account": SERVICE_ACCOUNT,
            "network": "",
            "encryption_key": "",
            "labels": '{"team": "imaging"}',
            "checkpoint_root": str(tmp_path / "checkpoints"),
            "code_digest": "",
        }
        return Step(tmp_path, inputs, known | (properties or {}))

    return make
