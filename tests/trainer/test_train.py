"""Training from Examples to weights: learning, resuming, stopping."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from trainer.artifact import HISTORY, WEIGHTS, read_trained
from trainer.bundle import load_bundle
from trainer.errors import PlatewiseError
from trainer.loop import TrainingDiverged
from trainer.strict import digest, to_mapping
from trainer.train import TrainResult, train


def run(screen, folder: Path, name: str = "out", progress=None, log_dir=None, **overrides):
    return train(
        screen.examples_dir,
        screen.transform_dir,
        screen.config(**overrides),
        str(folder / "checkpoints"),
        str(folder / name),
        progress=progress,
        log_dir=log_dir,
    )


def weights(folder: str | Path) -> list[np.ndarray]:
    return load_bundle(str(folder)).model.get_weights()


def assert_same_weights(a: str | Path, b: str | Path) -> None:
    for x, y in zip(weights(a), weights(b), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.fixture(scope="module")
def undisturbed(toy_screen, tmp_path_factory) -> TrainResult:
    """Two epochs in one go, the yardstick for interrupted runs."""
    return run(toy_screen, tmp_path_factory.mktemp("undisturbed"))


def test_it_learns_what_separates_the_classes(trained_toy) -> None:
    def mean(name: str, rows: tuple) -> float:
        return float(np.mean([row[name] for row in rows]))

    first, last = trained_toy.history[:3], trained_toy.history[-5:]
    assert mean("accuracy", last) > 0.75 > mean("accuracy", first) + 0.2
    assert mean("classification", last) < mean("classification", first) - 0.3


def test_what_it_leaves_behind(undisturbed, toy_screen) -> None:
    out = Path(undisturbed.out_dir)
    trained = read_trained(str(out))
    assert trained == undisturbed.trained
    assert trained.config == toy_screen.config()
    assert trained.n_steps == 2 * 8 and trained.site_shape_px == (24, 24)
    with open(out / HISTORY) as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["loss"]) == trained.history[1]["loss"]


def test_a_finished_run_returns_at_once_and_leaves_the_same(undisturbed, toy_screen) -> None:
    folder = Path(undisturbed.out_dir).parent
    again = run(toy_screen, folder, "again")
    assert again.resumed_at_step == again.trained.n_steps
    assert again.seconds < 1.0
    for name in (WEIGHTS, HISTORY):
        assert (folder / "again" / name).read_bytes() == (folder / "out" / name).read_bytes()


def test_damaged_results_are_made_again(undisturbed, toy_screen) -> None:
    finished = Path(undisturbed.checkpoint_dir) / "finished" / WEIGHTS
    content = finished.read_bytes()
    finished.write_bytes(content[:-1])
    again = run(toy_screen, Path(undisturbed.out_dir).parent, "mended")
    assert again.resumed_at_step == again.trained.n_steps  # from the last checkpoint
    assert_same_weights(again.out_dir, undisturbed.out_dir)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(
    undisturbed, toy_screen, tmp_path
) -> None:
    again = run(toy_screen, tmp_path)
    assert again.resumed_at_step == 0
    assert_same_weights(again.out_dir, undisturbed.out_dir)
    other = run(toy_screen, tmp_path, "other", loop={"seed": 4})
    assert other.checkpoint_dir != again.checkpoint_dir
    same = [
        np.array_equal(x, y)
        for x, y in zip(weights(other.out_dir), weights(again.out_dir), strict=True)
    ]
    assert not all(same)


class StopTestError(Exception):
    """What interrupts a run in these tests."""


def test_an_interrupted_run_goes_on_and_ends_the_same(undisturbed, toy_screen, tmp_path) -> None:
    """Interrupted twice in the middle of epochs, checkpoints at every third step."""
    often = {"checkpoint_every_steps": 3, "log_every_s": 0.0}

    def stop_at(step: int):
        def look(progress) -> None:
            if progress.step >= step:
                raise StopTestError

        return look

    for step in (5, 13):
        with pytest.raises(StopTestError):
            run(toy_screen, tmp_path, progress=stop_at(step), loop=often)
    looks = []
    result = run(toy_screen, tmp_path, progress=looks.append, loop=often)
    assert result.resumed_at_step == 12
    assert looks[-1].step == looks[-1].n_steps == 16
    assert_same_weights(result.out_dir, undisturbed.out_dir)
    for row, expected in zip(result.trained.history, undisturbed.trained.history, strict=True):
        assert row == pytest.approx(expected)


@pytest.mark.thorough
def test_a_checkpoint_of_another_number_of_replicas_is_refused(toy_screen, tmp_path) -> None:
    """On another machine ``mirrored`` may find other devices: its steps mean other sites."""
    often = {"checkpoint_every_steps": 3, "log_every_s": 0.0}

    def stop(progress) -> None:
        if progress.step >= 4:
            raise StopTestError

    with pytest.raises(StopTestError):
        run(toy_screen, tmp_path, progress=stop, loop=often)
    (sealed,) = (tmp_path / "checkpoints").glob("*/ckpt-3.json")
    state = json.loads(json.loads(sealed.read_text())["state"])
    assert state["n_replicas"] == 1
    text = json.dumps(state | {"n_replicas": 4})
    sealed.write_text(json.dumps({"state": text, "digest": digest(text)}))
    with pytest.raises(PlatewiseError, match=r"ckpt-3 was made on 4 replicas, and here are 1:"):
        run(toy_screen, tmp_path, loop=often)


_KILLED = """
import sys, json
from trainer.config import TrainerConfig
from trainer.strict import build
from trainer.train import train
arguments = json.loads(sys.argv[1])
arguments["config"] = build(TrainerConfig, arguments["config"])
train(**arguments, progress=lambda look: print(look.step, flush=True))
"""


@pytest.mark.thorough
@pytest.mark.slow
def test_killed_and_started_again_it_ends_the_same(undisturbed, toy_screen, tmp_path) -> None:
    config = toy_screen.config(loop={"checkpoint_every_steps": 1, "log_every_s": 0.0})
    arguments = {
        "examples_dir": toy_screen.examples_dir,
        "transform_dir": toy_screen.transform_dir,
        "config": to_mapping(config),
        "checkpoint_root": str(tmp_path / "checkpoints"),
        "out_dir": str(tmp_path / "out"),
    }
    command = [sys.executable, "-c", _KILLED, json.dumps(arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **pipes) as process:
        for line in process.stdout:
            if int(line) >= 6:
                os.kill(process.pid, signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    result = train(**(arguments | {"config": config}))
    assert 5 <= result.resumed_at_step < 16
    assert_same_weights(result.out_dir, undisturbed.out_dir)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(
    toy_screen, tmp_path, monkeypatch
) -> None:
    from trainer import step as step_module

    poisoned_step = 6
    real = step_module.TrainStep.__call__

    def poisoned(self, element, step):
        if step == poisoned_step:
            element = element | {"scale": tf.zeros_like(element["scale"])}
        return real(self, element, step)

    monkeypatch.setattr(step_module.TrainStep, "__call__", poisoned)
    with pytest.raises(TrainingDiverged) as caught:
        run(toy_screen, tmp_path, loop={"checkpoint_every_steps": 2})
    message = str(caught.value)
    assert f"at step {poisoned_step + 1} of 16" in message
    assert "minibatch from plate HUVEC-0" in message
    assert message.count("ckpt-6") == 1
    monkeypatch.undo()
    result = run(toy_screen, tmp_path, loop={"checkpoint_every_steps": 2})
    assert result.resumed_at_step == 6
    assert all(np.isfinite(w).all() for w in weights(result.out_dir))


_TWO_DEVICES = """
import sys, json
import numpy as np
import tensorflow as tf
from trainer.config import TrainerConfig
from trainer.strict import build
from trainer import train as module
arguments = json.loads(sys.argv[1])
config = build(TrainerConfig, arguments.pop("config"))
replicas, real = [], module.TrainStep.__init__
def noting(self, strategy, model, *rest):
    replicas.append((strategy, model, self))
    real(self, strategy, model, *rest)
