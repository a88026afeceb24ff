"""A job followed to its end: every step with its state and duration.

On a terminal the running steps are one line redrawn in place; elsewhere every event is a line of
its own, and a running step says so once in a while, as in a local run.
"""

from __future__ import annotations

import datetime
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TextIO

from components.vertex_api import VertexError
from pipelines.progress import duration
from pipelines.vertex.request import to_json
from pipelines.vertex.steps import read_steps
from trainer.errors import PlatewiseError

State = Literal["waiting", "running", "done", "cached", "failed", "cancelled", "skipped"]

#: How each state reads.
WORDS: dict[State, str] = {
    "waiting": "waiting",
    "running": "running",
    "done": "done",
    "cached": "from the cache",
    "failed": "FAILED",
    "cancelled": "cancelled",
    "skipped": "not run",
}
#: The API's states of a task.
_STATES: dict[str, State] = {
    "PENDING": "waiting",
    "RUNNING": "running",
    "SUCCEEDED": "done",
    "CANCEL_PENDING": "running",
    "CANCELLING": "running",
    "CANCELLED": "cancelled",
    "FAILED": "failed",
    "SKIPPED": "cached",  # the API's own word for a result from the cache
    "NOT_TRIGGERED": "skipped",
}
ENDED = ("done", "cached", "failed", "cancelled", "skipped")
_JOB_ENDED = ("SUCCEEDED", "FAILED", "CANCELLED")
_CLEAR_LINE = "\r\x1b[2K"
#: How long Vertex AI may be out of reach while we wait, seconds; the job does not notice.
_OUTAGE_S = 900.0


@dataclass(frozen=True)
class Task:
    """One step of a job as it is now."""

    name: str
    state: State
    #: Seconds that it ran or has been running; None: not started, or served from the cache.
    seconds: float | None = None
    error: str = ""


def job_state(job: Any) -> str:
    """State of a job, such as ``RUNNING``."""
    return str(job.state.name).removeprefix("PIPELINE_STATE_")


def ended(job: Any) -> bool:
    """Whether a job has come to its end, good or bad."""
    return job_state(job) in _JOB_ENDED


