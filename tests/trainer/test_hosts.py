"""Several machines: each reads files of its own, and all act after the same step."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.bundle import load_bundle
from trainer.config import DataConfig, LoopConfig
from trainer.data import PLATE, PlateFeed, scan_plates
from trainer.errors import PlatewiseError
from trainer.hosts import share_plates, tasks_of
from trainer.preemption import EXIT_CODE
from trainer.strategy import make_strategy
from trainer.strict import to_mapping
from trainer.transform_graph import load_transform


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60), st.integers(1, 8))
def test_every_plate_has_one_host_and_loads_differ_by_one_plate(sizes, n_hosts) -> None:
    if len(sizes) < n_hosts:
        with pytest.raises(PlatewiseError, match=f"too few for {n_hosts} hosts"):
            share_plates(sizes, n_hosts)
        return
    shares = share_plates(sizes, n_hosts)
    assert sorted(np.concatenate(shares).tolist()) == list(range(len(sizes)))
    loads = [sum(sizes[p] for p in share) for share in shares]
    assert min(loads) > 0
    assert max(loads) - min(loads) <= max(sizes)


def feed(screen, n_replicas: int, n_hosts: int) -> PlateFeed:
    plates = scan_plates(
        screen.examples_dir,
        screen.manifest.of_split("train"),
        load_transform(screen.transform_dir),
        screen.manifest,
        n_classes=4,
    )
    config = DataConfig(minibatch_size=6, open_plates=2)
    return PlateFeed(
        plates, screen.manifest, config, seed=5, n_replicas=n_replicas, n_hosts=n_hosts
    )


def test_hosts_read_plates_of_their_own_and_the_same_number_of_steps(toy_screen) -> None:
    both = feed(toy_screen, n_replicas=2, n_hosts=2)
    assert both.steps_per_epoch == 4  # 4 minibatches of one plate; 3 and 1 of the others
    seen = []
    for host in range(2):
        elements = list(both.dataset(2, host=host).as_numpy_iterator())
        assert len(elements) == 2 * both.steps_per_epoch
        seen.append({int(element[PLATE]) for element in elements})
        rest = list(both.dataset(2, start_step=3, host=host).as_numpy_iterator())
        for element, expected in zip(rest, elements[3:], strict=True):
            np.testing.assert_array_equal(element["pixels"], expected["pixels"])
    assert seen == [set(share.tolist()) for share in both.shares]
    assert seen[0] | seen[1] == {0, 1, 2} and not seen[0] & seen[1]


def test_what_one_host_has_more_is_left_out(toy_screen) -> None:
    three = feed(toy_screen, n_replicas=3, n_hosts=3)
    assert three.steps_per_epoch == 1  # the smallest plate gives one minibatch
    for host in range(3):
        assert len(list(three.dataset(4, host=host))) == 4
    with pytest.raises(PlatewiseError, match="3 training plates are too few for 4 hosts"):
        feed(toy_screen, n_replicas=4, n_hosts=4)
    with pytest.raises(PlatewiseError, match=r"1 minibatches .* 2 replicas of a host"):
        feed(toy_screen, n_replicas=6, n_hosts=3)


def test_the_chief_comes_first() -> None:
    assert tasks_of({"worker": ["b:1", "c:1"], "chief": ["a:1"]}) == [
        ("chief", 0),
        ("worker", 0),
        ("worker", 1),
    ]
    assert tasks_of({"worker": ["b:1", "c:1"]}) == [("worker", 0), ("worker", 1)]


@pytest.mark.parametrize(
    ("strategy", "variable", "text", "message"),
    [
        ("multi_worker", "TF_CONFIG", None, "TF_CONFIG must hold JSON with cluster and task"),
        ("multi_worker", "TF_CONFIG", "{", "got '{'"),
        ("multi_worker", "TF_CONFIG", '{"cluster": {"ps": []}, "task": {}}', "TF_CONFIG lists ps"),
        ("tpu", "TPU_CONFIG", '{"zone": "a"}', "TPU_CONFIG must hold JSON with tpu_node_name"),
    ],
)
def test_what_the_platform_should_have_said(strategy, variable, text, message, monkeypatch) -> None:
    monkeypatch.delenv(variable, raising=False)
    if text is not None:
        monkeypatch.setenv(variable, text)
    with pytest.raises(PlatewiseError, match=message):
        make_strategy(LoopConfig(strategy=strategy, tpu_address="pod"))


#: ``python -m trainer`` that also prints the weights it ends with, chief or not.
_HOST = """
import json, sys, zlib
import numpy as np
from trainer import train as module
from trainer.command import main
real = module.write_trained
def noting(folder, trained, model):
    digest = zlib.crc32(b"".join(v.numpy().tobytes() for v in model.trainable_variables))
    print(json.dumps({"weights": digest, "steps": trained.n_steps}), flush=True)
    return real(folder, trained, model)
