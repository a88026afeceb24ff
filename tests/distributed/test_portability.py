"""ExampleGen, Transform and Evaluator make the same on every engine, workers killed or not."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainer import manifest

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(900)]

ENGINES = ("flink", "prism")
#: Artifacts of each stage that are the same bytes.
SAME_BYTES = {
    "example_gen": ("examples", "quality", "schema"),
    "transform": ("transform_graph",),
    "evaluator": ("blessing",),
}
#: Sums of floats depend in their last digit on the order in which workers' parts are added.
TOLERANCE = 1e-12


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def assert_equal_numbers(found: Any, wanted: Any, where: str = "evaluation") -> None:
    """The same keys, texts and numbers, floats within the tolerance."""
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys(), where
        for key in wanted:
            assert_equal_numbers(found[key], wanted[key], f"{where}.{key}")
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), where
        for i, value in enumerate(wanted):
            assert_equal_numbers(found[i], value, f"{where}[{i}]")
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, rel=TOLERANCE, abs=TOLERANCE, nan_ok=True), where
    else:
        assert found == wanted, where


def assert_same(stage: str, found: Path, wanted: Path) -> None:
    """Artifacts of a stage in two folders are equal."""
    for name in SAME_BYTES[stage]:
        ours, theirs = content(found / name), content(wanted / name)
        assert theirs, f"{name} is empty"
        assert ours.keys() == theirs.keys()
        differing = [path for path in theirs if ours[path] != theirs[path]]
        assert not differing, f"{name}: {differing}"
    if stage == "example_gen":
        manifest.verify(str(found / "examples"), manifest.read_manifest(str(found / "examples")))
    if stage == "evaluator":
        values = [
            json.loads((folder / "evaluation" / "evaluation.json").read_text())
            for folder in (found, wanted)
        ]
        assert_equal_numbers(*values)


def run(stage: str, work: Any, expected: Any, engine: Any) -> None:
    """Run a stage on what FnApiRunner made before it, and compare."""
    if stage == "transform":
        work.adopt(expected, "examples", "schema")
    work.start(stage, engine.beam_args()).finish()
    assert_same(stage, work.folder, expected.folder)


@pytest.mark.parametrize("stage", tuple(SAME_BYTES))
@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_makes_the_same(
    name: str,
    stage: str,
    new_work: Callable[[], Any],
    expected: Any,
    request: pytest.FixtureRequest,
) -> None:
    run(stage, new_work(), expected, request.getfixturevalue(name))


#: Workers killed in one job at most; the engine's configuration gives up at the fifth failure.
MOST_LOST = 4


def writer_of(folder: Path, workers: list[int]) -> int | None:
    """The worker that has a file below a folder open, if one has."""
    for pid in workers:
        with contextlib.suppress(OSError):
            for opened in Path(f"/proc/{pid}/fd").iterdir():
                if os.readlink(opened).startswith(f"{folder}/"):  # noqa: PTH115
                    return pid
    return None


def kill_while_writing(engine: Any, examples: Path, stage: Any) -> int:
    """SIGKILL a worker that is writing a shard; returns how many plates were done by then."""
    temporary, workers = examples / "_tmp", engine.workers()
    while not temporary.exists() and stage.process.poll() is None:
        workers = engine.workers() or workers
        time.sleep(0.02)
    while stage.process.poll() is None:  # without a pause: a plate takes milliseconds
        pid = writer_of(temporary, workers)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            return len(list((examples.parent / "quality" / "_parts").glob("*.json")))
    stage.finish()
    raise AssertionError("no worker was seen writing a shard")


def test_flink_retries_when_a_worker_is_killed_while_it_writes(
    flink: Any, new_work: Callable[[], Any], expected: Any
) -> None:
    work = new_work()
    stage = work.start("example_gen", flink.beam_args())
    n_plates = len(manifest.read_manifest(str(expected.folder / "examples")).shards)
    assert kill_while_writing(flink, work.folder / "examples", stage) < n_plates
    stage.finish()
    assert flink.failures()
    assert_same("example_gen", work.folder, expected.folder)


def test_flink_goes_on_when_a_task_manager_is_killed(
    flink: Any, new_work: Callable[[], Any], expected: Any
) -> None:
    """Its worker lives on for a while without it, and writes the same plates as its successor."""
    work = new_work()
    stage = work.start("example_gen", flink.beam_args())
    temporary = work.folder / "examples" / "_tmp"
    while not temporary.exists() and stage.process.poll() is None:
        time.sleep(0.001)
    victim = flink.processes["taskmanager-1"]
    victim.kill()
    assert not (work.folder / "examples" / "manifest.json").exists()
    victim.wait()
    flink.start_task_manager(1)
    stage.finish()
    assert flink.failures()
    assert_same("example_gen", work.folder, expected.folder)
    flink.wait_for_slots()


def is_missed(flink: Any, stage: Any, steps_before: int) -> bool:
    """Whether the job fails for want of a worker, or goes on (two steps further) without it."""
    end = time.monotonic() + 30
    while time.monotonic() < end and stage.process.poll() is None:
        if flink.failures() or flink.steps_finished() >= steps_before + 2:
            break
        time.sleep(0.2)
    return bool(flink.failures())


@pytest.mark.parametrize("stage_name", ["transform", "evaluator"])
def test_flink_retries_when_a_worker_is_lost_in_the_middle_of(
    stage_name: str, flink: Any, new_work: Callable[[], Any], expected: Any
) -> None:
    work = new_work()
    if stage_name == "transform":
        work.adopt(expected, "examples", "schema")
    spared = set(flink.workers())
    stage = work.start(stage_name, flink.beam_args())
    hit, n_lost = False, 0
    while not hit and n_lost < MOST_LOST and stage.process.poll() is None:
        time.sleep(0.2)
        # The first results are there, the last are not.
        done = flink.steps_finished()
        if done and (fresh := set(flink.workers()) - spared):
            spared.add(pid := fresh.pop())
            flink.kill_worker(pid)
            n_lost += 1
            hit = is_missed(flink, stage, done)  # else it had just done its part: take the next
    stage.finish()
    assert flink.failures()
    assert_same(stage_name, work.folder, expected.folder)


def test_prism_gives_up_and_the_step_can_be_repeated_in_its_folder(
    prism: Any, new_work: Callable[[], Any], expected: Any
) -> None:
    work = new_work()
    stage = work.start("example_gen", prism.beam_args())
    kill_while_writing(prism, work.folder / "examples", stage)
    assert stage.process.wait(240) != 0
    assert "SDK worker disconnected" in stage.log.read_text()
    assert not (work.folder / "examples" / "manifest.json").exists()
    work.start("example_gen", prism.beam_args()).finish()
    assert_same("example_gen", work.folder, expected.folder)
