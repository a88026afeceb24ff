"""Versions of one model in the registry: the same content is there once."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.evaluator.results import Evaluation
from components.registry.config import RegistryConfig
from components.vertex_api import VertexError, attempt

logger = logging.getLogger(__name__)

#: Label that holds the digest of a version's files: by it a retried step finds its version.
CONTENT_LABEL = "platewise_content"
JOB_LABEL = "pipeline_job"
#: The version that is meant where none is named.
DEFAULT_ALIAS = "default"

#: The registry copies the files, a few hundred MB.
_UPLOAD_TIMEOUT_S = 1800.0


@dataclass(frozen=True)
class Entry:
    """What a version is made of."""

    #: Folder of the SavedModel, in a bucket.
    artifact_uri: str
    #: Digest of its files.
    digest: str
    labels: Mapping[str, str]
    #: Resource name; empty where no pipeline job pushed it.
    pipeline_job: str = ""
    encryption_key: str = ""


@dataclass(frozen=True)
class Version:
    """A version in the registry."""

    #: ``projects/P/locations/R/models/ID``.
    model: str
    number: str

    @property
    def resource_name(self) -> str:
        """``projects/P/locations/R/models/ID@NUMBER``."""
        return f"{self.model}@{self.number}"


def ensure_version(
    library: Any, config: RegistryConfig, entry: Entry, evaluation: Evaluation
) -> Version:
    """The version with the entry's content; uploads it where it is not there.

    Parameters
    ----------
    library
        From :func:`components.vertex_api.connect`.

    Raises
    ------
    VertexError
        What the registry refused.
    """
    client = model_client(library)
    settings = library.initializer.global_config
    location = f"projects/{settings.project}/locations/{settings.location}"
    name = f"{location}/models/{config.model_id}"
    wanted = [*config.aliases, *([DEFAULT_ALIAS] if config.make_default else [])]

    def find_or_upload() -> Any:
        versions = list_versions(library, name)
        for version in versions or ():
            if version.labels.get(CONTENT_LABEL) == entry.digest:
                logger.info("these files are version %s of %s", version.version_id, name)
                return version
        request = {
            "parent": location,
            "model": _message(config, entry, evaluation, wanted),
            # The first upload makes the model, every later one a version of it.
            **({"model_id": config.model_id} if versions is None else {"parent_model": name}),
        }
        response = client.upload_model(request).result(timeout=_UPLOAD_TIMEOUT_S)
        logger.info("uploaded version %s of %s", response.model_version_id, response.model)
        return client.get_model(name=f"{response.model}@{response.model_version_id}")

    # Trying again does no harm: it looks first.
    model = attempt(f"upload {entry.artifact_uri} to the Model Registry", find_or_upload)
    version = Version(model.name, model.version_id)
    missing = sorted(set(wanted) - set(model.version_aliases))
    if missing:
        attempt(
            f"give {version.resource_name} the aliases {', '.join(missing)}",
            lambda: client.merge_version_aliases(
                name=version.resource_name, version_aliases=missing
            ),
        )
    return version


def list_versions(library: Any, model: str) -> list[Any] | None:
    """All versions of a model, as the API's messages; None where there is no such model."""
    from google.api_core.exceptions import NotFound

    try:
        return list(model_client(library).list_model_versions(name=model))
    except NotFound:
        return None


def find_version(library: Any, config: RegistryConfig, version: str = "") -> Version:
    """A version by number or alias; the default one where neither is given.

    Raises
    ------
    VertexError
        There is none.
    """
    settings = library.initializer.global_config
    name = f"projects/{settings.project}/locations/{settings.location}/models/{config.model_id}"
    wanted = f"{name}@{version}" if version else name
    model = attempt(
        f"find the model {wanted}", lambda: model_client(library).get_model(name=wanted)
    )
    if not model.version_id:
        raise VertexError(f"{wanted} has no version; run the training pipeline first")
    return Version(model.name, model.version_id)


def model_client(library: Any) -> Any:
    """Client of the registry; the library's own classes cannot set a version's pipeline job."""
    return library.initializer.global_config.create_client(library.Model.client_class)


def _message(
    config: RegistryConfig, entry: Entry, evaluation: Evaluation, aliases: list[str]
) -> dict[str, Any]:
    job_id = entry.pipeline_job.rpartition("/")[2]
    labels = {**entry.labels, CONTENT_LABEL: entry.digest}
    if job_id:
        labels[JOB_LABEL] = re.sub(r"[^a-z0-9_-]", "-", job_id.lower())[:63]
    message: dict[str, Any] = {
        "display_name": config.model_id,
        "version_description": _description(evaluation),
        "version_aliases": aliases,
        "artifact_uri": entry.artifact_uri,
        "container_spec": {"image_uri": config.serving_image},
        "labels": labels,
    }
    if entry.pipeline_job:
        message["pipeline_job"] = entry.pipeline_job
    if entry.encryption_key:
        message["encryption_spec"] = {"kms_key_name": entry.encryption_key}
    return message


def _description(evaluation: Evaluation) -> str:
    """The gates, in words: what a reader of the registry's list asks first."""
    gates = "; ".join(
        f"{gate.metric} of {gate.slice}: {gate.value:.4g} ({gate.threshold})"
        for gate in evaluation.gates
        if gate.value is not None
    )
    return f"{evaluation.n_classes} classes. {gates}"[:500]
