"""``python -m trainer`` and what names a run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from trainer.command import main
from trainer.identity import run_digest
from trainer.preemption import EXIT_CODE
from trainer.progress import (
    Progress,
    ProgressFile,
    duration,
    format_line,
    read_failure,
    read_progress,
)
from trainer.strict import to_mapping
from trainer.transform_graph import read_normaliser


def arguments(screen, folder: Path, *more: str) -> list[str]:
    (folder / "config.json").write_text(json.dumps(to_mapping(screen.config())))
    return [
        *("--examples", screen.examples_dir, "--transform", screen.transform_dir),
        *("--out", str(folder / "out"), "--checkpoints", str(folder / "checkpoints")),
        *("--config", str(folder / "config.json"), *more),
    ]


def test_it_trains_and_exports(toy_screen, tmp_path, capsys) -> None:
    more = ("--set", "loop.epochs=1", "--export", str(tmp_path / "model"))
    assert main(arguments(toy_screen, tmp_path, *more)) == 0
    printed = capsys.readouterr()
    answer = json.loads(printed.out)
    assert answer["n_steps"] == 8 and answer["resumed_at_step"] == 0
    assert "step 8/8  epoch 1/1  loss " in printed.err
    assert (tmp_path / "model" / "saved_model.pb").exists()
    assert main(arguments(toy_screen, tmp_path, "--set", "loop.epochs=1")) == 0
    assert json.loads(capsys.readouterr().out)["resumed_at_step"] == 8


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--set", "loop.epoch=3"), "did you mean loop.epochs?"),
        (("--set", "epochs=3"), "--set wants section.key=value"),
        (("--set", "model.image_size_px=64"), "the network sees 64 x 64 px"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_one(
    toy_screen, tmp_path, capsys, more, message
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments(toy_screen, tmp_path, *more))
    error = capsys.readouterr().err
    assert caught.value.code == 1
    assert error.startswith("error: ") and message in error and error.count("\n") == 1


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_an_unreadable_configuration_is_named(toy_screen, tmp_path, capsys, content) -> None:
    given = arguments(toy_screen, tmp_path)
    path = tmp_path / "config.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(SystemExit):
        main(given)
    assert str(path) in capsys.readouterr().err


@pytest.mark.thorough
@pytest.mark.slow
def test_sigterm_saves_the_step_and_the_same_command_goes_on(toy_screen, tmp_path, capsys) -> None:
    given = arguments(toy_screen, tmp_path, "--set", "loop.log_every_s=0.0")
    command = [sys.executable, "-m", "trainer", *given]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        for line in process.stderr:
            if line.startswith("step "):
                break
        process.send_signal(signal.SIGTERM)
        _, error = process.communicate(timeout=120)
    assert process.returncode == EXIT_CODE == 134  # the one that Vertex AI starts again
    saved = int(error.partition("saved step ")[2].split()[0])
    assert 1 <= saved < 16
    assert main(given) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["resumed_at_step"] == saved and answer["n_steps"] == 16


def test_progress_can_be_watched_from_elsewhere(tmp_path) -> None:
    path = tmp_path / "progress.json"
    write = ProgressFile(str(path), every_s=1000.0)
    looks = [Progress(step, 9, 1, 1, 5.0, {"loss": 1.0 / step}) for step in (1, 2, 9)]
    write(looks[0])
    write(looks[1])  # too soon
    assert read_progress(path.read_text()) == looks[0]
    write(looks[2])  # the end
    assert read_progress(path.read_text()) == looks[2]
    assert read_progress(path.read_text()[:-9]) is None
    ProgressFile(str(path / "below_a_file.json"))(looks[0])  # cannot be, and training goes on


def test_why_it_failed_can_be_read_from_elsewhere(toy_screen, tmp_path) -> None:
    path = tmp_path / "watched" / "progress.json"
    more = ("--set", "model.image_size_px=64", "--progress", str(path))
    with pytest.raises(SystemExit):
        main(arguments(toy_screen, tmp_path, *more))
    assert "the network sees 64 x 64 px" in read_failure(path.read_text())
    assert read_progress(path.read_text()) is None
    assert read_failure("{}") == read_failure("[") == ""


def test_importing_the_package_and_its_help_need_no_tensorflow() -> None:
    code = (
        "import sys, trainer, trainer.config, trainer.command\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules\n"
        "trainer.command.main(['--help'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "--checkpoints" in done.stdout


def test_only_what_decides_the_weights_names_a_run(toy_screen, monkeypatch) -> None:
    shards = toy_screen.manifest.of_split("train")
    fitted = read_normaliser(toy_screen.transform_dir)

    def name(shards=shards, **overrides) -> str:
        return run_digest(toy_screen.config(**overrides), shards, fitted)

    assert name(loop={"log_every_s": 9.0, "checkpoint_every_steps": 4}) == name()
    assert name(data={"cache_in_memory": False}, predict={"top_k": 3}) == name()
    different = {
        name(),
        name(loop={"seed": 8}),
        name(loop={"strategy": "mirrored"}),
        name(optimizer={"peak_learning_rate": 0.5}),
        name(shards=shards[:-1]),
    }
    monkeypatch.setattr("keras.__version__", "99.0")
    different.add(name())
    assert len(different) == 6


def test_progress_reads_well() -> None:
    look = Progress(120, 4000, 2, 60, 88.4, {"loss": 4.2061}, 0.12, 0.01, 250.0)
    assert format_line(look) == (
        "step 120/4000  epoch 2/60  loss 4.206  accuracy 12.0 %  88 sites/s  4 min left"
    )
    assert [duration(s) for s in (5, 89, 600, 9000)] == ["5 s", "89 s", "10 min", "2.5 h"]
