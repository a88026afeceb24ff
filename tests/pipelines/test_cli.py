"""The command line as a user meets it: in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from pipelines.cli import build_parser, main
from pipelines.commands.common import guarded
from pipelines.logs import Terminal
from trainer.errors import PlatewiseError

LOCAL = ("simulate", "check", "run", "predict", "denoise", "report")
COMMANDS = (*LOCAL, "metrics", "sweep", "compile", "submit", "schedule", "status", "fetch")
#: Modules that cost seconds, or that a command which does not need them must not load.
HEAVY = ("tensorflow", "tfx", "apache_beam", "keras", "pandas", "scipy", "numpy", "jinja2")
PROGRAM = [sys.executable, "-m", "pipelines.cli"]


def platewise(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, cwd=cwd, timeout=300
    )


def test_help_is_fast() -> None:
    """Processor time, which a busy machine does not stretch much."""

    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert platewise("--help").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(5)) < 0.5


@pytest.mark.parametrize("arguments", [["--help"], *([c, "--help"] for c in COMMANDS)])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys, pipelines.cli as cli\n"
        "try:\n    cli.main(sys.argv[1:])\n"
        "except SystemExit as stop:\n    assert stop.code == 0\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "usage: platewise" in done.stdout


def test_configuration_loads_no_tensorflow() -> None:
    code = (
        "import sys, pipelines.config as config\n"
        "config.load('demo', [('screen.root', 'x')])\n"
        "loaded = [n for n in ('tensorflow', 'tfx', 'apache_beam', 'keras') if n in sys.modules]\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_every_option_is_explained_with_its_default() -> None:
    (commands,) = build_parser()._subparsers._group_actions  # type: ignore[union-attr]
    assert set(commands.choices) == set(COMMANDS)  # type: ignore[arg-type, call-overload]
    for name, parser in commands.choices.items():  # type: ignore[union-attr]
        for action in parser._actions:
            assert action.help, f"{name} {action.dest}"
            takes_value = action.option_strings and action.nargs != 0 and not action.required
            if takes_value and action.dest != "set":
                assert "default" in action.help, f"{name} {action.dest}"


def test_print_config_can_be_run() -> None:
    done = platewise("run", "--print-config", "--config", "wilds", "--run.name", "mine")
    assert (done.returncode, done.stderr) == (0, "")
    assert '# Name of the run, and of its folder.\nname = "mine"' in done.stdout
    config = tomllib.loads(done.stdout)
    assert config["training"]["controls_as_classes"] is True
    assert config["training"]["model"]["n_channels"] == 6


def test_the_demo_screen_lies_beside_the_run() -> None:
    done = platewise("run", "--demo", "--print-config", "--run.root=elsewhere")
    config = tomllib.loads(done.stdout)
    assert config["screen"]["root"] == "elsewhere/demo-screen"
    assert config["simulation"]["treatments"] < 100
    done = platewise("run", "--demo", "--print-config", "--screen.root=mine")
    assert tomllib.loads(done.stdout)["screen"]["root"] == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["rnu"], "invalid choice: 'rnu'"),
        (["run"], "say what to run: platewise run --demo"),
        (["run", "--demo", "--config", "rxrx1"], "--demo brings its own configuration"),
        (["run", "--demo", "--run.nmae", "x"], "run.nmae (did you mean run.name?)"),
        (["run", "--demo", "--run.name"], "--run.name needs a value"),
        (["run", "--config", "gone.toml"], "no configuration file gone.toml"),
        (["run", "--config", "rxrx1"], "missing configuration key: screen"),
        (["run", "--set", "run.name"], "--set takes section.key=value"),
        (["check"], "say what to check: platewise check SCREEN"),
        (["predict", "screen"], "the following arguments are required: --model"),
        (["report", "x", "--run.name", "y"], "unrecognized arguments"),
        (["simulate", "x", "--simulation.biology_strength", "much"], "must be a number"),
        (["simulate", "x", "--simulation.treatments", "1"], "treatments must be >="),
    ],
)
def test_wrong_usage_exits_2(arguments: list[str], message: str, tmp_path: Path) -> None:
    done = platewise(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_an_error_is_one_message_and_the_log(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").touch()
    done = platewise("simulate", "full", "--preset", "tiny", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    message, log = done.stderr.splitlines()[-2:]
    assert message.startswith("platewise: ") and "full is not empty" in message
    log_path = Path(log.removeprefix("log: "))
    assert "PlatewiseError" in log_path.read_text()
    log_path.unlink()
    done = platewise("simulate", "full", "--preset", "tiny", "--debug", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" in done.stderr and "full is not empty" in done.stderr
    Path(done.stderr.splitlines()[-1].removeprefix("log: ")).unlink()


def test_simulate(tmp_path: Path) -> None:
    flags = ("--preset", "tiny", "--processes", "1", "--simulation.cell_types", "RPE")
    done = platewise("simulate", "screen", *flags, "--simulation.seed=7", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"screen: 3 experiments, 12 plates, \d+ sites, \d+ images\n", done.stdout)
    assert (tmp_path / "screen" / "metadata.csv").is_file()
    assert "\x1b" not in done.stderr
    assert done.stderr.splitlines()[-1].endswith("done")


def on_terminal(arguments: list[str], cwd: Path, term: str) -> tuple[int, bytes, str]:
    """Exit code, what a terminal on stderr got, and stdout."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        env={**os.environ, "TERM": term},
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # raised when the other end is closed
        while chunk := os.read(ours, 4096):
            shown += chunk
    os.close(ours)
    out, _ = process.communicate(timeout=60)
    return process.returncode, shown, out


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_a_terminal_is_redrawn_where_it_can_be(tmp_path: Path, term: str) -> None:
    flags = ["--preset", "tiny", "--simulation.cell_types", "RPE"]
    code, shown, out = on_terminal(["simulate", "screen", *flags], tmp_path, term)
    assert code == 0 and out.startswith("screen: ")
    assert (b"\r\x1b[2K  Simulate" in shown) == (term == "xterm")
    assert shown.rstrip().endswith(b"done")


