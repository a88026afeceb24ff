"""What the commands do with a folder that they cannot use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.cli import main


def test_check_takes_the_screen_of_its_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text('[screen]\nroot = "mine"\n')
    assert main(["check", "--config", "mine.toml"]) == 1
    assert "platewise: mine is not there" in capfd.readouterr().err
    assert main(["check", "other", "--config", "mine.toml"]) == 1
    assert "platewise: other is not there" in capfd.readouterr().err


def test_check_tells_machines_what_cannot_be_read(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "metadata.csv").write_text("a;b\n")
    assert main(["check", str(tmp_path), "--json"]) == 1
    out, err = capfd.readouterr()
    facts = json.loads(out)
    assert facts["failed"] and facts["errors"] == len(facts["errors_list"]) == 1
    assert "metadata.csv has no column 'experiment'" in facts["errors_list"][0]
    assert facts["errors_list"][0] in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--screen.root", "screen", "--run.root", "file"],
        ["predict", "screen", "--model", "model", "--out", "file/scored"],
    ],
)
def test_a_folder_that_cannot_be_written_is_one_message(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("kept")
    assert main(arguments) == 1
    out, err = capfd.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert err.startswith("platewise: cannot write to file/") and "Not a directory" in err
    assert (tmp_path / "file").read_text() == "kept"


def test_a_run_without_its_screen_fails_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--screen.root", "gone"]) == 1
    out, err = capfd.readouterr()
    assert err.startswith("platewise: gone is not there; give the folder of the screen")
    assert "Start" not in out + err


def test_report_leaves_a_folder_that_is_no_run_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(tmp_path)]) == 1
    assert "has no run.json" in capfd.readouterr().err
    assert not list(tmp_path.iterdir())
