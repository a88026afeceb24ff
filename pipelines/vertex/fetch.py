"""Bring a run's report down from the bucket."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from components.vertex_api import VertexError, readable_errors
from pipelines.vertex.watch import Task, ended, job_state, read_tasks
from trainer.errors import PlatewiseError

#: Step and output of the report, and what everybody wants of it.
REPORT = "PlateReport.report"
MAIN_FILES = ("report.html", "metrics.json")


@dataclass(frozen=True)
class Fetched:
    """One file that was brought."""

    path: Path
    n_bytes: int


def artifact_uris(job: Any) -> dict[str, list[str]]:
    """Where every output of a job lies: ``STEP.OUTPUT`` to addresses."""
    return {
        f"{detail.task_name}.{output}": [artifact.uri for artifact in found.artifacts]
        for detail in job.job_detail.task_details
        for output, found in detail.outputs.items()
    }


def find_artifact(job: Any, wanted: str) -> str:
    """Address of one output.

    Parameters
    ----------
    job
        ``PipelineJob`` as the API gives it.
    wanted
        ``STEP.OUTPUT``, or ``STEP`` where the step has one output.

    Raises
    ------
    PlatewiseError
        There is none; says how the step stands, or which outputs there are.
    """
    outputs = artifact_uris(job)
    names = [name for name in outputs if name == wanted or name.partition(".")[0] == wanted]
    uris = [uri for name in names for uri in outputs[name] if uri]
    if len(names) == 1 and uris:
        return uris[0]
    name = job.name.rpartition("/")[2]
    if len(names) > 1:
        raise PlatewiseError(f"{wanted} has several outputs; name one of {', '.join(names)}")
    step = wanted.partition(".")[0]
    task = next((task for task in read_tasks(job) if task.name == step), None)
    if task is None or task.state in ("done", "cached"):
        known = ", ".join(sorted(outputs)) or "none yet"
        raise PlatewiseError(f"{name} has no output {wanted} (it has {known})")
    raise PlatewiseError(f"{name} has no {wanted} yet: {_stand(job, task)}")


def _stand(job: Any, task: Task) -> str:
    words = {"waiting": "has not started", "running": "is running", "failed": "has failed"}
    stand = f"{task.name} {words.get(task.state, 'was not run')}"
    if ended(job):
        return (
            f"{stand}, and the job has ended ({job_state(job).lower()}): platewise status shows why"
        )
    return f"{stand}; wait for it: platewise status {job.name} --wait"


def fetch(
    uri: str, folder: Path, files: Sequence[str] = (), project: str = ""
) -> Iterator[Fetched]:
    """Download an artifact; each file appears whole or not at all.

    Parameters
    ----------
    uri
        ``gs://bucket/prefix`` of the artifact.
    folder
        Local folder to write to; made where it is missing.
    files
        Paths below ``uri``; empty: all.
    project
        On whose behalf; empty: the one that the caller's credential names.

    Raises
    ------
    PlatewiseError
        Nothing is there, a named file is missing, it cannot be read or written, or its checksum
        is wrong.
    """
    if not uri.startswith("gs://"):
        raise PlatewiseError(f"{uri} is in no bucket; it lies where the pipeline ran")
    bucket, _, prefix = uri.removeprefix("gs://").partition("/")
    prefix = prefix.rstrip("/") + "/"
    with readable_errors(f"fetch {uri}"):
        from google.cloud.storage import Client

        client = Client(project=project or None)
        found = {
            blob.name.removeprefix(prefix): blob
            for blob in client.list_blobs(bucket, prefix=prefix)
            if not blob.name.endswith("/")  # a folder as the console makes it
        }
    missing = [name for name in files or (["files"] if not found else []) if name not in found]
    if missing:
        has = ", ".join(sorted(found)) or "nothing; the bucket may have deleted it as old"
        raise PlatewiseError(f"{uri} has no {' and no '.join(missing)} (it has {has})")
    for name in files or sorted(found):
        yield download(found[name], uri, folder, name)


def download(blob: Any, uri: str, folder: Path, name: str) -> Fetched:
    """Bring one file of an artifact; see :func:`fetch`."""
    from google.cloud.storage.exceptions import DataCorruption

    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts:
        raise PlatewiseError(f"{uri}: {name!r} would leave {folder}; nothing is written for it")
    path = folder.joinpath(*relative.parts)
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with readable_errors(f"fetch {uri}/{name}"):
            blob.download_to_filename(str(unfinished), checksum="crc32c")
        unfinished.replace(path)
    except DataCorruption as error:
        raise VertexError(f"{uri}/{name} arrived with a wrong checksum; fetch it again") from error
    except OSError as error:
        raise PlatewiseError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()
    return Fetched(path, path.stat().st_size)
