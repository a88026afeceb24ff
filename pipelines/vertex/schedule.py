"""Runs of a compiled pipeline again and again, at times that a cron expression gives."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Sequence
from typing import Any

from pipelines.vertex.request import console_address
from trainer.errors import PlatewiseError
from trainer.strict import ConfigError

_ZONE = re.compile(r"(?:CRON_)?TZ=(?P<zone>\S+)\s+(?P<rest>.*)")
_LIMITS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_PART = re.compile(r"(?:\*|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>[1-9]\d*))?")
_EXAMPLE = 'such as "TZ=Etc/UTC 0 3 * * 1": Mondays at 3 in the morning'
_NAMES = {
    "month": ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    "weekday": ["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
}


def check_cron(cron: str) -> str:
    """A cron expression, if it is one.

    Raises
    ------
    ConfigError
        Not five fields, a value out of its range, or an unknown time zone.
    """
    rest = cron.strip()
    if not rest:
        raise ConfigError(f"when? Give --cron or vertex.cron, {_EXAMPLE}")
    zone = _ZONE.fullmatch(rest)
    if zone:
        rest = zone["rest"]
        try:
            zoneinfo.ZoneInfo(zone["zone"])
        except (zoneinfo.ZoneInfoNotFoundError, ValueError):
            raise ConfigError(
                f"cron {cron!r}: {zone['zone']} is no time zone, {_EXAMPLE}"
            ) from None
    fields = rest.split()
    if len(fields) != len(_LIMITS):
        raise ConfigError(
            f"cron {cron!r} must have five fields (minute hour day month weekday) after an "
            f"optional TZ=ZONE; it has {len(fields)}, {_EXAMPLE}"
        )
    for text, (name, low, high) in zip(fields, _LIMITS, strict=True):
        for part in text.split(","):
            if not _fits(part, name, low, high):
                raise ConfigError(
                    f"cron {cron!r}: {part!r} is no {name} ({low}-{high}), {_EXAMPLE}"
                )
    return cron.strip()


def _fits(part: str, name: str, low: int, high: int) -> bool:
    found = _PART.fullmatch(part)
    if found is None:
        return False
    ends = []
    for text in filter(None, (found["first"], found["last"])):
        names = _NAMES.get(name, [])
        if text.lower() in names:
            ends.append(names.index(text.lower()) + low)
        elif text.isdecimal():
            ends.append(int(text))
        else:
            return False
    return all(low <= end <= high for end in ends) and ends == sorted(ends)


def build_schedule(
    request: Any, cron: str, name: str, most_at_once: int = 1, most_runs: int = 0
) -> Any:
    """A schedule of the run that a request describes.

    Parameters
    ----------
    request
        ``CreatePipelineJobRequest``; each run gets an id of its own.
    cron
        When.
    name
        Shown in the console; one schedule at most has it.
    most_at_once
        Runs that may go on side by side; a run that would be one too many is left out.
    most_runs
        The schedule ends after so many; 0: never.

    Returns
    -------
    google.cloud.aiplatform_v1.types.Schedule
    """
    from google.cloud.aiplatform_v1 import types

    schedule = types.Schedule(
        display_name=name,
        cron=check_cron(cron),
        max_concurrent_run_count=most_at_once,
        create_pipeline_job_request=types.CreatePipelineJobRequest(
            parent=request.parent, pipeline_job=request.pipeline_job
        ),
    )
    if most_runs:
        schedule.max_run_count = most_runs
    return schedule


def create(service: Any, schedule: Any) -> Any:
    """Set a schedule up, unless there is one of that name, which would run everything twice.

    Raises
    ------
    PlatewiseError
        There is one of that name.
    """
    same = [s for s in service.schedules() if s.display_name == schedule.display_name and _lives(s)]
    if same:
        raise PlatewiseError(
            f"there is a schedule {schedule.display_name!r} already: {same[0].name}. Delete it "
            f"(platewise schedule delete {same[0].name}) or give another --name"
        )
    return service.create_schedule(schedule)


def describe(schedules: Sequence[Any]) -> list[str]:
    """Lines: each schedule with its state, times and address."""
    lines = []
    for schedule in schedules:
        lines.append(f"{schedule.display_name}: {schedule.state.name.lower()}, {schedule.cron}")
        following = schedule.next_run_time
        if following and schedule.state.name == "ACTIVE":
            lines.append(f"  next run   {following:%Y-%m-%d %H:%M} UTC")
        runs = f"{schedule.started_run_count} started"
        if schedule.max_run_count:
            runs += f" of {schedule.max_run_count}"
        lines.append(f"  runs       {runs}")
        last = schedule.last_scheduled_run_response
        if last.scheduled_run_time:
            when = f"{last.scheduled_run_time:%Y-%m-%d %H:%M} UTC"
            lines.append(f"  last run   {when} {last.run_response}".rstrip())
        lines += [f"  name       {schedule.name}", f"  console    {console_address(schedule.name)}"]
    return lines


def _lives(schedule: Any) -> bool:
    return bool(schedule.state.name != "COMPLETED")