def read_tasks(job: Any, now: datetime.datetime | None = None) -> list[Task]:
    """Steps in the pipeline's order, with what Vertex AI tells of each.

    Parameters
    ----------
    job
        ``PipelineJob`` as the API gives it.
    now
        UTC; None: now.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    details = {detail.task_name: detail for detail in job.job_detail.task_details}
    names = step_names(job)
    untold: State = "skipped" if ended(job) else "waiting"
    tasks = [
        _task(name, details[name], now) if name in details else Task(name, untold)
        for name in names
        # Where all went well, nothing was left out: of what it does not tell we say nothing.
        if name in details or job_state(job) != "SUCCEEDED"
    ]
    if not any(task.state == "failed" for task in tasks):  # what failed may be no step of ours
        tasks += [
            task
            for name, detail in details.items()
            if name not in names and (task := _task(name, detail, now)).state == "failed"
        ]
    return tasks


def step_names(job: Any) -> list[str]:
    """Names of a job's steps in the pipeline's order; of those it tells of, if it has no spec."""
    try:
        return [step.name for step in read_steps(to_json(job).get("pipelineSpec", {}))]
    except PlatewiseError:
        return [detail.task_name for detail in job.job_detail.task_details]


def _task(name: str, detail: Any, now: datetime.datetime) -> Task:
    state = _STATES.get(detail.state.name, "waiting")
    seconds = None
    if detail.start_time and state not in ("waiting", "cached"):
        seconds = ((detail.end_time or now) - detail.start_time).total_seconds()
    return Task(name, state, seconds, " ".join(detail.error.message.split()))


def task_line(task: Task, column: int) -> str:
    """One step: name, duration, state."""
    spent = "" if task.seconds is None else duration(task.seconds)
    return f"  {task.name:<{column}} {spent:>7}  {WORDS[task.state]}"


def column_of(names: Sequence[str]) -> int:
    """Width of the column of names."""
    return max([16, *(len(name) for name in names)])


class Display:
    """Writes what changed since the last look.

    Parameters
    ----------
    stream
        The terminal, or whatever takes its place.
    redraw
        Redraw what is running in place; else plain lines.
    line_every_s
        Seconds between two plain lines about the same step.
    """

    def __init__(
        self,
        stream: TextIO,
        redraw: bool,
        line_every_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream, self._redraw, self._clock = stream, redraw, clock
        self._line_every_s = line_every_s
        self._seen: dict[str, State] = {}
        self._running: list[Task] = []
        self._looked = self._last_line = self._began = clock()
        self._queued = ""
        self._live = False

    def show(self, state: str, tasks: Sequence[Task]) -> None:
        """A new look at the job."""
        self._looked = self._clock()
        column = column_of([task.name for task in tasks])
        for task in tasks:
            before = self._seen.get(task.name, "waiting")
            self._seen[task.name] = task.state
            if task.state in ENDED and before not in ENDED:
                self.say(task_line(task, column))
                if task.error:
                    self.say(f"    {task.error}")
            elif task.state == "running" and before == "waiting" and not self._redraw:
                self.say(f"  {task.name:<{column}} started")
        self._running = [task for task in tasks if task.state == "running"]
        waits = not self._running and state in ("QUEUED", "PENDING")
        queued = f"{state.lower()}, waiting for Vertex AI to start it" if waits else ""
        if queued and queued != self._queued and not self._redraw:
            self.say(f"  {queued}")
        self._queued = queued
        self.tick()

    def tick(self) -> None:
        """Let the clock of what is running go on."""
        line = self._line()
        if self._redraw:
            room = shutil.get_terminal_size().columns - 1
            if len(line) > room:  # a line that wraps cannot be redrawn
                line = line[: room - 1] + "…"
            self._clear()
            self._write(line)
            self._live = bool(line)
        elif line and self._clock() - self._last_line >= self._line_every_s:
            self.say(line)

    def say(self, text: str) -> None:
        """One lasting line."""
        self._clear()
        self._last_line = self._clock()
        self._write(f"{text}\n")

    def close(self) -> None:
        """Leave no half-written line behind."""
        self._clear()

    def _line(self) -> str:
        since = self._clock() - self._looked
        if self._running:
            parts = [f"{t.name} {duration((t.seconds or 0.0) + since)}" for t in self._running]
            return f"  running: {', '.join(parts)}"
        if self._queued:
            return f"  {self._queued}: {duration(self._clock() - self._began)}"
        return ""

    def _clear(self) -> None:
        if self._live:
            self._write(_CLEAR_LINE)
            self._live = False

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._redraw = self._live = False  # the terminal went away; the job goes on


def follow(
    look: Callable[[], Any],
    display: Display,
    poll_s: float = 15.0,
    timeout_s: float | None = None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Any:
    """Look at a job again and again until it has ended.

    Parameters
    ----------
    look
        Gives the job as it is now.
    poll_s
        Seconds between two looks.
    timeout_s
        How long to wait for its end, seconds; None: for ever.

    Returns
    -------
    google.cloud.aiplatform_v1.types.PipelineJob
        As it ended, or as it was when ``timeout_s`` had passed.

    Raises
    ------
    VertexError
        It could not be looked at for a long time, or not any more; it may well go on.
    """
    began = clock()
    while True:
        job = look()
        display.show(job_state(job), read_tasks(job))
        if ended(job):
            return job
        next_look = clock() + poll_s
        while (left_s := next_look - clock()) > 0:
            if timeout_s is not None and clock() - began >= timeout_s:
                return job
            sleep(min(left_s, 0.5))
            display.tick()


def patient_look(service: Any, name: str) -> Callable[[], Any]:
    """A look that outlives an outage of the service."""

    def look() -> Any:
        try:
            return service.get(name, deadline_s=_OUTAGE_S)
        except VertexError as error:
            raise VertexError(
                f"{error}\nThe job itself goes on: platewise status {name}"
            ) from error

    return look
