"""How a job stands: shown, followed, cancelled; and how it may be named."""

from __future__ import annotations

import json

import pytest

from pipelines.vertex.service import parse_name
from trainer.strict import ConfigError

ID = "toy-20260101000000-abcd"
NAME = f"projects/example/locations/us-central1/pipelineJobs/{ID}"
CONSOLE = (
    "https://console.cloud.google.com/vertex-ai/locations/us-central1/pipelines/runs/"
    f"{ID}?project=example"
)


@pytest.fixture
def submitted(command, config_file, spec_file, vertex_server):
    """The toy pipeline as a job; gives a function that scripts its states."""

    def start(*states: object) -> None:
        vertex_server.script("pipelineJobs", list(states))
        given = ("--config", config_file, "--spec", spec_file, "--parameter", "threshold=1")
        assert command("submit", *given, "--job-id", ID).code == 0

    return start


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (ID, ("--vertex.project", "example")),
        (NAME, ()),
        (CONSOLE, ()),
        (CONSOLE.partition("?")[0], ("--vertex.project", "example")),
    ],
)
def test_a_job_is_found_by_id_name_and_address(command, submitted, text, options):
    submitted("RUNNING")
    done = command("status", text, *options)
    assert done.code == 0
    first, second, *steps = done.out.splitlines()
    assert first.startswith(f"{ID}: running for ")
    assert "/us-central1/pipelines/runs/" in second
    assert sorted(line.split()[-1] for line in steps if line) == ["running", "waiting", "waiting"]


def test_an_id_alone_needs_a_project(command):
    done = command("status", ID)
    assert done.code == 2
    assert "--vertex.project PROJECT" in done.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("two words", "neither an id nor a resource name"),
        ("projects/p/locations/r/schedules/1", "names one of schedules"),
        ("https://example.com/pipelines/runs/x", "neither an id"),
    ],
)
def test_what_is_no_job(text, said):
    with pytest.raises(ConfigError, match=said):
        parse_name(text, "p", "r")


@pytest.mark.parametrize(
    "page",
    [
        "vertex-ai/pipelines/locations/europe-west4/runs/abc-1?authuser=1&project=lab",
        "agent-platform/locations/europe-west4/pipelines/runs/abc-1?project=lab#top",
    ],
)
def test_other_forms_of_the_consoles_address(page):
    name = parse_name(f"https://console.cloud.google.com/{page}", "", "")
    assert str(name) == "projects/lab/locations/europe-west4/pipelineJobs/abc-1"


def test_for_machines(command, submitted):
    submitted(("FAILED", "out of memory"))
    done = command("status", NAME, "--json")
    assert done.code == 1
    found = json.loads(done.out)
    assert (found["state"], found["ended"], found["error"]) == ("FAILED", True, "out of memory")
    assert found["steps"][0]["name"] == "PlateExampleGen"


def test_following_to_the_end(command, submitted):
    submitted("PENDING", "RUNNING", "SUCCEEDED")
    done = command("status", NAME, "--wait", "--poll", "0.05")
    assert done.code == 0
    assert f"{ID}: succeeded" in done.err


def test_cancelling(command, submitted, vertex_server):
    submitted("RUNNING")
    done = command("status", NAME, "--cancel")
    assert done.code == 0
    assert "asked Vertex AI to cancel" in done.err
    assert len(vertex_server.sent("CancelPipelineJob")) == 1
    assert command("status", NAME).code == 1
    again = command("status", NAME, "--cancel")
    assert again.code == 1
    assert "cannot cancel" in again.err


def test_cancelling_and_waiting_for_it(command, submitted):
    submitted("RUNNING")
    done = command("status", NAME, "--cancel", "--wait", "--poll", "0.05", "--json")
    assert done.code == 0
    assert f"{ID}: cancelled" in done.err
    assert json.loads(done.out)["state"] == "CANCELLED"


def test_a_job_that_is_not_there(command, vertex_server):
    done = command("status", NAME)
    assert done.code == 1
    assert f"cannot look at {ID}" in done.err
    assert "Traceback" not in done.err
