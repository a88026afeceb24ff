"""The representation options in whole trainings: terms, resuming, replicas, prediction."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from trainer import schema
from trainer.bundle import load_bundle
from trainer.context import statistics_minibatches
from trainer.manifest import read_manifest
from trainer.plates import features_function, plates_of, read_plate
from trainer.predict import Predictor
from trainer.strict import to_mapping
from trainer.train import train
from trainer.transform_graph import load_transform

#: Everything that goes together.
ALL_ON: dict[str, dict] = {
    "data": {"shuffle_labels": True},
    "margin": {"weight": 0.5, "kind": "cosface"},
    "adversary": {"weight": 0.3, "hidden_width": 8},
    "alignment": {"weight": 0.2},
    "context": {"control_sites": 2},
    "progressive": {"stages": [[0.5, 8], [0.5, 16]]},
    "average": {"decay": 0.9},
    "loss": {"clean_classification": 0.1},
}
NEW_TERMS = {"margin", "adversary", "adversary_accuracy", "alignment"}


@pytest.fixture(scope="module")
def screen(make_toy_screen):
    """Two experiments of one cell type; every plate has controls."""
    from importlib import util
    from pathlib import Path

    spec = util.spec_from_file_location("toy_conftest", Path(__file__).parent / "conftest.py")
    assert spec is not None and spec.loader is not None
    toy = util.module_from_spec(spec)
    sys.modules["toy_conftest"] = toy
    spec.loader.exec_module(toy)
    return make_toy_screen(
        {
            schema.SPLIT_TRAIN: {
                "HUVEC-01_1": toy.toy_plate("HUVEC-01", 1, 14, seed=1),
                "HUVEC-01_2": toy.toy_plate("HUVEC-01", 2, 14, seed=2),
                "HUVEC-02_1": toy.toy_plate("HUVEC-02", 1, 14, seed=3),
            },
            schema.SPLIT_EVAL: {"HUVEC-03_1": toy.toy_plate("HUVEC-03", 1, 21, seed=4)},
        }
    )


def run(screen, folder, name: str = "out", progress=None, log_dir=None, **overrides):
    config = screen.config(**overrides)
    checkpoints, out = str(folder / "checkpoints"), str(folder / name)
    return train(
        screen.examples_dir, screen.transform_dir, config, checkpoints, out, progress, log_dir
    )


class StopTestError(Exception):
    """What interrupts a run here."""


@pytest.fixture(scope="module")
def undisturbed(screen, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    looks: list = []
    result = run(screen, folder, progress=looks.append, log_dir=str(folder / "logs"), **ALL_ON)
    return folder, result, looks


def test_every_new_term_is_in_history_progress_and_tensorboard(undisturbed) -> None:
    folder, result, looks = undisturbed
    for row in result.trained.history:
        assert set(row) >= NEW_TERMS and all(np.isfinite(list(row.values())))
    assert looks[-1].losses.keys() >= NEW_TERMS
    (events,) = (folder / "logs").glob("events*")
    tags = {
        value.tag
        for record in tf.data.TFRecordDataset(str(events)).as_numpy_iterator()
        for value in tf.compat.v1.Event.FromString(record).summary.value
    }
    assert tags >= NEW_TERMS


@pytest.mark.thorough
@pytest.mark.parametrize("stops", [[9], [3, 9]])
def test_interrupted_with_everything_on_it_ends_the_same(
    undisturbed, screen, tmp_path, stops
) -> None:
    """Stopped in either size of images; statistics, averages and heads come back bit for bit."""
    _, expected, _ = undisturbed

    def stop_at(step: int):
        def look(progress) -> None:
            if progress.step >= step:
                raise StopTestError

        return look

    often = {**ALL_ON, "loop": {"checkpoint_every_steps": 2, "log_every_s": 0.0}}
    for step in stops:
        with pytest.raises(StopTestError):
            run(screen, tmp_path, progress=stop_at(step), **often)
    result = run(screen, tmp_path, **often)
    assert result.resumed_at_step == 10
    for a, b in zip(
        load_bundle(result.out_dir).model.get_weights(),
        load_bundle(expected.out_dir).model.get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    for row, wanted in zip(result.trained.history, expected.trained.history, strict=True):
        assert row == pytest.approx(wanted)


@pytest.mark.thorough
@pytest.mark.parametrize("composition", ["cell_type", "experiment", "random"])
def test_other_compositions_train_with_bfloat16(screen, tmp_path, composition) -> None:
    result = run(
        screen,
        tmp_path,
        data={"composition": composition},
        model={"precision": "mixed_bfloat16"},
        alignment={"weight": 0.2, "kind": "mmd", "random_features": 12},
        adversary={"weight": 0.3},
        margin={"weight": 0.5},
        average={"decay": 0.9},
        loop={"epochs": 1},
    )
    assert all(np.isfinite(list(result.trained.history[0].values())))
    weights = load_bundle(result.out_dir).model.get_weights()
    assert {w.dtype for w in weights} <= {np.dtype("float32"), np.dtype("int64")}


_TWO_DEVICES = """
import sys, json
import numpy as np
from trainer.config import TrainerConfig
from trainer.strict import build
from trainer import train as module
arguments = json.loads(sys.argv[1])
config = build(TrainerConfig, arguments.pop("config"))
found, real = [], module.TrainStep.__init__
def noting(self, strategy, model, optimizer, config, n_classes, representation, *more):
    found.append((strategy, representation))
    real(self, strategy, model, optimizer, config, n_classes, representation, *more)
