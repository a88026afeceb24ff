"""The local runner, on small components and TFX's real launcher and metadata."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import ml_metadata as mlmd
import pytest
from ml_metadata.proto import metadata_store_pb2

from pipelines.local import metadata_path, run_local
from pipelines.outcome import ComponentFailed, NodeEvent, RunResult

TOYS = Path(__file__).with_name("toys")
KILLED = "import sys, toy_pipeline; toy_pipeline.main(*sys.argv[1:])"


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOYS))
    return importlib.import_module("toy_pipeline")


def run(toys: ModuleType, folder: Path, *texts: str) -> RunResult:
    return run_local(toys.make(folder, *texts), folder)


def states(result: RunResult) -> list[str]:
    return [outcome.state for outcome in result.nodes.values()]


def executions(folder: Path) -> list[metadata_store_pb2.Execution]:
    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(metadata_path(folder))
    return list(mlmd.MetadataStore(config).get_executions())


def test_runs_then_caches_and_reports(toys: ModuleType, tmp_path: Path) -> None:
    events: list[NodeEvent] = []
    first = run_local(toys.make(tmp_path, "one ", "two "), tmp_path, events.append)
    assert states(first) == ["run", "run"]
    assert [(e.node_id, e.state) for e in events] == [
        ("Writer0", "started"),
        ("Writer0", "run"),
        ("Writer1", "started"),
        ("Writer1", "run"),
    ]
    assert (Path(first.uri("Writer1", "written")) / "a").read_text() == "two one "
    again = run(toys, tmp_path, "one ", "two ")
    assert states(again) == ["cached", "cached"]
    assert again.uri("Writer1", "written") == first.uri("Writer1", "written")
    changed = run(toys, tmp_path, "one ", "2 ")
    assert states(changed) == ["cached", "run"]


@pytest.mark.parametrize("harm", ["remove file", "remove folder", "cut"])
def test_damaged_artifact_is_made_anew(toys: ModuleType, tmp_path: Path, harm: str) -> None:
    first = run(toys, tmp_path, "one ", "two ")
    folder = Path(first.uri("Writer0", "written"))
    if harm == "remove file":
        (folder / "b").unlink()
    elif harm == "remove folder":
        shutil.rmtree(folder)
    else:
        (folder / "a").write_text("on")
    again = run(toys, tmp_path, "one ", "two ")
    assert states(again) == ["run", "run"]
    assert [str(folder)] == [item.uri for item in again.distrusted]
    assert (Path(again.uri("Writer1", "written")) / "a").read_text() == "two one "
    assert states(run(toys, tmp_path, "one ", "two ")) == ["cached", "cached"]


def test_copied_run_folder_serves_nothing_of_the_original(toys: ModuleType, tmp_path: Path) -> None:
    first, copy = tmp_path / "first", tmp_path / "copy"
    run(toys, first, "one ", "two ")
    shutil.copytree(first, copy)
    result = run(toys, copy, "one ", "two ")
    assert states(result) == ["run", "run"]
    assert result.uri("Writer0", "written").startswith(str(copy))
    assert states(run(toys, first, "one ", "two ")) == ["cached", "cached"]


def test_failure_is_one_message_and_leaves_no_artifact(
    toys: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_FAIL", "two ")
    events: list[NodeEvent] = []
    with pytest.raises(ComponentFailed) as info:
        run_local(toys.make(tmp_path, "one ", "two ", "three "), tmp_path, events.append)
    assert str(info.value) == "Writer1: no room for 'two one '"
    assert events[-1].state == "failed"
    assert states(info.value.result) == ["run", "failed"]
    assert list((tmp_path / "artifacts" / "Writer1" / "written").iterdir()) == []
    monkeypatch.delenv("TOY_FAIL")
    assert states(run(toys, tmp_path, "one ", "two ", "three ")) == ["cached", "run", "run"]


def test_missing_input_is_an_error(toys: ModuleType, tmp_path: Path) -> None:
    """TFX's own runner ends quietly when a component's input does not exist."""
    with pytest.raises(ComponentFailed, match="Needy: did not run, because an input"):
        run_local(toys.make(tmp_path, needy=True), tmp_path)


@pytest.mark.thorough
def test_kill_then_rerun_finishes_and_clears_up(toys: ModuleType, tmp_path: Path) -> None:
    root = Path(toys.run_local.__code__.co_filename).parents[1]
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path), "one ", "two "],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TOY_STALL": "two ", "PYTHONPATH": f"{root}:{TOYS}"},
    )
    assert process.stdout is not None
    assert any(line == "stalled\n" for line in process.stdout)
    process.kill()
    process.wait()
    process.stdout.close()
    (half,) = (tmp_path / "artifacts" / "Writer1" / "written").iterdir()
    assert (half / "a").exists()
    assert not (half / "b").exists()
    again = run(toys, tmp_path, "one ", "two ")
    assert states(again) == ["cached", "run"]
    assert again.uri("Writer1", "written") != str(half)
    assert not half.exists()
    running = metadata_store_pb2.Execution.RUNNING
    assert running not in [e.last_known_state for e in executions(tmp_path)]
