"""How a job stands, as text."""

from __future__ import annotations

import datetime
from typing import Any

from pipelines.progress import duration
from pipelines.vertex.request import console_address
from pipelines.vertex.watch import column_of, ended, job_state, read_tasks, task_line

#: How the end of a job reads.
_ENDS = {"SUCCEEDED": "succeeded", "FAILED": "FAILED", "CANCELLED": "cancelled"}


def describe(job: Any, now: datetime.datetime | None = None) -> list[str]:
    """Lines: the job, its page in the console, its steps, its error."""
    tasks = read_tasks(job, now)
    column = column_of([task.name for task in tasks])
    lines = [headline(job, now), console_address(job.name), ""]
    for task in tasks:
        lines.append(task_line(task, column))
        if task.error:
            lines.append(f"    {task.error}")
    error = " ".join(job.error.message.split())
    if error:
        lines += ["", error]
    return lines


def headline(job: Any, now: datetime.datetime | None = None) -> str:
    """Id and state of a job, and for how long."""
    now = now or datetime.datetime.now(datetime.UTC)
    state = job_state(job)
    name = job.name.rpartition("/")[2]
    began = job.start_time or job.create_time
    spent = duration(((job.end_time or now) - began).total_seconds()) if began else ""
    if ended(job):
        return f"{name}: {_ENDS[state]}{f' after {spent}' if spent else ''}"
    return f"{name}: {state.lower().replace('_', ' ')}{f' for {spent}' if spent else ''}"


def as_json(job: Any, now: datetime.datetime | None = None) -> dict[str, Any]:
    """The same for machines."""
    return {
        "name": job.name,
        "state": job_state(job),
        "ended": ended(job),
        "console": console_address(job.name),
        "error": job.error.message,
        "steps": [
            {"name": t.name, "state": t.state, "seconds": t.seconds, "error": t.error}
            for t in read_tasks(job, now)
        ],
    }
