"""What the terminal shows while a pipeline runs.

On a terminal the running step is one line redrawn in place; elsewhere (a file, a pipe, CI)
every event is a line of its own and training's are throttled.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Literal, TextIO

State = Literal["run", "cached", "failed", "skipped"]

#: How each state reads.
_WORDS: dict[State, str] = {
    "run": "done",
    "cached": "from the cache",
    "failed": "FAILED",
    "skipped": "skipped",
}
_NAME_COLUMNS = 16
_CLEAR_LINE = "\r\x1b[2K"


class Progress:
    """Shows steps as they start and end, and how training goes; safe to call from any thread.

    Parameters
    ----------
    stream
        Where to write: the terminal, or whatever takes its place.
    redraw
        Redraw the running step in place; else plain lines.
    redraw_every_s, line_every_s
        Seconds between two redraws, and between two plain lines of the same step.
    clock
        Seconds, for tests.
    """

    def __init__(
        self,
        stream: TextIO,
        redraw: bool,
        redraw_every_s: float = 0.2,
        line_every_s: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._redraw = redraw
        self._every_s = redraw_every_s if redraw else line_every_s
        self._clock = clock
        self._lock = threading.RLock()
        self._step = ""
        self._detail = ""
        self._started = 0.0
        self._last_line = 0.0
        self._live = False
        self._closing = threading.Event()
        self._ticker: threading.Thread | None = None

    def __enter__(self) -> Progress:
        self._ticker = threading.Thread(target=self._tick, name="progress", daemon=True)
        self._ticker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        if self._ticker is not None:
            self._ticker.join()
        with self._lock:
            if self._step and kind is not None:
                word: State = "failed"
                stopped = issubclass(kind, KeyboardInterrupt)
                self._end_line("stopped" if stopped else _WORDS[word], self._elapsed_s())
            self._clear()

    def say(self, text: str) -> None:
        """Write one lasting line."""
        with self._lock:
            self._clear()
            self._write(f"{text}\n")
            self._show()

    def step_started(self, name: str) -> None:
        """A step begins."""
        with self._lock:
            self._step, self._detail = name, ""
            self._started = self._last_line = self._clock()
            if self._redraw:
                self._show()
            else:
                self._write(f"  {name:<{_NAME_COLUMNS}} started\n")

    def step_finished(self, name: str, state: State, seconds: float | None = None) -> None:
        """A step ends; ``seconds`` defaults to the time since it began."""
        with self._lock:
            if name != self._step:
                self._step, self._started = name, self._clock()
            self._end_line(_WORDS[state], self._elapsed_s() if seconds is None else seconds)

    def training(self, update: Mapping[str, Any]) -> None:
        """How training goes; see :func:`training_line` for what ``update`` may hold."""
        self.detail(training_line(update))

    def detail(self, text: str) -> None:
        """What the running step is at."""
        with self._lock:
            self._detail = text
            if not self._redraw and self._clock() - self._last_line >= self._every_s:
                self._plain_line()

    def _tick(self) -> None:
        while not self._closing.wait(self._every_s):
            with self._lock:
                if not self._step:
                    continue
                if self._redraw:
                    self._show()
                elif self._clock() - self._last_line >= self._every_s:
                    self._plain_line()

    def _elapsed_s(self) -> float:
        return self._clock() - self._started

    def _running_line(self) -> str:
        line = f"  {self._step:<{_NAME_COLUMNS}} {duration(self._elapsed_s()):>7}"
        return f"{line}  {self._detail}" if self._detail else line

    def _plain_line(self) -> None:
        self._last_line = self._clock()
        self._write(f"{self._running_line()}\n")

    def _end_line(self, word: str, seconds: float) -> None:
        self._clear()
        self._write(f"  {self._step:<{_NAME_COLUMNS}} {duration(seconds):>7}  {word}\n")
        self._step = self._detail = ""

    def _show(self) -> None:
        if self._redraw and self._step:
            line, room = self._running_line(), self._columns() - 1
            if len(line) > room:  # a line that wraps cannot be redrawn
                line = line[:room].rpartition(", ")[0] or line[:room]
            self._write(f"{_CLEAR_LINE}{line}")
            self._live = True

    def _clear(self) -> None:
        if self._live:
            self._write(_CLEAR_LINE)
            self._live = False

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80
        except (OSError, ValueError):
            return 80

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._redraw = self._live = False  # the terminal went away; the work goes on


def training_line(update: Mapping[str, Any]) -> str:
    """One line about training.

    Parameters
    ----------
    update
        Any of ``epoch`` and ``epochs``, ``step`` and ``steps``, ``sites_per_s``, ``loss``,
        ``accuracy`` (0..1, of training sites), ``left_s`` (seconds).
    """
    parts = []
    ended = bool(update.get("steps")) and update.get("step", 0) >= update["steps"]
    if ended:
        parts.append("trained")  # the step goes on: it still has a model to export
    elif "epoch" in update:
        parts.append(f"epoch {update['epoch']}" + _of(update, "epochs"))
    elif "step" in update:
        parts.append(f"step {update['step']}" + _of(update, "steps"))
    if "left_s" in update and not ended:
        parts.append(f"{_rounded(update['left_s'])} left")
    if "loss" in update:
        parts.append(f"loss {update['loss']:.2f}")
    if "accuracy" in update:
        parts.append(f"accuracy {100 * update['accuracy']:.0f} %")
    if "sites_per_s" in update and not ended:
        parts.append(f"{update['sites_per_s']:.0f} sites/s")
    return ", ".join(parts)


def _of(update: Mapping[str, Any], key: str) -> str:
    return f"/{update[key]}" if update.get(key) else ""


def _rounded(seconds: float) -> str:
    """An estimate deserves no tenths of a second."""
    return f"{max(seconds, 0.0):.0f} s" if seconds < 59.5 else duration(max(seconds, 60.0))


def duration(seconds: float) -> str:
    """Seconds as ``4.2 s``, ``3:07`` (minutes) or ``2:03:07`` (hours)."""
    if seconds < 59.95:
        return f"{max(seconds, 0.0):.1f} s"
    minutes, s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{s:02}" if hours else f"{minutes}:{s:02}"