module.TrainStep.__init__ = noting
result = module.train(config=config, **arguments)
strategy, model, step = replicas[0]
def spread(v):
    values = [x.numpy() for x in strategy.experimental_local_results(v.value)]
    return float(max(np.abs(values[0] - x).max() for x in values))

# The same minibatch on both devices, without anything random, is one step on one device.
def one_step(strategy, place):
    import keras
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = module.build_model(config.model, 4)
        optimizer = module.build_optimizer(config.optimizer, 10)
        optimizer.build(model.trainable_variables)
    step = module.TrainStep(strategy, model, optimizer, config, 4)
    rng = np.random.default_rng(0)
    element = {
        "pixels": rng.integers(0, 255, (6, 2, 16, 16), dtype=np.uint8),
        "center": np.full((6, 2), 100, np.float32),
        "scale": np.full((6, 2), 50, np.float32),
        "label": np.arange(6, dtype=np.int32) % 4,
    }
    element = {name: tf.constant(value) for name, value in element.items()}
    scalars = step(place(element), 0)
    return [v.numpy() for v in model.trainable_variables], float(scalars["gradient_norm"])
both, both_norm = one_step(strategy, lambda element: {
    name: strategy.experimental_distribute_values_from_function(lambda _, v=value: v)
    for name, value in element.items()
})
one, one_norm = one_step(tf.distribute.get_strategy(), lambda element: element)
print(json.dumps({
    "replicas": strategy.num_replicas_in_sync,
    "steps": result.trained.n_steps,
    "trained_spread": max(spread(v) for v in model.trainable_variables),
    "moving_spread": max(spread(v) for v in model.variables if "moving_mean" in v.path),
    "difference": float(max(np.abs(a - b).max() for a, b in zip(both, one))),
    "norms": [both_norm, one_norm],
}))
"""


@pytest.mark.thorough
@pytest.mark.slow
def test_two_devices_average_gradients_and_share_no_batch_norm(toy_screen, tmp_path) -> None:
    config = toy_screen.config(
        loop={"strategy": "mirrored", "logical_cpu_devices": 2, "epochs": 1},
        model={"dropout": 0.0},
        noise={"enabled": False},
        augment={
            "flips": False,
            "quarter_turns": False,
            "gain_jitter": 0.0,
            "offset_jitter": 0.0,
            "cutmix_probability": 0.0,
        },
    )
    arguments = {
        "examples_dir": toy_screen.examples_dir,
        "transform_dir": toy_screen.transform_dir,
        "config": to_mapping(config),
        "checkpoint_root": str(tmp_path / "checkpoints"),
        "out_dir": str(tmp_path / "out"),
    }
    command = [sys.executable, "-c", _TWO_DEVICES, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["replicas"] == 2 and found["steps"] == 4
    assert found["trained_spread"] == 0.0
    assert found["moving_spread"] > 0.0
    assert found["difference"] < 1e-5
    assert found["norms"][0] == pytest.approx(found["norms"][1], rel=1e-4)


@pytest.mark.thorough
def test_bfloat16_trains_and_keeps_float32_weights(toy_screen, tmp_path) -> None:
    result = run(toy_screen, tmp_path, model={"precision": "mixed_bfloat16"}, loop={"epochs": 1})
    assert np.isfinite(result.trained.history[0]["loss"])
    assert {w.dtype for w in weights(result.out_dir)} <= {np.dtype("float32"), np.dtype("int64")}


def test_progress_and_tensorboard(toy_screen, tmp_path) -> None:
    looks = []
    run(
        toy_screen,
        tmp_path,
        progress=looks.append,
        log_dir=str(tmp_path / "logs"),
        loop={"log_every_s": 0.0},
    )
    assert [look.step for look in looks] == sorted(look.step for look in looks)
    assert looks[-1].step == 16 and looks[-1].seconds_left == 0
    assert looks[-1].losses.keys() == {"loss", "classification", "reconstruction"}
    assert looks[-1].sites_per_s > 0 and 0 <= looks[-1].input_wait_share < 1
    (events,) = (tmp_path / "logs").glob("events*")
    tags = {
        value.tag
        for record in tf.data.TFRecordDataset(str(events)).as_numpy_iterator()
        for value in tf.compat.v1.Event.FromString(record).summary.value
    }
    assert {"loss", "accuracy", "gradient_norm", "input_wait_share", "sites_per_s"} <= tags


def test_what_does_not_fit_is_refused_before_training(toy_screen, tmp_path) -> None:
    with pytest.raises(PlatewiseError, match=r"has 2 channels, but model\.n_channels is 6"):
        run(toy_screen, tmp_path, model={"n_channels": 6})
    with pytest.raises(PlatewiseError, match="sites are 24 x 24 px, but the network sees 64"):
        run(toy_screen, tmp_path, model={"image_size_px": 64})


def test_a_class_that_training_never_sees_is_named(make_toy_screen, toy_screen, tmp_path) -> None:
    """Whatever made it vanish: dead letters, or a control that no training experiment has."""
    without = [
        (identity, pixels)
        for identity, pixels in toy_screen.plates["HUVEC-01_1"]
        if identity.treatment != "10"
    ]
    held_out = toy_screen.plates["HUVEC-03_1"]
    screen = make_toy_screen({"train": {"HUVEC-01_1": without}, "eval": {"HUVEC-03_1": held_out}})
    with pytest.raises(PlatewiseError, match=r"class '10' \(1 of 4 classes\) has sites in other"):
        run(screen, tmp_path)


def test_a_changed_shard_stops_the_run(make_toy_screen, tmp_path) -> None:
    from_conftest = make_toy_screen
    screen = from_conftest({"train": {"HUVEC-01_1": _plate()}})
    shard = Path(screen.examples_dir) / screen.manifest.shards[0].name
    shard.write_bytes(shard.read_bytes()[:-7])
    with pytest.raises(PlatewiseError, match=f"shard .*{shard.name} has"):
        run(screen, tmp_path)


def _plate() -> list:
    from trainer.records import SiteIdentity

    rng = np.random.default_rng(0)
    return [
        (
            SiteIdentity("HUVEC-01", "HUVEC-01_1", f"B{i:02d}", 1, "HUVEC", "treatment", "7"),
            rng.integers(0, 99, (2, 24, 24), dtype=np.uint8),
        )
        for i in range(6)
    ]
