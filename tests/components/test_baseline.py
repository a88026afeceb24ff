"""A new model is compared with the latest blessed one, never with itself."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.local import run_local
from pipelines.outcome import RunResult

Run = Callable[..., tuple[str, str, RunResult]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.syspath_prepend(str(Path(__file__).with_name("toys")))
    toys = importlib.import_module("toy_models")

    def run(name: str, bless: bool = True) -> tuple[str, str, RunResult]:
        result = run_local(toys.make(tmp_path, name, bless), tmp_path)
        baseline = (Path(result.uri("Compare", "blessing")) / "baseline").read_text()
        return baseline, result.nodes["Compare"].state, result

    return run


def test_baseline_is_the_latest_blessed_other_model(run: Run) -> None:
    assert run("first")[:2] == ("", "run")
    assert run("first")[:2] == ("", "cached"), "a rerun has the same baseline as the run"
    assert run("second", bless=False)[:2] == ("first", "run")
    assert run("second", bless=False)[:2] == ("first", "cached")
    assert run("third")[:2] == ("first", "run"), "the second was refused"
    assert run("fourth")[:2] == ("third", "run")
    assert run("third")[:2] == ("fourth", "run"), "going back is compared with what is in use"
    assert run("third")[:2] == ("fourth", "cached")


def test_a_deleted_model_is_no_baseline(run: Run) -> None:
    _, _, first = run("first")
    shutil.rmtree(first.uri("Train", "model"))
    assert run("second")[:2] == ("", "run")
