"""The step as a pipeline runs it; where it can, with the real trainer in processes of its own."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from servers.worker_pools import WorkerPools

from components.training_job.errors import TrainingJobFailed
from trainer.artifact import read_trained
from trainer.errors import PlatewiseError
from trainer.presets import preset
from trainer.strict import ConfigError


def arguments(job) -> dict[str, str]:
    (pool,) = job.job_spec.worker_pool_specs
    return dict(arg.removeprefix("--").split("=", 1) for arg in pool.container_spec.args)


@pytest.fixture
def repository() -> Path:
    return Path(__file__).parents[3]


def test_it_trains_in_a_job_and_collects_what_local_training_writes(
    make_step, vertex_server, repository, toy_screen, tmp_path, caplog
) -> None:
    vertex_server.custom_job_runner = runner = WorkerPools(repository)
    with caplog.at_level(logging.INFO):
        out = make_step(properties={"epochs": 1}).run()
    sent = json.loads((out / "config.json").read_text())
    assert sent["loop"]["epochs"] == 1 and sent["loop"]["strategy"] == "default"
    assert (out / "history.csv").exists() and list((out / "logs").glob("events*"))
    trained = read_trained(str(out))
    assert trained is not None and trained.n_steps == 8
    assert "step 8/8" in caplog.text  # the trainer's own progress
    assert "step 8/8" in runner.said[0]
    # A process of its own, as every local run is: what else this one computed changes rounding.
    words = ["--examples", toy_screen.examples_dir, "--transform", toy_screen.transform_dir]
    words += ["--config", str(out / "config.json"), "--checkpoints", str(tmp_path / "here")]
    command = [sys.executable, "-m", "trainer", *words, "--out", str(tmp_path / "local")]
    subprocess.run(command, check=True, cwd=repository, stdout=subprocess.DEVNULL)
    local = read_trained(str(tmp_path / "local"))
    assert local is not None
    assert local.weights_crc32c == trained.weights_crc32c
    assert trained.config == toy_screen.config(loop={"epochs": 1})

    # A second run of the same: nothing is started, the same comes out.
    again = make_step(properties={"epochs": 1}).run("again")
    assert len(vertex_server.sent("CreateCustomJob")) == 1
    assert read_trained(str(again)) == trained


@pytest.mark.thorough
@pytest.mark.slow
def test_a_step_that_died_finds_its_job_and_collects_the_weights(
    make_step, vertex_server, repository, caplog
) -> None:
    vertex_server.custom_job_runner = WorkerPools(repository)
    vertex_server.fail_next(403, "Permission denied", rpc="GetCustomJob")
    with pytest.raises(PlatewiseError, match="Permission denied"):
        make_step().run("first")
    out = make_step().run("second")
    assert len(vertex_server.sent("CreateCustomJob")) == 1
    assert read_trained(str(out)) is not None


@pytest.mark.thorough
@pytest.mark.slow
def test_a_cancelled_job_saves_and_the_next_goes_on(
    make_step, vertex_server, repository, toy_screen, tmp_path
) -> None:
    vertex_server.custom_job_runner = runner = WorkerPools(repository)
    config = toy_screen.config(loop={"epochs": 40})
    step = make_step(config)

    def terminate() -> None:
        vertex_server.wait_for(
            lambda: list((tmp_path / "checkpoints").glob("*/progress.json")), 120
        )
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=terminate, daemon=True).start()
    with pytest.raises(SystemExit):
        step.run("first")
    vertex_server.wait_for(lambda: runner.said, 60)
    assert "interrupted: training was asked to stop and saved step" in runner.said[0]
    out = step.run("second")
    saved = int(runner.said[0].partition("saved step ")[2].split()[0])
    assert 0 < saved < 320
    trained = read_trained(str(out))
    assert trained is not None and trained.n_steps == 320
    first_seen = next(line for line in runner.said[1].splitlines() if line.startswith("step "))
    assert int(first_seen.split()[1].split("/")[0]) > saved


@pytest.mark.thorough
@pytest.mark.slow
def test_two_machines_train_one_model(make_step, vertex_server, repository) -> None:
    vertex_server.custom_job_runner = WorkerPools(repository)
    out = make_step(accelerator="cpux2").run()
    trained = read_trained(str(out))
    assert trained is not None and trained.config.loop.strategy == "multi_worker"
    assert trained.n_steps == 2 * 4  # two minibatches to a step
    assert all(np.isfinite(row["loss"]) for row in trained.history)


def test_why_training_failed_is_what_the_step_says(make_step, vertex_server, repository) -> None:
    vertex_server.custom_job_runner = WorkerPools(repository)
    # A mistake that only the trainer sees: all of plate HUVEC-02_1 is too little for a class.
    step = make_step(properties={"epochs": 1})
    examples = Path(step.inputs["examples"][0].uri)
    shard = next((examples / "Split-train").iterdir())
    content = shard.read_bytes()
    try:
        shard.write_bytes(content[:-7])
        with pytest.raises(
            TrainingJobFailed, match=r"^training failed: shard .* has .* bytes where"
        ):
            step.run()
    finally:
        shard.write_bytes(content)


def test_the_machine_decides_where_the_trainer_computes(make_step, vertex_server, tmp_path) -> None:
    def after(accelerator: str, **loop: object) -> dict:
        step = make_step(accelerator=accelerator)
        with pytest.raises(PlatewiseError, match="holds no finished training"):
            step.run(accelerator)  # nobody trained: the scripted job only says that it succeeded
        return json.loads((tmp_path / accelerator / "config.json").read_text())["loop"]

    assert after("v3-8")["strategy"] == "tpu" and after("v5e-4")["tpu_address"] == "local"
    assert after("l4-2")["strategy"] == "mirrored" and after("l4-1")["strategy"] == "default"
    sent = [arguments(message.custom_job) for message in vertex_server.sent("CreateCustomJob")]
    assert len({each["checkpoints"] for each in sent}) == 4  # other devices, another run
    assert all(each["progress"].startswith(each["checkpoints"]) for each in sent)


def test_preset_and_epochs_of_this_run(make_step, vertex_server, toy_screen, tmp_path) -> None:
    step = make_step(properties={"preset": "full", "epochs": 5})
    # 512 px do not fit the toy's sites of 24: told before anything is started.
    with pytest.raises(PlatewiseError, match="sites are 24 x 24 px"):
        make_step(preset("tiny", {"model": {"n_channels": 2}}), {"preset": "full"}).run("big")
    assert not vertex_server.requests
    with pytest.raises(PlatewiseError, match="holds no finished training"):
        step.run()
    sent = json.loads((tmp_path / "model_run" / "config.json").read_text())
    assert sent["loop"]["epochs"] == 5 and sent["model"]["precision"] == "mixed_bfloat16"
    assert sent["model"]["image_size_px"] == 16  # what the config changed in its own preset


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ({"image": ""}, "vertex.training.image must be set"),
        ({"accelerator": "cpux4"}, "3 training plates are too few for the 4 hosts"),
        ({"accelerator": "v5e-16"}, "3 training plates are too few for the 4 hosts"),
        ({"accelerator": "a100-16"}, "8 minibatches of 6 sites an epoch .* 16 devices"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_paid_for(
    make_step, vertex_server, job, message
) -> None:
    with pytest.raises((PlatewiseError, ConfigError), match=message):
        make_step(**job).run()
    assert not vertex_server.requests


def test_a_tensorboard_needs_an_account(make_step, vertex_server) -> None:
    step = make_step(properties={"service_account": ""}, tensorboard="projects/p/tensorboards/1")
    with pytest.raises(ConfigError, match=r"needs vertex.trainer_service_account"):
        step.run()


@pytest.mark.thorough
def test_damaged_results_are_trained_again(make_step, vertex_server, repository) -> None:
    vertex_server.custom_job_runner = WorkerPools(repository)
    step = make_step(properties={"epochs": 1})
    step.run("first")
    (weights,) = (step.folder / "checkpoints").glob("*/*/finished/weights.weights.h5")
    weights.write_bytes(weights.read_bytes()[:-1])
    out = step.run("second")
    assert len(vertex_server.sent("CreateCustomJob")) == 2
    assert read_trained(str(out)) is not None
