"""PlateReport as TFX sees it: typed channels, and an executor that writes the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("tfx")

from tfx import types
from tfx.types import standard_artifacts

from components.artifacts import LeakAudit, PlatewiseReport, QualityControl
from components.report.component import PlateReport
from components.report.executor import PlateReportExecutor
from trainer.manifest import Manifest, write_manifest

INPUTS = {
    "examples": standard_artifacts.Examples,
    "quality": QualityControl,
    "transform_graph": standard_artifacts.TransformGraph,
    "model": standard_artifacts.Model,
    "predictions": standard_artifacts.Examples,
    "model_run": standard_artifacts.ModelRun,
    "evaluation": standard_artifacts.ModelEvaluation,
    "blessing": standard_artifacts.ModelBlessing,
    "leaks": LeakAudit,
}


def test_component_takes_a_training_run_and_a_scoring_run():
    training = PlateReport(
        **{name: types.Channel(type=kind) for name, kind in INPUTS.items()},
        config_json='{"a": 1}',
        code_digest="abc",
    )
    assert training.outputs["report"].type is PlatewiseReport
    assert training.exec_properties == {"config_json": '{"a": 1}', "code_digest": "abc"}
    needed = ("examples", "quality", "transform_graph", "model", "predictions")
    scoring = PlateReport(**{name: types.Channel(type=INPUTS[name]) for name in needed})
    assert set(scoring.inputs) == set(needed)


def test_component_refuses_a_channel_of_another_type():
    channels = {name: types.Channel(type=kind) for name, kind in INPUTS.items()}
    with pytest.raises(TypeError):
        PlateReport(**(channels | {"quality": types.Channel(type=standard_artifacts.Model)}))


def test_executor_writes_into_the_output_artifact(tmp_path: Path):
    examples, report = standard_artifacts.Examples(), PlatewiseReport()
    examples.uri, report.uri = str(tmp_path / "examples"), str(tmp_path / "report")
    Path(examples.uri).mkdir()
    write_manifest(examples.uri, Manifest((), 2, 8, 8, ("a", "b"), {"eval": {"E": 4}}))
    PlateReportExecutor().Do(
        {"examples": [examples], "model_run": []},
        {"report": [report]},
        {"config_json": '{"run": {"name": "demo"}}', "code_digest": ""},
    )
    metrics = json.loads((Path(report.uri) / "metrics.json").read_text())
    assert metrics["config"] == {"run.name": "demo"}
    assert metrics["timings"] == {}
    assert "Timings are added" in (Path(report.uri) / "report.html").read_text()