module.TrainStep.__init__ = noting
result = module.train(config=config, **arguments)
strategy, representation = found[0]
def spread(v):
    values = [x.numpy() for x in strategy.experimental_local_results(v)]
    return float(max(np.abs(values[0] - x).max() for x in values))
heads = [v.value for v in representation.trainable_variables]
print(json.dumps({
    "replicas": strategy.num_replicas_in_sync,
    "heads": max(map(spread, heads)),
    "alignment": max(map(spread, representation._alignment.variables)),
    "seen": representation._alignment.variables[1].numpy().tolist(),
    "history": result.trained.history,
}))
"""


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_two_devices_agree_on_heads_and_running_statistics(screen, tmp_path, precision) -> None:
    config = screen.config(
        **ALL_ON | {"model": {"precision": precision}},
        loop={"strategy": "mirrored", "logical_cpu_devices": 2, "epochs": 2},
    )
    arguments = {
        "examples_dir": screen.examples_dir,
        "transform_dir": screen.transform_dir,
        "config": to_mapping(config),
        "checkpoint_root": str(tmp_path / "checkpoints"),
        "out_dir": str(tmp_path / "out"),
    }
    command = [sys.executable, "-c", _TWO_DEVICES, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["replicas"] == 2
    assert found["heads"] == found["alignment"] == 0.0
    assert found["seen"] == [1.0, 1.0]
    assert set(found["history"][0]) >= NEW_TERMS


def test_prediction_takes_statistics_with_the_plates_controls(
    undisturbed, screen, monkeypatch
) -> None:
    _, result, _ = undisturbed
    manifest = read_manifest(screen.examples_dir)
    ((_, shards),) = plates_of(manifest, schema.SPLIT_EVAL)
    plate = read_plate(screen.examples_dir, manifest, shards)
    features = features_function(load_transform(screen.transform_dir), manifest)
    bundle = load_bundle(result.out_dir)
    minibatches = list(statistics_minibatches(plate, 99, features, bundle.config))
    assert [n for _, n in minibatches] == [6, 6, 6]  # 18 sites that are no controls
    for element, n_sites in minibatches:
        types = [name.decode() for name in element[schema.WELL_TYPE].numpy()]
        assert types == n_sites * [schema.WELL_TREATMENT] + 2 * [schema.WELL_NEGATIVE]
    predictor = Predictor(bundle, screen.transform_dir, bundle.config.predict)
    rows = predictor.predict_plate(screen.examples_dir, manifest, shards)
    assert len(rows[schema.SITE_ID]) == 21
    plain = screen.config()
    ((element, n_sites),) = statistics_minibatches(plate, 99, features, plain)
    assert n_sites == len(element[schema.LABEL]) == 21
    # Each control has its turn: three of the plate, two a minibatch.
    drawn = {name for e, n in minibatches for name in e[schema.SITE_ID].numpy()[n:]}
    assert len(drawn) == 3