def _work_in_process(tmp_path: Path, error: BaseException | None, code: int = 0) -> int:
    def work(terminal: Terminal) -> int:
        os.write(2, b"noise")
        if error is not None:
            raise error
        print("result", file=terminal.out)
        return code

    return guarded(work, tmp_path / "a.log", debug=False, keep_log=False)


def test_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = ["--preset", "tiny", "--processes", "1", "--simulation.cell_types", "RPE"]
    assert main(["simulate", "screen", *flags]) == 0
    capfd.readouterr()
    assert main(["check", "screen"]) == 0
    out, err = capfd.readouterr()
    assert (out.splitlines()[-1], err) == ("passed", "")
    next((tmp_path / "screen").glob("**/*.png")).write_bytes(b"no image")
    assert main(["check", "screen", "--json"]) == 1
    out, err = capfd.readouterr()
    facts = json.loads(out)
    assert facts["failed"] and facts["corrupt"] == 1 and err == ""
    assert main(["check", "screen", "--quality.max_excluded_share", "0.5"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["screen"]


def test_check_shows_that_it_lives_on_a_terminal(tmp_path: Path) -> None:
    assert platewise("simulate", str(tmp_path / "s"), "--preset", "tiny").returncode == 0
    code, shown, out = on_terminal(["check", "s"], tmp_path, "xterm")
    assert code == 0 and out.splitlines()[-1] == "passed"
    assert b"  Check " in shown and shown.rstrip().endswith(b"done")


def test_check_of_no_screen(tmp_path: Path) -> None:
    done = platewise("check", "gone", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    message, log = done.stderr.splitlines()
    assert "gone" in message and message.startswith("platewise: ")
    Path(log.removeprefix("log: ")).unlink()


def test_exit_codes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "a.log"
    assert _work_in_process(tmp_path, None) == 0
    assert capfd.readouterr() == ("result\n", "") and not log.exists()
    assert _work_in_process(tmp_path, None, code=1) == 1
    assert not log.exists()
    capfd.readouterr()
    for error, code, message in [
        (PlatewiseError("screen/x.png is cut"), 1, "platewise: screen/x.png is cut"),
        (OSError(28, "No space left on device", "a"), 1, "No space left on device"),
        (ZeroDivisionError(), 1, "platewise: ZeroDivisionError"),
        (KeyboardInterrupt(), 130, "platewise: stopped"),
    ]:
        assert _work_in_process(tmp_path, error) == code
        shown = capfd.readouterr()
        assert shown.out == "" and "Traceback" not in shown.err and "noise" not in shown.err
        assert message in shown.err.splitlines()[0]
        assert shown.err.splitlines()[-1] == f"log: {log}"
        assert type(error).__name__ in log.read_text()


def test_ctrl_c_is_a_message_and_130(tmp_path: Path) -> None:
    flags = ["--processes", "1", "--simulation.treatments", "277"]
    process = subprocess.Popen(
        [*PROGRAM, "simulate", "screen", *flags],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("screen/**/*.png")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, shown = process.communicate(timeout=60)
    assert process.returncode == 130, shown
    assert "platewise: stopped" in shown and "Traceback" not in shown
    (log,) = tmp_path.glob("platewise-simulate-*.log")
    assert "KeyboardInterrupt" in log.read_text()


def test_a_reader_that_left_is_no_error(tmp_path: Path) -> None:
    """As in ``platewise check SCREEN | head -0``."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    process = subprocess.run(
        [*PROGRAM, "simulate", str(tmp_path / "s"), "--preset", "tiny"],
        stdout=write_end,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    os.close(write_end)
    assert process.returncode == 1
    assert "Traceback" not in process.stderr and "Broken" not in process.stderr


def test_main_returns_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run"]) == 2
    assert "say what to run" in capsys.readouterr().err
