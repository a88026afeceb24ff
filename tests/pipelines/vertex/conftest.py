"""A small pipeline in the format that is sent, a configuration for it, and the commands."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipelines.commands import fetch, schedule, status, submit
from pipelines.flags import dotted_to_set
from trainer.strict import ConfigError

IMAGE = "us-central1-docker.pkg.dev/example/platewise/components:1"
STEPS = ("PlateExampleGen", "PlatePredictor", "PlateReport")
BEAM = (
    "--runner=DataflowRunner",
    "--region=us-central1",
    "--worker_machine_type=n2-standard-8",
    "--max_num_workers=4",
    "--disk_size_gb=50",
)


def _container(cpu: float, memory_gb: float, *arguments: str) -> dict[str, Any]:
    return {
        "container": {
            "image": IMAGE,
            "command": ["python", "-m", "step"],
            "args": ["--executor_class_path", "x", *arguments],
            "resources": {"cpuLimit": cpu, "memoryLimit": memory_gb},
        }
    }


@pytest.fixture
def toy_job() -> dict[str, Any]:
    """Three steps in a row, two runtime parameters with defaults, one without."""
    parameters = {
        "epochs": {"parameterType": "NUMBER_INTEGER", "defaultValue": 30, "isOptional": True},
        "screen_root": {"parameterType": "STRING", "defaultValue": "gs://b/s", "isOptional": True},
        "threshold": {"parameterType": "NUMBER_DOUBLE"},
    }
    tasks: dict[str, Any] = {}
    for before, name in zip((None, *STEPS), STEPS, strict=False):
        tasks[name] = {
            "taskInfo": {"name": name},
            "componentRef": {"name": name},
            "cachingOptions": {"enableCache": True},
            "retryPolicy": {"maxRetryCount": 2},
            **({"dependentTasks": [before]} if before else {}),
        }
    return {
        "displayName": "toy",
        "labels": {"team": "screening"},
        "pipelineSpec": {
            "pipelineInfo": {"name": "toy"},
            "schemaVersion": "2.1.0",
            "sdkVersion": "tfx-1.21.0",
            "components": {name: {"executorLabel": f"{name}_executor"} for name in STEPS},
            "deploymentSpec": {
                "executors": {
                    "PlateExampleGen_executor": _container(4, 16, *BEAM),
                    "PlatePredictor_executor": _container(16, 64),
                    "PlateReport_executor": _container(4, 32),
                }
            },
            "root": {
                "inputDefinitions": {"parameters": parameters},
                "dag": {"tasks": tasks},
            },
        },
        "runtimeConfig": {"gcsOutputDirectory": "gs://example/root"},
    }


@pytest.fixture
def spec_file(toy_job: dict[str, Any], tmp_path: Path) -> Path:
    """The pipeline, compiled."""
    path = tmp_path / "toy.json"
    path.write_text(json.dumps(toy_job))
    return path


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    """Where it runs and as whom."""
    path = tmp_path / "vertex.toml"
    path.write_text(
        """
[vertex]
project = "example"
pipeline_root = "gs://example/root"
image = "unused"
service_account = "pipeline@example.iam.gserviceaccount.com"
labels = {cost = "42"}
"""
    )
    return path


@dataclass
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Outcome]:
    """Runs one of the commands as the command line does."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    parser = argparse.ArgumentParser(prog="platewise", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    for module in (submit, schedule, status, fetch):
        module.add_parser(commands)

    def run(*arguments: object) -> Outcome:
        capfd.readouterr()
        try:
            args = parser.parse_args(dotted_to_set([str(argument) for argument in arguments]))
            code = args.execute(args)
        except ConfigError as error:  # as pipelines.cli does
            print(f"platewise: {error}", file=sys.stderr)
            code = 2
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capfd.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run
