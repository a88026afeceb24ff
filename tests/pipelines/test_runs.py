"""What a run leaves behind, and what the terminal is told: toy components, the real runner."""

from __future__ import annotations

import importlib
import io
import json
import logging
from pathlib import Path
from types import ModuleType

import pytest

from components.report.data import RunFacts
from pipelines.commands.demo_screen import ensure_demo_screen
from pipelines.commands.page import tell_page, write_page
from pipelines.commands.scoring_run import configuration, refuse_unread
from pipelines.commands.training_run import refuse_other_kind, run_pipeline, training_shown
from pipelines.config import PlatewiseConfig, load
from pipelines.logs import Terminal
from pipelines.outcome import ComponentFailed
from pipelines.progress import Progress
from pipelines.run_record import RECORD_NAME, RunRecord, read_record
from trainer.errors import PlatewiseError
from trainer.simulation import tiny_config
from trainer.strict import ConfigError


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).with_name("toys")))
    return importlib.import_module("toy_pipeline")


def configured(run_dir: Path) -> PlatewiseConfig:
    flags = [("run.root", str(run_dir.parent)), ("run.name", run_dir.name), ("screen.root", "s")]
    return load(None, flags)


def run(toys: ModuleType, run_dir: Path, *texts: str) -> tuple[RunRecord, str]:
    terminal = Terminal(io.StringIO(), io.StringIO())
    config = configured(run_dir)
    record = run_pipeline("training", lambda: toys.make(run_dir, *texts), config, run_dir, terminal)
    assert isinstance(terminal.err, io.StringIO)
    return record, terminal.err.getvalue()


def test_a_run_is_shown_and_recorded(toys: ModuleType, tmp_path: Path) -> None:
    run_dir = tmp_path / "a run"
    first, shown = run(toys, run_dir, "one ", "two ")
    words = [line.split() for line in shown.splitlines()]
    assert [(w[0], w[-1]) for w in words] == [
        (name, state) for name in ("Start", "Writer0", "Writer1") for state in ("started", "done")
    ]
    again, shown = run(toys, run_dir, "one ", "2 ")
    assert "Writer0" in shown and "from the cache" in shown
    assert [(c.name, c.state) for c in again.facts.components] == [
        ("Writer0", "cached"),
        ("Writer1", "run"),
    ]
    assert again.outputs["Writer0"] == first.outputs["Writer0"]
    assert read_record(run_dir) == again
    assert again.config["run"]["name"] == "a run"
    assert 0 < sum(c.seconds or 0 for c in again.facts.components) <= (again.facts.total_s or 0)


def test_the_folder_of_a_run_can_be_moved(toys: ModuleType, tmp_path: Path) -> None:
    run(toys, tmp_path / "a", "one ")
    (tmp_path / "a").rename(tmp_path / "b")
    written = Path(read_record(tmp_path / "b").outputs["Writer0"]["written"])
    assert written.is_relative_to(tmp_path / "b")
    assert (written / "a").read_text() == "one "


def test_what_was_damaged_is_said(toys: ModuleType, tmp_path: Path) -> None:
    first, _ = run(toys, tmp_path / "a", "one ")
    (Path(first.outputs["Writer0"]["written"]) / "b").unlink()
    _, shown = run(toys, tmp_path / "a", "one ")
    assert "not taken from the cache: " in shown and "was removed" in shown


