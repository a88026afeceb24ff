"""What remains of a managed pipeline that ended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from components.final_status.executor import FinalStatusExecutor


def status(state: str, **error) -> str:
    """As Vertex AI gives it: the JSON of KFP's own message."""
    message = pipeline_spec_pb2.PipelineTaskFinalStatus(
        state=state, pipeline_job_resource_name="projects/1/locations/r/pipelineJobs/job-7"
    )
    if error:
        json_format.ParseDict({"error": error}, message)
    return json_format.MessageToJson(message)


@pytest.mark.parametrize(
    ("state", "error", "line"),
    [
        ("SUCCEEDED", {}, ""),
        ("FAILED", {"code": 9, "message": "PlateTrainingJob failed"}, "PlateTrainingJob failed"),
        ("CANCELLED", {}, "no message"),
    ],
)
def test_the_end_is_recorded_and_a_failure_is_logged(tmp_path, capfd, state, error, line):
    properties = {"final_status": status(state, **error), "folder": f"{tmp_path}/ends"}
    FinalStatusExecutor().Do({}, {}, properties)
    written = json.loads(Path(tmp_path, "ends", "job-7.json").read_text())
    assert (written["state"], written["error"]) == (state, error)
    logged = capfd.readouterr().err
    assert bool(line) == ('"severity": "ERROR"' in logged) and line in logged
