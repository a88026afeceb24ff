"""Batch prediction with a registered version: Examples in, JSON lines out, no pipeline.

It serves those who want the network's outputs for sites that they have as Examples. It knows no
plates: BatchNorm's statistics are those of training, where the scoring pipeline takes each
plate's own and is the more accurate.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from components.registry.config import RegistryConfig
from components.registry.versions import Version, find_version
from components.vertex_api import VertexError, connect, readable_errors

#: Sites handed to the model at once: 400 kB each, and the container holds them as base64.
_SITES_AT_ONCE = 8


def start_batch_prediction(
    project: str,
    region: str,
    config: RegistryConfig,
    source: str,
    destination: str,
    version: str = "",
    machine: str = "n1-standard-8",
    max_replicas: int = 10,
    service_account: str = "",
    encryption_key: str = "",
    labels: Mapping[str, str] | None = None,
) -> Any:
    """Start a batch prediction job; returns the library's ``BatchPredictionJob``, not waited for.

    Parameters
    ----------
    source
        Shards of Examples, ``gs://``, with ``*`` where there are many:
        ``gs://bucket/.../examples/Split-score/*``.
    destination
        Folder of the results, ``gs://``.
    version
        Number or alias; empty: the default version.

    Raises
    ------
    VertexError
        A path that is not in a bucket, no such version, or what the service refused.
    """
    for name, path in (("source", source), ("destination", destination)):
        if not path.startswith("gs://"):
            raise VertexError(f"batch prediction needs gs:// paths; {name} is {path!r}")
    library = connect(project, region)
    found: Version = find_version(library, config, version)
    with readable_errors(f"start batch prediction with {found.resource_name}"):
        return library.BatchPredictionJob.submit(
            job_display_name=f"{config.model_id}-{time.strftime('%Y%m%d-%H%M%S')}",
            model_name=found.resource_name,
            gcs_source=source,
            instances_format="tf-record",
            gcs_destination_prefix=destination,
            predictions_format="jsonl",
            machine_type=machine,
            starting_replica_count=1,
            max_replica_count=max_replicas,
            batch_size=_SITES_AT_ONCE,
            service_account=service_account or None,
            encryption_spec_key_name=encryption_key or None,
            labels=dict(labels or {}),
        )