module.write_trained = noting
sys.exit(main(sys.argv[1:]))
"""


@dataclass
class TwoHosts:
    """Two processes that train together; files of the second have names of their own."""

    processes: list[subprocess.Popen]

    def read_until_step(self, step: int) -> None:
        for line in self.processes[0].stderr:
            if line.startswith("step ") and int(line.split()[1].split("/")[0]) >= step:
                return
        raise AssertionError(f"ended before step {step}")

    def wait(self, timeout_s: float) -> tuple[list[int], list[str], list[str]]:
        said = [process.communicate(timeout=timeout_s) for process in self.processes]
        codes = [process.returncode for process in self.processes]
        return codes, [out for out, _ in said], [error for _, error in said]


def free_ports(n: int) -> list[int]:
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def start(screen, folder: Path, checkpoints: tuple[str, str], **loop) -> TwoHosts:
    settings = {"strategy": "multi_worker", "log_every_s": 0.0, "checkpoint_every_steps": 1}
    config = screen.config(loop=settings | loop)
    (folder / "config.json").write_text(json.dumps(to_mapping(config)))
    first, second = free_ports(2)
    cluster = {"chief": [f"127.0.0.1:{first}"], "worker": [f"127.0.0.1:{second}"]}
    processes = []
    for i, kind in enumerate(("chief", "worker")):
        task = {"cluster": cluster, "task": {"type": kind, "index": 0}}
        arguments = [
            *("--examples", screen.examples_dir, "--transform", screen.transform_dir),
            *("--config", str(folder / "config.json"), "--out", str(folder / f"out{i}")),
            *("--checkpoints", str(folder / checkpoints[i]), "--logs", str(folder / f"logs{i}")),
            *("--progress", str(folder / f"progress{i}.json")),
        ]
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", _HOST, *arguments],
                env=os.environ | {"TF_CONFIG": json.dumps(task), "TF_CPP_MIN_LOG_LEVEL": "3"},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    return TwoHosts(processes)


def weights_of(out: str) -> dict:
    return json.loads(next(line for line in out.splitlines() if line.startswith('{"weights"')))


@pytest.fixture(scope="module")
def undisturbed(toy_screen, tmp_path_factory) -> tuple[Path, dict]:
    """Two hosts from the first step to the last; the second's checkpoints folder is another."""
    folder = tmp_path_factory.mktemp("two_hosts")
    codes, outs, errors = start(toy_screen, folder, ("checkpoints", "none")).wait(300)
    assert codes == [0, 0], errors
    chief, worker = map(weights_of, outs)
    assert chief == worker
    assert chief["steps"] == 2 * 4
    return folder, chief


@pytest.mark.slow
def test_two_hosts_train_one_model_and_the_chief_alone_writes(undisturbed) -> None:
    folder, _ = undisturbed
    written = {path.name for path in folder.iterdir()} - {"config.json"}
    assert written == {"checkpoints", "out0", "logs0", "progress0.json"}
    assert load_bundle(str(folder / "out0")).classes == ("2", "7", "10", "31")
    progress = json.loads((folder / "progress0.json").read_text())
    assert progress["step"] == progress["n_steps"] == 8


@pytest.mark.thorough
@pytest.mark.slow
def test_two_hosts_stopped_and_one_killed_go_on_and_end_the_same(
    undisturbed, toy_screen, tmp_path
) -> None:
    same = ("checkpoints", "checkpoints")
    hosts = start(toy_screen, tmp_path, same)
    hosts.read_until_step(1)
    hosts.processes[1].send_signal(signal.SIGTERM)  # not the chief: it learns of it all the same
    codes, _, errors = hosts.wait(120)
    assert codes == [EXIT_CODE, EXIT_CODE], errors
    saved = [error.partition("saved step ")[2].split()[0] for error in errors]
    assert saved[0] == saved[1] and 1 <= int(saved[0]) < 8
    assert list((tmp_path / "checkpoints").glob(f"*/ckpt-{saved[0]}.json"))

    hosts = start(toy_screen, tmp_path, same)
    hosts.read_until_step(int(saved[0]) + 1)
    hosts.processes[1].kill()
    codes, _, errors = hosts.wait(240)
    assert codes == [EXIT_CODE, -signal.SIGKILL], errors
    assert "another host of this run was lost" in errors[0]
    assert not (tmp_path / "out0").exists()

    codes, outs, errors = start(toy_screen, tmp_path, same).wait(300)
    assert codes == [0, 0], errors
    answer = json.loads(outs[0].splitlines()[-1])
    assert int(saved[0]) < answer["resumed_at_step"] <= 8
    assert weights_of(outs[0]) == weights_of(outs[1]) == undisturbed[1]
    expected = load_bundle(str(undisturbed[0] / "out0")).model.get_weights()
    for found, weights in zip(
        load_bundle(str(tmp_path / "out0")).model.get_weights(), expected, strict=True
    ):
        np.testing.assert_array_equal(found, weights)
