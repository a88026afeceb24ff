"""The one request that starts a run: built once, shown by a dry run, and sent as it was shown."""

from __future__ import annotations

import copy
import re
import secrets
import time
from collections.abc import Mapping
from typing import Any

from pipelines.vertex.config import VertexConfig
from pipelines.vertex.steps import pipeline_spec
from trainer.strict import ConfigError

_JOB_ID = re.compile(r"[a-z][-a-z0-9]{0,127}")
CONSOLE = "https://console.cloud.google.com/vertex-ai"


def new_job_id(name: str) -> str:
    """A job id out of a pipeline's name and the time, UTC; two in one second differ too."""
    stem = re.sub(r"[^-0-9a-z]+", "-", name.lower()).strip("-") or "pipeline"
    stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime())
    return f"{stem[:90]}-{stamp}-{secrets.token_hex(2)}"


def build_request(
    job: Mapping[str, Any],
    config: VertexConfig,
    values: Mapping[str, Any] | None = None,
    job_id: str = "",
    cache: bool | None = None,
) -> Any:
    """The request as the API's own message. No network is touched.

    Parameters
    ----------
    job
        A compiled pipeline: a whole ``PipelineJob`` or its specification alone.
    config
        Where and as whom.
    values
        Runtime parameters that differ from their defaults.
    job_id
        Id of the job; empty: a new one.
    cache
        Whether steps may be served from the cache; None: as compiled.

    Returns
    -------
    google.cloud.aiplatform_v1.types.CreatePipelineJobRequest

    Raises
    ------
    ConfigError
        No project or bucket, or an id that Vertex AI does not take.
    PlatewiseError
        ``job`` is no compiled pipeline.
    """
    from google.cloud.aiplatform_v1 import types

    config.require("project", "region")
    spec = copy.deepcopy(dict(pipeline_spec(job)))
    name = spec["pipelineInfo"]["name"]
    job_id = job_id or new_job_id(name)
    if not _JOB_ID.fullmatch(job_id):
        raise ConfigError(
            f"job id {job_id!r} is not one: a lower-case letter, then up to 127 lower-case "
            "letters, digits and -"
        )
    if cache is not None:
        _set_caching(spec, cache)
    message: dict[str, Any] = {
        "displayName": job.get("displayName") or name,
        "pipelineSpec": spec,
        "runtimeConfig": _runtime(job, config, values),
        "labels": {**job.get("labels", {}), **config.labels},
    }
    if config.service_account:
        message["serviceAccount"] = config.service_account
    if config.network:
        message["network"] = config.network
    if config.encryption_key:
        message["encryptionSpec"] = {"kmsKeyName": config.encryption_key}
    return types.CreatePipelineJobRequest(
        parent=f"projects/{config.project}/locations/{config.region}",
        pipeline_job=parse_job(message),
        pipeline_job_id=job_id,
    )


def parse_job(message: Mapping[str, Any]) -> Any:
    """JSON of a ``PipelineJob`` as the API's message, strictly: an unknown field is an error."""
    from google.cloud.aiplatform_v1 import types
    from google.protobuf import json_format

    try:
        parsed = types.PipelineJob()
        json_format.ParseDict(dict(message), types.PipelineJob.pb(parsed))
        return parsed
    except json_format.ParseError as error:
        raise ConfigError(f"not a pipeline job that Vertex AI can read: {error}") from None


def to_json(request: Any) -> dict[str, Any]:
    """A message of the API as JSON, with the field names of its REST interface."""
    from google.protobuf import json_format

    plain = type(request).pb(request) if hasattr(type(request), "pb") else request
    result: dict[str, Any] = json_format.MessageToDict(plain)
    return result


def console_address(resource_name: str) -> str:
    """Address of a job's or schedule's page in the console."""
    parts = resource_name.split("/")
    project, region, kind, name = parts[1], parts[3], parts[4], parts[5]
    page = "pipelines/runs" if kind == "pipelineJobs" else "pipelines/schedules"
    return f"{CONSOLE}/locations/{region}/{page}/{name}?project={project}"


def _runtime(
    job: Mapping[str, Any], config: VertexConfig, values: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The compiled job's settings for its run, with the folder and the values of this one."""
    runtime = copy.deepcopy(dict(job.get("runtimeConfig", {})))
    root = config.pipeline_root or runtime.get("gcsOutputDirectory", "")
    if not root:
        config.require("pipeline_root")
    runtime["gcsOutputDirectory"] = root
    if values:
        runtime["parameterValues"] = {**runtime.get("parameterValues", {}), **values}
    return runtime


def _set_caching(spec: dict[str, Any], cache: bool) -> None:
    dags = [spec["root"].get("dag", {})]
    dags += [c["dag"] for c in spec.get("components", {}).values() if "dag" in c]
    for dag in dags:
        for task in dag.get("tasks", {}).values():
            task["cachingOptions"] = {"enableCache": cache}
