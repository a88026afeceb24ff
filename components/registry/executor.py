"""Executor of PlateVertexPusher: everything is as for PlatePusher, up to the last call."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from typing import Any

from tfx import types
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.evaluator.results import read_evaluation
from components.pusher.executor import PlatePusherExecutor, content_digest, push_once
from components.registry.config import RegistryConfig
from components.registry.endpoint import deploy
from components.registry.evaluation import attach
from components.registry.versions import Entry, ensure_version
from components.vertex_api import ENDPOINT_VARIABLE, VertexError, connect
from trainer.strict import build

logger = logging.getLogger(__name__)

#: Custom property of the artifact: ``projects/P/locations/R/models/ID@VERSION``.
REGISTERED = "registered_model"


class PlateVertexPusherExecutor(PlatePusherExecutor):
    """Pushes what was blessed, and registers it."""

    def _hand_over(
        self,
        model: str,
        parts: Mapping[str, str],
        input_dict: dict[str, list[types.Artifact]],
        pushed: types.Artifact,
        exec_properties: dict[str, Any],
    ) -> str:
        config = build(RegistryConfig, json.loads(exec_properties["registry"]), "vertex.registry.")
        _require_bucket(exec_properties["folder"], config)
        evaluation = read_evaluation(artifact_utils.get_single_uri(input_dict["evaluation"]))
        digest = content_digest(model, parts)
        destination = push_once(model, exec_properties["folder"], digest, parts)
        if not config.upload:
            return destination
        library = connect(exec_properties["project"], exec_properties["region"])
        entry = Entry(
            artifact_uri=destination,
            digest=digest,
            labels=json.loads(exec_properties["labels"]) | dict(config.labels),
            pipeline_job=_job_name(exec_properties["pipeline_job"]),
            encryption_key=exec_properties["encryption_key"],
        )
        version = ensure_version(library, config, entry, evaluation)
        attach(library, version, evaluation, entry.pipeline_job)
        if config.endpoint:
            deploy(library, version, config, exec_properties["service_account"])
        pushed.set_string_custom_property(REGISTERED, version.resource_name)
        io_utils.write_string_file(
            os.path.join(pushed.uri, "registered_model.txt"), version.resource_name + "\n"
        )
        return destination


def _require_bucket(folder: str, config: RegistryConfig) -> None:
    """The registry copies from buckets alone; a server for tests takes local paths."""
    if config.upload and "://" not in folder and not os.environ.get(ENDPOINT_VARIABLE):
        raise VertexError(
            f"the Model Registry takes models from a bucket, not from {folder}: set push.folder "
            "to gs://..., or vertex.registry.upload = false"
        )


def _job_name(text: str) -> str:
    """The job's resource name; empty where the placeholder was not filled in."""
    if "/pipelineJobs/" in text and "{{" not in text:
        return text
    if text:
        logger.warning("%r names no pipeline job: the model version will not link to one", text)
    return ""
