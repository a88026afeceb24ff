"""Runs a pipeline in this process, one at a time in a folder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.locking import run_lock
from pipelines.outcome import OnEvent, RunResult

if TYPE_CHECKING:
    from tfx.orchestration.pipeline import Pipeline

METADATA_NAME = "metadata.sqlite"
ARTIFACTS_NAME = "artifacts"
SEALS_NAME = ".seals"


def run_local(
    pipeline: Pipeline,
    run_dir: Path,
    on_event: OnEvent | None = None,
) -> RunResult:
    """Run ``pipeline`` to its end, or raise.

    Parameters
    ----------
    pipeline
        Its artifacts and metadata must lie in ``run_dir`` (see :func:`artifacts_dir` and
        :func:`metadata_path`).
    run_dir
        Folder of the run; locked while it lasts.
    on_event
        Called in this thread as components start and end.

    Raises
    ------
    RunFolderBusy
        Another process runs in this folder.
    ComponentFailed
        A component failed; the message is that of the root cause.
    """
    from pipelines.runner import Runner

    report = on_event or (lambda event: None)
    started = time.monotonic()
    result = RunResult()
    with run_lock(run_dir):
        Runner(artifacts_dir(run_dir), run_dir / SEALS_NAME, result, report).run(pipeline)
    result.seconds = time.monotonic() - started
    return result


def artifacts_dir(run_dir: Path) -> Path:
    """Where a run's artifacts lie."""
    return run_dir.absolute() / ARTIFACTS_NAME


def metadata_path(run_dir: Path) -> Path:
    """The run's ML Metadata database."""
    return run_dir.absolute() / METADATA_NAME
