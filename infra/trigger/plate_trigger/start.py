"""Starts the scoring pipeline for one plate, once.

The pipeline job's id is derived from the plate alone. Vertex AI refuses a second job of the same
id, whoever asks and however often: that is the guard. The marker only saves looking.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from typing import Any

from plate_trigger.completeness import Plate
from plate_trigger.settings import Settings

#: Address of another server that speaks Vertex AI's REST API, called without credentials.
ENDPOINT_VARIABLE = "PLATEWISE_VERTEX_ENDPOINT"
_TIMEOUT_S = 60.0


def job_id(plate: Plate) -> str:
    """Id of the plate's one job: readable, and distinct for every folder.

    Vertex AI takes up to 128 lower-case letters, digits and hyphens, a letter first.
    """
    readable = re.sub(r"[^a-z0-9]+", "-", f"{plate.screen}-{plate.name}".lower()).strip("-")
    digest = hashlib.sha256(plate.uri.encode()).hexdigest()[:12]
    return f"platewise-score-{readable[:80].strip('-')}-{digest}".replace("--", "-")


def start(plate: Plate, settings: Settings) -> bool:
    """Create the plate's job; False where there was one already.

    Raises
    ------
    google.api_core.exceptions.GoogleAPICallError
        What Vertex AI refused, or that it did not answer: the event is then delivered again.
    """
    from google.api_core import exceptions, retry
    from google.cloud import aiplatform_v1

    job = aiplatform_v1.PipelineJob(
        display_name=f"platewise scoring {plate.screen} {plate.name}"[:128],
        # Without a specification, Vertex AI reads it from the registry.
        template_uri=settings.template,
        service_account=settings.service_account,
        labels={**settings.labels, "screen": _label(plate.screen), "plate": _label(plate.name)},
        network=settings.network,
        runtime_config=aiplatform_v1.PipelineJob.RuntimeConfig(
            gcs_output_directory=settings.pipeline_root,
            parameter_values={**settings.parameters, "screen_root": plate.uri},
        ),
    )
    if settings.encryption_key:
        job.encryption_spec = aiplatform_v1.EncryptionSpec(kms_key_name=settings.encryption_key)
    try:
        _client(settings.region).create_pipeline_job(
            parent=f"projects/{settings.project}/locations/{settings.region}",
            pipeline_job=job,
            pipeline_job_id=job_id(plate),
            # Safe to repeat: the id is the same each time.
            retry=retry.Retry(initial=1.0, maximum=10.0, timeout=_TIMEOUT_S),
            timeout=_TIMEOUT_S,
        )
    except exceptions.AlreadyExists:
        return False
    except exceptions.Conflict as error:  # what the REST transport makes of the same answer
        if "exist" not in str(error).lower():
            raise
        return False
    return True


def marker_name(plate: Plate, settings: Settings) -> tuple[str, str]:
    """Bucket and object of the plate's marker."""
    bucket, _, folder = settings.markers.removeprefix("gs://").partition("/")
    prefix = f"{folder.rstrip('/')}/" if folder else ""
    return bucket, f"{prefix}{plate.screen}/{plate.name}.json"


def mark(client: Any, plate: Plate, settings: Settings, n_files: int) -> None:
    """Remember that the plate was started, unless another did so first."""
    from google.api_core import exceptions

    bucket, name = marker_name(plate, settings)
    entry = {"job": job_id(plate), "plate": plate.uri, "files": n_files}
    try:
        client.bucket(bucket).blob(name).upload_from_string(
            json.dumps(entry, indent=1) + "\n",
            content_type="application/json",
            if_generation_match=0,
        )
    except exceptions.PreconditionFailed:
        return


def _label(text: str) -> str:
    return re.sub(r"[^a-z0-9_-]", "-", text.lower())[:63]


def _client(region: str) -> Any:
    from google.cloud import aiplatform_v1

    endpoint = os.environ.get(ENDPOINT_VARIABLE)
    if endpoint:
        from google.auth.credentials import AnonymousCredentials

        return aiplatform_v1.PipelineServiceClient(
            transport="rest",
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": endpoint},
        )
    return aiplatform_v1.PipelineServiceClient(
        client_options={"api_endpoint": f"{region}-aiplatform.googleapis.com"}
    )
