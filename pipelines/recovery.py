"""Before a run: put the records of the last one right.

A killed run leaves executions RUNNING for ever and half-written folders beside the finished
ones; files may have been removed or changed since. Both are mended here, in ML Metadata and on
disk, before TFX decides what to serve from its cache.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.seals import damage

logger = logging.getLogger(__name__)

#: Custom property in which TFX's Pusher notes the folder that it wrote outside its artifact.
PUSHED_DESTINATION = "pushed_destination"

_IMPORTER = "tfx.dsl.components.common.importer.Importer"


@dataclass(frozen=True)
class Distrusted:
    """An artifact that is no longer served from the cache, and why."""

    uri: str
    reason: str


def cancel_dead_executions(store: Any, artifacts_dir: Path) -> int:
    """Mark unfinished executions as cancelled and remove what they left on disk.

    Only for the holder of the run folder's lock: then an unfinished execution is a dead one.
    """
    from ml_metadata import proto

    state = proto.Execution
    dead = [e for e in store.get_executions() if e.last_known_state in (state.NEW, state.RUNNING)]
    for execution in dead:
        execution.last_known_state = state.CANCELED
        for folder in _folders_of(artifacts_dir, execution.id):
            logger.info("removing %s, left by a run that was stopped", folder)
            shutil.rmtree(folder, ignore_errors=True)
    if dead:
        store.put_executions(dead)
    return len(dead)


def _folders_of(artifacts_dir: Path, execution_id: int) -> Iterator[Path]:
    """TFX's layout: <node>/<output>/<execution> and <node>/.system/<kind>/<execution>."""
    yield from artifacts_dir.glob(f"*/*/{execution_id}")
    yield from artifacts_dir.glob(f"*/.system/*/{execution_id}")


def distrust_damaged(store: Any, artifacts_dir: Path, seals: Path) -> list[Distrusted]:
    """Mark artifacts as deleted whose files are not what was sealed: TFX makes them anew."""
    from ml_metadata import proto

    imported = _imported(store)
    distrusted = []
    for artifact in store.get_artifacts():
        if artifact.state != proto.Artifact.LIVE or artifact.id in imported:
            continue
        reason = _what_is_wrong(artifact, artifacts_dir, seals)
        if reason:
            logger.warning("not served from the cache: %s", reason)
            artifact.state = proto.Artifact.DELETED
            store.put_artifacts([artifact])
            distrusted.append(Distrusted(artifact.uri, reason))
    return distrusted


def _imported(store: Any) -> set[int]:
    """Artifacts that lie elsewhere by right: a model given by the user."""
    executions = store.get_executions_by_type(_IMPORTER)
    events = store.get_events_by_execution_ids([e.id for e in executions]) if executions else []
    return {event.artifact_id for event in events}


def _what_is_wrong(artifact: Any, artifacts_dir: Path, seals: Path) -> str | None:
    if not Path(artifact.uri).is_relative_to(artifacts_dir):
        return f"{artifact.uri} is another folder's: this one was copied or moved"
    uris = [artifact.uri, *_pushed_to(artifact)]
    return next(filter(None, (damage(seals, uri) for uri in uris)), None)


def _pushed_to(artifact: Any) -> list[str]:
    if PUSHED_DESTINATION not in artifact.custom_properties:
        return []
    return [artifact.custom_properties[PUSHED_DESTINATION].string_value]
