"""What is shown of a job: from the API's own messages to lines on a terminal."""

from __future__ import annotations

import datetime
import io

import pytest
from google.cloud.aiplatform_v1 import types

from pipelines.vertex.request import parse_job
from pipelines.vertex.status import describe
from pipelines.vertex.watch import Display, follow, read_tasks

NOW = datetime.datetime(2026, 1, 1, 12, 0, tzinfo=datetime.UTC)


def minutes(n: float) -> datetime.datetime:
    return NOW + datetime.timedelta(minutes=n)


@pytest.fixture
def make_job(toy_job):
    """A job with the given tasks: name, state, start and end in minutes, error."""

    def make(*tasks, state="RUNNING", error=""):
        job = parse_job({"displayName": "toy", "pipelineSpec": toy_job["pipelineSpec"]})
        job.name = "projects/example/locations/us-central1/pipelineJobs/run-1"
        job.state = f"PIPELINE_STATE_{state}"
        job.create_time = NOW
        job.start_time = NOW
        job.error.message = error
        for number, (name, task_state, start, end, *message) in enumerate(tasks, 1):
            detail = types.PipelineTaskDetail(task_id=number, task_name=name, state=task_state)
            if start is not None:
                detail.start_time = minutes(start)
            if end is not None:
                detail.end_time = minutes(end)
            detail.error.message = message[0] if message else ""
            job.job_detail.task_details.append(detail)
        return job

    return make


def test_states_and_durations(make_job):
    job = make_job(
        ("toy", "RUNNING", 0, None),  # the pipeline itself, which Vertex AI lists as a task
        ("PlateReport", "PENDING", None, None),
        ("PlateExampleGen", "SKIPPED", 0, 0),
        ("PlatePredictor", "RUNNING", 1, None),
    )
    tasks = read_tasks(job, minutes(63.5))
    assert [(task.name, task.state, task.seconds) for task in tasks] == [
        ("PlateExampleGen", "cached", None),
        ("PlatePredictor", "running", 62.5 * 60),
        ("PlateReport", "waiting", None),
    ]


def test_a_failure_outside_the_steps_is_shown(make_job):
    job = make_job(("exit-handler", "FAILED", 0, 1, "no\npermission"), state="FAILED")
    last = read_tasks(job)[-1]
    assert (last.name, last.state, last.error) == ("exit-handler", "failed", "no permission")


def test_the_whole_of_a_job_as_text(make_job):
    job = make_job(
        ("PlateExampleGen", "SUCCEEDED", 0, 12.05),
        ("PlatePredictor", "FAILED", 12.05, 13, "exit code 1"),
        state="FAILED",
        error="Task PlatePredictor failed.",
    )
    job.end_time = minutes(13)
    assert "\n".join(describe(job, minutes(20))) == (
        "run-1: FAILED after 13:00\n"
        "https://console.cloud.google.com/vertex-ai/locations/us-central1/pipelines/runs/run-1"
        "?project=example\n"
        "\n"
        "  PlateExampleGen    12:03  done\n"
        "  PlatePredictor    57.0 s  FAILED\n"
        "    exit code 1\n"
        "  PlateReport               not run\n"
        "\n"
        "Task PlatePredictor failed."
    )


class Clock:
    """Time that passes as it is slept."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def shown(states, redraw, monkeypatch, columns=80, **how):
    """What `follow` writes while looking at one state after the other."""
    monkeypatch.setenv("COLUMNS", str(columns))
    clock, stream, states = Clock(), io.StringIO(), iter(states)
    display = Display(stream, redraw, clock=clock)
    job = follow(lambda: next(states), display, 30.0, sleep=clock.sleep, clock=clock, **how)
    display.close()
    return job, stream.getvalue(), clock.now


def test_line_by_line(make_job, monkeypatch):
    first = make_job(("PlateExampleGen", "RUNNING", 0, None))
    second = make_job(
        ("PlateExampleGen", "SUCCEEDED", 0, 1),
        ("PlatePredictor", "RUNNING", 1, None),
        ("PlateReport", "RUNNING", 1, None),
    )
    last = make_job(
        ("PlateExampleGen", "SUCCEEDED", 0, 1),
        ("PlatePredictor", "SUCCEEDED", 1, 3),
        ("PlateReport", "SUCCEEDED", 1, 4),
        state="SUCCEEDED",
    )
    job, text, waited_s = shown([first, first, first, second, last], False, monkeypatch)
    assert job is last
    assert waited_s == 120.0
    lines = text.splitlines()
    assert lines[0].split() == ["PlateExampleGen", "started"]
    assert lines[1].startswith("  running: PlateExampleGen ")  # after a minute without news
    assert [line.split() for line in lines[2:]] == [
        ["PlateExampleGen", "1:00", "done"],
        ["PlatePredictor", "started"],
        ["PlateReport", "started"],
        ["PlatePredictor", "2:00", "done"],
        ["PlateReport", "3:00", "done"],
    ]


def test_redrawn_in_place(make_job, monkeypatch):
    running = make_job(
        ("PlateExampleGen", "SKIPPED", None, None),
        ("PlatePredictor", "RUNNING", 0, None),
        ("PlateReport", "RUNNING", 0, None),
    )
    done = make_job(
        *((name, "SUCCEEDED", 0, 1) for name in ("PlatePredictor", "PlateReport")),
        state="SUCCEEDED",
    )
    _, text, _ = shown([running, running, done], True, monkeypatch, columns=40)
    pieces = text.split("\r\x1b[2K")
    live = [line for piece in pieces if (line := piece.rpartition("\n")[2])]
    assert len(live) > 100  # twice a second for a minute
    assert max(len(piece) for piece in live) < 40
    assert live[0].startswith("  running: PlatePredictor ")
    lasting = [line for piece in pieces for line in piece.split("\n")[:-1]]
    assert lasting[0].split() == ["PlateExampleGen", "from", "the", "cache"]
    assert [line.split()[0] for line in lasting[1:]] == ["PlatePredictor", "PlateReport"]
    assert text.endswith("\n")


def test_a_queue_says_so_at_once_and_time_runs_out(make_job, monkeypatch):
    queued = make_job(state="QUEUED")
    job, text, waited_s = shown([queued] * 9, False, monkeypatch, timeout_s=100.0)
    assert job is queued
    assert waited_s == pytest.approx(100.0)
    assert text.splitlines() == [
        "  queued, waiting for Vertex AI to start it",
        "  queued, waiting for Vertex AI to start it: 1:00",
    ]
