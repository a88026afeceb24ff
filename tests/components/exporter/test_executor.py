"""Exported apart from training, a model is what training in one process exports."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tfx.types import standard_artifacts

from components.exporter.component import PlateExporter
from components.exporter.executor import PlateExporterExecutor
from components.trainer.executor import PlateTrainerExecutor
from trainer.artifact import TRANSFORM_IN_MODEL
from trainer.bundle import load_bundle
from trainer.errors import PlatewiseError
from trainer.strict import to_mapping
from trainer.transform_graph import read_classes

_spec = importlib.util.spec_from_file_location(
    "trainer_toys", Path(__file__).parents[2] / "trainer" / "conftest.py"
)
assert _spec is not None and _spec.loader is not None
_toys = sys.modules["trainer_toys"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_toys)
make_toy_screen, toy_screen = _toys.make_toy_screen, _toys.toy_screen


def artifact(kind: type, uri: str | Path) -> list[Any]:
    found = kind()
    found.uri = str(uri)
    return [found]


def export(run: Path, transform_dir: str, model: Path) -> Path:
    PlateExporterExecutor().Do(
        {
            "model_run": artifact(standard_artifacts.ModelRun, run),
            "transform_graph": artifact(standard_artifacts.TransformGraph, transform_dir),
        },
        {"model": artifact(standard_artifacts.Model, model)},
        {"code_digest": ""},
    )
    return model / "Format-Serving"


@pytest.fixture(scope="module")
def here(toy_screen: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PlateTrainer's outputs: it trains and exports in one process."""
    folder = tmp_path_factory.mktemp("here")
    config = toy_screen.config(loop={"epochs": 1}, predict={"top_k": 2})
    PlateTrainerExecutor().Do(
        {
            "examples": artifact(standard_artifacts.Examples, toy_screen.examples_dir),
            "transform_graph": artifact(
                standard_artifacts.TransformGraph, toy_screen.transform_dir
            ),
        },
        {
            "model": artifact(standard_artifacts.Model, folder / "model"),
            "model_run": artifact(standard_artifacts.ModelRun, folder / "model_run"),
        },
        {"config": json.dumps(to_mapping(config)), "checkpoint_root": str(folder / "checkpoints")},
    )
    return folder


def files(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_it_exports_what_the_trainer_exports(here, toy_screen, tmp_path) -> None:
    apart = export(here / "model_run", toy_screen.transform_dir, tmp_path / "model")
    together = here / "model" / "Format-Serving"
    assert files(apart) == files(together)
    for name in ("platewise/model.weights.h5", "platewise/trainer.json", "platewise/classes.txt"):
        assert (apart / name).read_bytes() == (together / name).read_bytes()
    assert read_classes(str(apart / TRANSFORM_IN_MODEL)) == ["2", "7", "10", "31"]
    assert load_bundle(str(apart)).config.predict.top_k == 2
    image = np.random.default_rng(0).normal(size=(3, 16, 16, 2)).astype(np.float32)
    answers = [
        tf.saved_model.load(str(folder)).signatures["normalized"](image=tf.constant(image))
        for folder in (apart, together)
    ]
    for key in answers[0]:
        np.testing.assert_array_equal(answers[0][key], answers[1][key])


def test_weights_of_another_model_are_refused(here, toy_screen, tmp_path) -> None:
    run = tmp_path / "model_run"
    shutil.copytree(here / "model_run", run)
    description = json.loads((run / "trainer.json").read_text())
    description["config"]["model"]["embedding_dim"] = 9
    (run / "trainer.json").write_text(json.dumps(description))
    with pytest.raises(PlatewiseError, match="belongs to another model"):
        export(run, toy_screen.transform_dir, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_the_component_takes_what_the_job_gives() -> None:
    from tfx.types.channel import Channel

    exporter = PlateExporter(
        model_run=Channel(type=standard_artifacts.ModelRun),
        transform_graph=Channel(type=standard_artifacts.TransformGraph),
        code_digest="abc",
    )
    assert set(exporter.outputs) == {"model"}
    assert exporter.exec_properties["code_digest"] == "abc"
