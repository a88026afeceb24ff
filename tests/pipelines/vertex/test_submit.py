"""Submitting, waiting and cancelling: the real client against a local server of the real API."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from typing import Any

import pytest
import yaml
from google.protobuf import json_format

pytestmark = pytest.mark.timeout(120)
OUTPUT_ONLY = ("name", "state", "createTime", "updateTime", "jobDetail")
NAME = "projects/example/locations/us-central1/pipelineJobs/run-1"


@pytest.fixture
def submit(command, config_file, spec_file):
    """`platewise submit` of the toy pipeline as job run-1."""

    def run(*arguments: object) -> Any:
        return command(
            "submit", "--config", config_file, "--spec", spec_file, "--parameter", "threshold=0.5",
            "--job-id", "run-1", *arguments,
        )  # fmt: skip

    return run


def sent(server: Any) -> dict[str, Any]:
    request = server.sent("CreatePipelineJob")[-1]
    return json_format.MessageToDict(type(request).pb(request))


def test_what_a_dry_run_shows_is_what_is_sent(submit, vertex_server, toy_job):
    arguments = ("--parameter", "epochs=3", "--no-cache")
    dry = submit("--dry-run", "--json", *arguments)
    assert (dry.code, dry.err) == (0, "")
    assert vertex_server.requests == []
    done = submit(*arguments)
    assert done.code == 0
    assert done.out.splitlines() == [
        NAME,
        "https://console.cloud.google.com/vertex-ai/locations/us-central1/pipelines/runs/run-1"
        "?project=example",
    ]
    assert f"platewise status {NAME} --wait" in done.err
    request = sent(vertex_server)
    body = request["pipelineJob"]
    for name in OUTPUT_ONLY:  # what the server adds to the message that it was sent
        body.pop(name, None)
    assert json.loads(dry.out) == request
    assert request["parent"] == "projects/example/locations/us-central1"
    assert request["pipelineJobId"] == "run-1"
    assert body["displayName"] == "toy"
    assert body["serviceAccount"] == "pipeline@example.iam.gserviceaccount.com"
    assert body["labels"] == {"team": "screening", "cost": "42"}
    assert body["runtimeConfig"]["gcsOutputDirectory"] == "gs://example/root"
    assert body["runtimeConfig"]["parameterValues"] == {"threshold": 0.5, "epochs": 3}
    tasks = body["pipelineSpec"]["root"]["dag"]["tasks"]
    assert not any(task["cachingOptions"]["enableCache"] for task in tasks.values())
    for task in tasks.values():
        task["cachingOptions"]["enableCache"] = True
    assert body["pipelineSpec"] == toy_job["pipelineSpec"]


def test_network_and_key_come_from_the_configuration(submit, vertex_server):
    key = "projects/example/locations/us-central1/keyRings/r/cryptoKeys/k"
    submit(
        "--vertex.network", "projects/1/global/networks/lab", "--vertex.encryption_key", key
    )  # fmt: skip
    body = sent(vertex_server)["pipelineJob"]
    assert body["network"] == "projects/1/global/networks/lab"
    assert body["encryptionSpec"] == {"kmsKeyName": key}


def test_every_job_gets_an_id_of_its_own(command, config_file, spec_file, vertex_server):
    for _ in range(2):
        given = ("--config", config_file, "--spec", spec_file, "--parameter", "threshold=1")
        assert command("submit", *given).code == 0
    ids = {request.pipeline_job_id for request in vertex_server.sent("CreatePipelineJob")}
    assert len(ids) == 2
    assert all(name.startswith("toy-2") for name in ids)


def test_wait_shows_the_steps_and_succeeds(submit, vertex_server):
    vertex_server.script("pipelineJobs", ["PENDING", "RUNNING", "RUNNING", "RUNNING", "SUCCEEDED"])
    done = submit("--wait", "--poll", "0.05")
    assert done.code == 0
    lines = [line.split() for line in done.err.splitlines()]
    steps = ["PlateExampleGen", "PlatePredictor", "PlateReport"]
    assert sorted(line[0] for line in lines if line[-1] == "started") == steps
    assert sorted(line[0] for line in lines if line[-1] == "done") == steps
    assert lines[-1][:2] == ["run-1:", "succeeded"]


def test_a_failing_job_fails_the_command_and_says_why(submit, vertex_server):
    why = "The replica workerpool0-0 exited with a non-zero status of 1."
    vertex_server.script("pipelineJobs", ["RUNNING", "RUNNING", ("FAILED", why)])
    done = submit("--wait", "--poll", "0.05")
    assert done.code == 1
    states = [line.split()[-1] for line in done.err.splitlines() if line.startswith("  Plate")]
    assert sorted(states) == ["FAILED", "done", "run", "started", "started"]
    assert f"    {why}" in done.err.splitlines()
    assert "run-1: FAILED after" in done.err


def test_a_job_stuck_in_the_queue_is_left_there_when_time_is_up(submit, vertex_server):
    vertex_server.script("pipelineJobs", ["QUEUED"])
    done = submit("--wait", "--poll", "0.1", "--timeout", "0.01")
    assert done.code == 1
    assert "queued, waiting for Vertex AI to start it" in done.err
    assert f"platewise status {NAME} --cancel" in done.err
    assert vertex_server.sent("CancelPipelineJob") == []


@pytest.mark.parametrize(("flags", "cancels"), [((), 0), (("--cancel-on-interrupt",), 1)])
def test_ctrl_c_leaves_the_job_running_unless_told_otherwise(submit, vertex_server, flags, cancels):
    vertex_server.script("pipelineJobs", ["RUNNING"])

    def interrupt() -> None:
        vertex_server.wait_for(lambda: vertex_server.sent("GetPipelineJob"))
        time.sleep(0.5)  # until it has been shown, and the next look is awaited
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    done = submit("--wait", "--poll", "20", *flags)
    thread.join()
    assert done.code == 130
    assert len(vertex_server.sent("CancelPipelineJob")) == cancels
    if cancels:
        assert "asked Vertex AI to cancel the job" in done.err
    else:
        assert "the job goes on" in done.err
        assert f"platewise status {NAME} --cancel" in done.err


def test_an_experiment_lists_the_run(submit, vertex_server):
    vertex_server.script("pipelineJobs", ["RUNNING"])
    done = submit("--vertex.experiment", "rxrx1")
    assert done.code == 0
    assert "warning" not in done.err
    added = vertex_server.sent("AddContextChildren")[-1]
    assert added.context.endswith("/metadataStores/default/contexts/rxrx1")
    assert [child.rpartition("/")[2] for child in added.child_contexts] == ["run-1"]
    assert vertex_server.sent("CreateTensorboard") == []


def test_a_run_counts_even_if_the_experiment_does_not(submit, vertex_server):
    vertex_server.fail_next(403, "Permission 'aiplatform.contexts.get' denied", rpc="GetContext")
    done = submit("--vertex.experiment", "rxrx1")
    assert done.code == 0
    assert "warning: cannot list the job under experiment rxrx1" in done.err
    assert done.out.startswith(NAME)


@pytest.mark.parametrize(
    ("status", "message", "said"),
    [
        (429, "Quota exceeded for quota metric 'Pipeline jobs'", "ask for more"),
        (401, "credential", "gcloud auth application-default"),
        (403, "Permission 'aiplatform.pipelineJobs.create' denied", "permission is missing"),
        (400, "Bucket example is not in region us-central1", "another region"),
    ],
)
def test_a_refusal_is_one_readable_message(submit, vertex_server, status, message, said):
    vertex_server.fail_next(status, message, rpc="CreatePipelineJob", times=20)
    done = submit("--wait")
    assert done.code == 1
    assert "cannot submit run-1" in done.err
    assert message in done.err
    assert said in done.err
    assert "Traceback" not in done.err
    assert done.out == ""


def test_a_connection_that_breaks_does_not_start_the_job_twice(submit, vertex_server, monkeypatch):
    answer = vertex_server.answer
    lost = []

    def lose_the_first_answer(method, path, headers, content):
        result = answer(method, path, headers, content)
        if method == "POST" and not lost:
            lost.append(path)
            return None  # the job is there, but the caller never hears of it
        return result

    monkeypatch.setattr(vertex_server, "answer", lose_the_first_answer)
    done = submit()
    assert (done.code, len(lost)) == (0, 1)
    assert done.out.startswith(NAME)
    assert len(vertex_server.sent("CreatePipelineJob")) == 2


def test_an_id_that_is_taken_is_refused(submit, vertex_server):
    assert submit().code == 0
    again = submit()
    assert again.code == 1
    assert "cannot submit run-1" in again.err


def test_waiting_outlives_an_outage(submit, vertex_server):
    vertex_server.script("pipelineJobs", ["RUNNING", "SUCCEEDED"])
    vertex_server.fail_next(503, "try later", rpc="GetPipelineJob", times=2)
    assert submit("--wait", "--poll", "0.05").code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--parameter", "epoch=3"), "unknown parameter epoch; did you mean epochs?"),
        (("--parameter", "epochs=many"), "epochs takes a whole number; got 'many'"),
        (("--parameter", "epochs"), "--parameter takes name=value; got 'epochs'"),
        (("--job-id", "Run 1"), "job id 'Run 1' is not one"),
        (("--vertex.project", ""), "vertex.project must be set"),
        (("--hours", "x=1"), "belong to --dry-run"),
        (("--dry-run", "--hours", "PlatePredicter=1"), "did you mean PlatePredictor?"),
        (("--dry-run", "--hours", "PlatePredictor=long"), "takes a number of hours"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_sent(submit, vertex_server, arguments, said):
    done = submit(*arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert vertex_server.requests == []


def test_a_parameter_without_default_must_be_given(command, config_file, spec_file):
    done = command("submit", "--config", config_file, "--spec", spec_file, "--dry-run")
    assert done.code == 2
    assert "needs a value for threshold: --parameter threshold=VALUE" in done.err


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("missing.json", None, "cannot read"),
        ("a.json", "{", "a.json"),
        ("b.json", "[1]", "no mapping"),
        ("c.json", '{"a": 1}', "not a compiled pipeline"),
        ("d.yaml", "a: [", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_pipeline(command, config_file, tmp_path, name, text, said):
    if text is not None:
        (tmp_path / name).write_text(text)
    done = command("submit", "--config", config_file, "--spec", tmp_path / name, "--dry-run")
    assert done.code == 2
    assert said in done.err


def test_an_unknown_field_is_not_sent(command, config_file, spec_file, toy_job):
    spec_file.write_text(
        json.dumps(toy_job | {"runtimeConfig": {"gcsOutput": "gs://example/root"}})
    )
    given = ("--spec", spec_file, "--parameter", "threshold=1", "--dry-run")
    done = command("submit", "--config", config_file, *given)
    assert done.code == 2
    assert "gcsOutput" in done.err


def test_a_specification_in_yaml_is_taken(command, config_file, toy_job, tmp_path):
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(toy_job["pipelineSpec"]))
    given = ("--spec", path, "--parameter", "threshold=1", "--dry-run", "--json")
    done = command("submit", "--config", config_file, *given)
    assert done.code == 0, done.err
    body = json.loads(done.out)["pipelineJob"]
    assert body["pipelineSpec"] == toy_job["pipelineSpec"]
    assert body["displayName"] == "toy"


def test_scoring_needs_a_model(command, config_file, spec_file, toy_job, vertex_server):
    parameters = toy_job["pipelineSpec"]["root"]["inputDefinitions"]["parameters"]
    parameters["model_uri"] = {"parameterType": "STRING", "defaultValue": "", "isOptional": True}
    spec_file.write_text(json.dumps(toy_job))
    given = ("--config", config_file, "--spec", spec_file, "--parameter", "threshold=1")
    done = command("submit", *given)
    assert done.code == 2
    assert "which model scores?" in done.err
    for how in (("--parameter", "model_uri=gs://example/3"), ("--model", "gs://example/3")):
        assert command("submit", *given, *how).code == 0
        values = sent(vertex_server)["pipelineJob"]["runtimeConfig"]["parameterValues"]
        assert values["model_uri"] == "gs://example/3"


def test_training_takes_no_model(submit):
    done = submit("--model", "gs://example/3", "--dry-run")
    assert done.code == 2
    assert "--model belongs to --kind scoring" in done.err
