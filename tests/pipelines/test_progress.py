"""The progress display, on a pseudo-terminal and without one."""

from __future__ import annotations

import io
import os
import pty
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pipelines.progress import Progress, duration, training_line

UPDATE = {
    "epoch": 3,
    "epochs": 20,
    "step": 41,
    "steps": 400,
    "sites_per_s": 123.4,
    "loss": 2.5,
    "accuracy": 0.375,
    "left_s": 75.0,
}


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@contextmanager
def terminal(columns: int = 100) -> Iterator[tuple[io.TextIOWrapper, list[str]]]:
    """A writable end of a pseudo-terminal, and the list that gets what was written."""
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 25, columns, 0, 0))
    seen: list[str] = []

    def read() -> None:
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # the other end was closed
                return
            if not chunk:
                return
            seen.append(chunk.decode())

    reader = threading.Thread(target=read)
    reader.start()
    with open(theirs, "w", encoding="utf-8") as stream:
        yield stream, seen
    reader.join(timeout=10)
    os.close(ours)


def screen(text: str) -> list[str]:
    """The lines a terminal would show: what is redrawn is gone."""
    return [
        re.split(r"\r\x1b\[2K", line)[-1].rstrip()
        for line in text.replace("\r\n", "\n").split("\n")
    ]


def test_terminal_redraws_one_line_and_keeps_finished_steps() -> None:
    with terminal() as (stream, seen):
        assert stream.isatty()
        with Progress(stream, redraw=True, redraw_every_s=0.02) as progress:
            progress.step_started("PlateExampleGen")
            progress.step_finished("PlateExampleGen", "cached", 0.5)
            progress.step_started("Trainer")
            progress.training(UPDATE)
            time.sleep(0.2)
            progress.say("  a note")
            progress.step_finished("Trainer", "run", 75.0)
    text = "".join(seen)
    assert "\r\x1b[2K  Trainer" in text
    assert "epoch 3/20, 1:15 left, loss 2.50, accuracy 38 %, 123 sites/s" in text
    assert screen(text) == [
        "  PlateExampleGen    0.5 s  from the cache",
        "  a note",
        "  Trainer             1:15  done",
        "",
    ]


def test_terminal_line_never_wraps() -> None:
    with (
        terminal(columns=45) as (stream, seen),
        Progress(stream, redraw=True, redraw_every_s=0.02) as progress,
    ):
        progress.step_started("Trainer")
        progress.training(UPDATE)
        time.sleep(0.1)
        progress.step_finished("Trainer", "run")
    drawn = re.split(r"\r\x1b\[2K|\r\n", "".join(seen))
    assert any(line.endswith("epoch 3/20") for line in drawn)
    assert max(len(line) for line in drawn) < 45


def test_plain_lines_have_no_control_codes_and_are_throttled() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = Progress(stream, redraw=False, line_every_s=10.0, clock=clock)
    progress.step_started("Trainer")
    for step in range(100):
        clock.now_s += 0.25
        progress.training({"step": step, "steps": 100})
    progress.step_finished("Trainer", "run")
    lines = stream.getvalue().splitlines()
    assert lines == [
        "  Trainer          started",
        "  Trainer           10.0 s  step 39/100",
        "  Trainer           20.0 s  step 79/100",
        "  Trainer           25.0 s  done",
    ]


def test_plain_display_says_that_a_silent_step_lives() -> None:
    stream = io.StringIO()
    with Progress(stream, redraw=False, line_every_s=0.05) as progress:
        progress.step_started("Evaluator")
        time.sleep(0.3)
        progress.step_finished("Evaluator", "run")
    assert len(stream.getvalue().splitlines()) >= 4


@pytest.mark.parametrize(
    ("error", "word"), [(ValueError, "FAILED"), (KeyboardInterrupt, "stopped")]
)
def test_a_step_that_was_left_is_shown(error: type[BaseException], word: str) -> None:
    stream = io.StringIO()
    with pytest.raises(error), Progress(stream, redraw=False) as progress:
        progress.step_started("Trainer")
        raise error
    assert stream.getvalue().splitlines()[-1].split() == ["Trainer", "0.0", "s", word]


def test_work_goes_on_when_the_terminal_is_gone() -> None:
    stream = io.StringIO()
    with Progress(stream, redraw=True, redraw_every_s=0.01) as progress:
        progress.step_started("Trainer")
        stream.close()
        time.sleep(0.05)
        progress.training(UPDATE)
        progress.step_finished("Trainer", "run")


def test_training_line_shows_what_is_known() -> None:
    assert training_line({"loss": 0.12345}) == "loss 0.12"
    assert training_line({"epoch": 2}) == "epoch 2"
    assert training_line({"left_s": 34.7}) == "35 s left"
    assert training_line({"left_s": 59.8}) == "1:00 left"
    assert training_line({**UPDATE, "step": 400}) == "trained, loss 2.50, accuracy 38 %"
    assert training_line({}) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (-1, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1:00"),
        (61, "1:01"),
        (3599.6, "1:00:00"),
        (7387, "2:03:07"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
