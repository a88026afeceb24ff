"""Executor of FinalStatus: one file a run, and a log entry where it failed."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio

SUCCEEDED = "SUCCEEDED"


class FinalStatusExecutor(base_executor.BaseExecutor):
    """Runs after every other task, whatever became of it."""

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Record the end."""
        record(exec_properties["final_status"], exec_properties["folder"])


def record(final_status: str | Mapping[str, Any], folder: str) -> str:
    """Write ``JOB.json`` into a folder; a failure also goes to standard error as one JSON line.

    Cloud Logging takes such a line for an entry of severity ERROR, on which an alert can be set.

    Parameters
    ----------
    final_status
        ``PipelineTaskFinalStatus``, as JSON or as a mapping: Vertex AI gives text to a step whose
        parameter is text, as TFX compiles it, and a mapping to KFP's own components.
    folder
        Local or ``gs://``.

    Returns
    -------
    The file's path.
    """
    status = json.loads(final_status) if isinstance(final_status, str) else dict(final_status)
    job = str(status.get("pipelineJobResourceName") or status.get("pipelineJobName") or "unknown")
    state = str(status.get("state", "UNKNOWN"))
    error: dict[str, Any] = status.get("error") or {}
    entry = {"job": job, "state": state, "error": error}
    fileio.makedirs(folder)
    path = f"{folder.rstrip('/')}/{job.rpartition('/')[2]}.json"
    with fileio.open(path, "w") as stream:
        stream.write(json.dumps(entry, indent=1, sort_keys=True) + "\n")
    if state != SUCCEEDED:
        message = error.get("message", "no message")
        line = {"severity": "ERROR", "message": f"pipeline {job} ended {state}: {message}", **entry}
        print(json.dumps(line), file=sys.stderr, flush=True)  # noqa: T201 - a log entry
    return path
