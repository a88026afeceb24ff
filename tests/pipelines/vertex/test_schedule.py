"""Schedules: made, listed, paused, resumed and deleted against a local server of the real API."""

from __future__ import annotations

import json

import pytest
from google.protobuf import json_format

from pipelines.vertex.schedule import check_cron
from trainer.strict import ConfigError

CRON = "TZ=Etc/UTC 0 3 * * 1"


@pytest.fixture
def create(command, config_file, spec_file):
    """`platewise schedule create` of the toy pipeline."""

    def run(*arguments: object):
        given = ("--config", config_file, "--spec", spec_file, "--parameter", "threshold=1")
        return command("schedule", "create", *given, *arguments)

    return run


def test_create(create, vertex_server, toy_job):
    done = create("--cron", CRON, "--name", "weekly", "--most-runs", "5")
    assert done.code == 0, done.err
    name, address = done.out.splitlines()
    assert "/schedules/" in name
    assert "/pipelines/schedules/" in address
    request = vertex_server.sent("CreateSchedule")[0]
    made = json_format.MessageToDict(type(request).pb(request))["schedule"]
    assert (made["displayName"], made["cron"], made["maxRunCount"]) == ("weekly", CRON, "5")
    assert made["maxConcurrentRunCount"] == "1"
    run = made["createPipelineJobRequest"]
    assert "pipelineJobId" not in run  # each run gets an id of its own
    assert run["parent"] == "projects/example/locations/us-central1"
    assert run["pipelineJob"]["serviceAccount"] == "pipeline@example.iam.gserviceaccount.com"
    assert run["pipelineJob"]["pipelineSpec"] == toy_job["pipelineSpec"]
    assert run["pipelineJob"]["runtimeConfig"]["parameterValues"] == {"threshold": 1.0}


def test_the_crons_default_is_the_configurations(create, vertex_server):
    assert create().code == 2
    assert create("--vertex.cron", CRON).code == 0
    assert vertex_server.sent("CreateSchedule")[0].schedule.cron == CRON


def test_a_second_of_that_name_is_refused(create, vertex_server):
    assert create("--cron", CRON).code == 0
    again = create("--cron", "0 4 * * *")
    assert again.code == 1
    assert "platewise schedule delete projects/" in again.err
    assert create("--cron", "0 4 * * *", "--name", "another").code == 0


def test_a_dry_run_sends_nothing(create, vertex_server):
    done = create("--cron", CRON, "--dry-run")
    assert done.code == 0
    assert json.loads(done.out)["schedule"]["cron"] == CRON
    assert vertex_server.requests == []


def test_its_life(create, command, config_file, vertex_server):
    name = create("--cron", CRON, "--name", "weekly").out.splitlines()[0]
    ours = ("--config", config_file)
    listed = command("schedule", "list", *ours)
    assert listed.code == 0
    assert listed.out.splitlines()[0] == f"weekly: active, {CRON}"
    assert "  next run   2" in listed.out
    assert f"  name       {name}" in listed.out
    paused = command("schedule", "pause", name.rpartition("/")[2], *ours)
    assert (paused.code, paused.out.split()[0]) == (0, "paused")
    assert "weekly: paused" in command("schedule", "list", *ours).out
    assert command("schedule", "resume", name).code == 0
    shown = json.loads(command("schedule", "list", "--json", *ours).out)
    assert [(s["displayName"], s["state"]) for s in shown] == [("weekly", "ACTIVE")]
    assert command("schedule", "delete", name).code == 0
    assert command("schedule", "list", *ours).out == "no schedules in example, us-central1\n"
    gone = command("schedule", "delete", name)
    assert gone.code == 1
    assert "cannot delete the schedule" in gone.err


def test_a_refusal_is_one_readable_message(create, vertex_server):
    vertex_server.fail_next(
        403, "Permission 'aiplatform.schedules.create' denied", rpc="CreateSchedule"
    )
    done = create("--cron", CRON)
    assert done.code == 1
    assert "aiplatform.schedules.create" in done.err
    assert "permission is missing" in done.err


@pytest.mark.parametrize(
    "cron",
    [
        "0 3 * * 1",
        "TZ=Europe/Berlin 0 3 * * MON-FRI",
        "CRON_TZ=America/New_York */15 8-18 1,15 JAN-jun *",
        "0 0 1-31/2 * 7",
    ],
)
def test_a_cron_expression(cron):
    assert check_cron(f" {cron} ") == cron


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("", "when\\?"),
        ("0 3 * *", "it has 4"),
        ("60 3 * * *", "'60' is no minute"),
        ("0 3 * * FOO", "is no weekday"),
        ("0 3 0 * *", "is no day"),
        ("0 9-3 * * *", "is no hour"),
        ("0 3 * * */0", "is no weekday"),
        ("TZ=Mars/Base 0 3 * * *", "no time zone"),
        ("@daily", "it has 1"),
    ],
)
def test_what_is_no_cron_expression(cron, said):
    with pytest.raises(ConfigError, match=said):
        check_cron(cron)