def test_a_failed_run_is_recorded_too(
    toys: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_FAIL", "two ")
    with pytest.raises(ComponentFailed, match="Writer1: no room for 'two one '"):
        run(toys, tmp_path / "a", "one ", "two ")
    record = read_record(tmp_path / "a")
    assert [(c.name, c.state) for c in record.facts.components] == [
        ("Writer0", "run"),
        ("Writer1", "failed"),
    ]
    assert list(record.outputs["Writer0"]) == ["written"] and record.outputs["Writer1"] == {}


def test_kinds_of_run_are_kept_apart(toys: ModuleType, tmp_path: Path) -> None:
    refuse_other_kind(tmp_path, "scoring")
    run(toys, tmp_path / "a", "one ")
    refuse_other_kind(tmp_path / "a", "training")
    with pytest.raises(PlatewiseError, match="holds a training run; give the scoring run another"):
        refuse_other_kind(tmp_path / "a", "scoring")


@pytest.mark.parametrize("text", ["", "{}", '{"kind": "training", "facts": {"x": 1}}', "[1]"])
def test_a_damaged_record_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(PlatewiseError, match=r"has no run\.json"):
        read_record(tmp_path)
    (tmp_path / RECORD_NAME).write_text(text)
    with pytest.raises(PlatewiseError, match=r"run\.json is damaged"):
        read_record(tmp_path)


def test_training_reaches_the_display() -> None:
    stream = io.StringIO()
    progress = Progress(stream, redraw=False, line_every_s=0.0)
    logger = logging.getLogger("platewise.progress")
    with training_shown(progress):
        progress.step_started("PlateTrainer")
        logger.warning("a line", extra={"update": {"loss": 1.25, "left_s": 90.0}})
        logger.warning("no update")
    logger.warning("too late", extra={"update": {"loss": 9.0}})
    assert stream.getvalue().splitlines()[1].endswith("1:30 left, loss 1.25")
    assert "9.0" not in stream.getvalue()


def test_the_page_of_a_run_that_ended_early(toys: ModuleType, tmp_path: Path) -> None:
    record, _ = run(toys, tmp_path / "a", "one ")
    said: list[str] = []
    tell_page(write_page(record, tmp_path / "a"), tmp_path / "a", said.append)
    assert (tmp_path / "a" / "report.html").is_file()
    assert json.loads((tmp_path / "a" / "metrics.json").read_text())["run"]["name"] == "a"
    assert said[-2:] == [
        f"report  {tmp_path / 'a' / 'report.html'}",
        f"metrics {tmp_path / 'a' / 'metrics.json'}",
    ]


def test_a_page_needs_the_artifacts(tmp_path: Path) -> None:
    record = RunRecord("training", RunFacts("a"), {"PlateExampleGen": {"examples": "/gone/1"}})
    with pytest.raises(PlatewiseError, match="/gone/1 is not there any more"):
        write_page(record, tmp_path)


def test_the_demo_screen_is_made_once(tmp_path: Path) -> None:
    def ensure(**changes: int) -> str:
        terminal = Terminal(io.StringIO(), io.StringIO())
        config = tiny_config(cell_types=("RPE",), **changes)
        ensure_demo_screen(config, str(tmp_path / "screen"), terminal)
        assert isinstance(terminal.err, io.StringIO)
        return terminal.err.getvalue().splitlines()[-1]

    assert ensure().endswith("done")
    table = (tmp_path / "screen" / "metadata.csv").stat().st_mtime_ns
    assert ensure().endswith("from the cache")
    assert (tmp_path / "screen" / "metadata.csv").stat().st_mtime_ns == table
    assert ensure(seed=1).endswith("done")


@pytest.mark.parametrize(
    ("flags", "out", "folder"),
    [
        ([], None, "runs/score-plates"),
        ([("run.root", "elsewhere")], None, "elsewhere/score-plates"),
        ([("run.name", "mine")], None, "runs/mine"),
        ([("run.root", "elsewhere")], "results", "./results"),
        ([], "a/b/", "a/b"),
    ],
)
def test_folder_of_a_scoring_run(
    flags: list[tuple[str, str]], out: str | None, folder: str
) -> None:
    config = configuration("rxrx1", flags, "gs://bucket/plates/", out)
    assert config.run.folder == folder
    assert config.screen.root == "gs://bucket/plates/"


def test_the_current_folder_can_be_the_one_of_a_scoring_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert configuration(None, [], "s", ".").run.folder == str(tmp_path)


@pytest.mark.parametrize("key", ["normalizer.method", "training.loop.seed", "evaluation.slices"])
def test_scoring_refuses_flags_that_the_model_decides(key: str) -> None:
    with pytest.raises(ConfigError, match=f"does not read --{key}"):
        refuse_unread([("run.name", "mine"), (key, "x")])


def test_scoring_takes_flags_of_its_own() -> None:
    refuse_unread([("run.name", "a"), ("training.predict.adapt_batch_norm", "false")])
