"""Starting a custom job, or finding the one that runs already, and staying with it to its end."""

from __future__ import annotations

import datetime
import logging
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from components.training_job.errors import TrainingJobFailed, failure
from components.training_job.spec import RUN_LABEL, JobRequest
from components.vertex_api import VertexError, attempt, connect, readable_errors

logger = logging.getLogger(__name__)

#: Vertex AI may be out of reach for so long without harm: the job goes on by itself.
_OUT_OF_REACH_S = 15 * 60.0
_WAITING = ("QUEUED", "PENDING", "UNSPECIFIED")
_RUNNING = (*_WAITING, "RUNNING", "UPDATING", "PAUSED")
_ENDED = ("SUCCEEDED", "PARTIALLY_SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED")


def run_job(
    request: JobRequest,
    output_folder: str,
    look: Callable[[], str] = lambda: "",
) -> str:
    """Start the job, or find it running, and wait until it has succeeded.

    A SIGTERM, which a cancelled pipeline sends to its steps, cancels the job as well.

    Parameters
    ----------
    request
        What to start.
    output_folder
        Vertex AI's ``base_output_directory``: the job may write TensorBoard's logs below it.
        Left out where it is not in a bucket.
    look
        Called with every look at the job: tells of progress, and returns what the trainer says
        of its failure, if anything.

    Returns
    -------
    Resource name of the job.

    Raises
    ------
    TrainingJobFailed
        It failed, was cancelled, or waited longer than ``max_wait_h``.
    VertexError
        It could not be started, or Vertex AI could not be reached for a long time; in the latter
        case the job goes on, and a step that is tried again finds it.
    """
    aiplatform = connect(request.project, request.region)
    doing = f"start the training job {request.display_name} on {request.job.accelerator}"
    name = None
    with _sigterm_ends():
        try:
            # Safe to try again: an answer that was lost on its way left a job that is found.
            name = attempt(
                doing,
                lambda: _find(aiplatform, request) or _create(aiplatform, request, output_folder),
            )
            logger.info("training job %s\n%s", name, _links(request, name))
            _wait(aiplatform, request, name, look)
        except (SystemExit, KeyboardInterrupt):
            name = name or _find(aiplatform, request)
            if name is not None:
                logger.warning("stopped: cancelling the training job %s", name)
                cancel(aiplatform, name)
            raise
    return name


def _find(aiplatform: Any, request: JobRequest) -> str | None:
    """The newest job of the same run that has not ended."""
    jobs = aiplatform.CustomJob.list(filter=f'labels.{RUN_LABEL}="{request.run_key}"')
    running = [job.gca_resource for job in jobs if _state(job.gca_resource) in _RUNNING]
    if not running:
        return None
    newest = max(running, key=lambda job: job.create_time)
    logger.info("a training job of this run is there already")
    return str(newest.name)


def _create(aiplatform: Any, request: JobRequest, output_folder: str) -> str:
    from google.cloud.aiplatform_v1.types import Scheduling

    in_bucket = output_folder.startswith("gs://")
    job = aiplatform.CustomJob(
        display_name=request.display_name,
        worker_pool_specs=request.worker_pools(),
        labels=request.all_labels,
        encryption_spec_key_name=request.encryption_key or None,
        base_output_dir=output_folder,
        staging_bucket=output_folder,  # asked for by the client library, and used by none of us
    )
    if not in_bucket:  # a runner on this machine
        job.job_spec.base_output_directory = None
    job.submit(**request.submit_arguments(Scheduling.Strategy))
    return str(job.resource_name)


def _wait(aiplatform: Any, request: JobRequest, name: str, look: Callable[[], str]) -> None:
    seen, waiting_since = "", datetime.datetime.now(datetime.UTC)
    while True:
        job = attempt(
            f"read the state of the training job {name}",
            lambda: aiplatform.CustomJob.get(name).gca_resource,
            deadline_s=_OUT_OF_REACH_S,
        )
        state = _state(job)
        if state != seen:
            logger.info("training job %s: %s", request.display_name, state)
            if state in _WAITING:
                first = not job.start_time
                now = datetime.datetime.now(datetime.UTC)
                waiting_since = job.create_time if first and job.create_time else now
            seen = state
        said = look()
        if state in _ENDED:
            if state == "SUCCEEDED":
                return
            raise failure(
                name, state, job.error.message, said, _links(request, name), request.job.timeout_h
            )
        if state in _WAITING:
            _check_wait(aiplatform, request, name, waiting_since)
        time.sleep(request.job.poll_s)


def _check_wait(aiplatform: Any, request: JobRequest, name: str, since: datetime.datetime) -> None:
    waited_h = (datetime.datetime.now(datetime.UTC) - since).total_seconds() / 3600
    if waited_h <= request.job.max_wait_h:
        return
    cancel(aiplatform, name)
    raise TrainingJobFailed(
        f"the training job {name} has waited {waited_h:.3g} h for {request.job.accelerator} in "
        f"{request.region}, longer than vertex.training.max_wait_h = {request.job.max_wait_h:g}, "
        "and was cancelled: the project has no quota for it there, or the region has none to "
        "give. Look at IAM & Admin > Quotas (custom model training), choose another region or "
        f"accelerator, or wait longer.\n{_links(request, name)}"
    )


def cancel(aiplatform: Any, name: str) -> None:
    """Cancel a job; one that has ended stays as it is, and failing to is only logged."""
    try:
        with readable_errors(f"cancel the training job {name}"):
            aiplatform.CustomJob.get(name).cancel()
    except VertexError as error:
        logger.warning("%s", error)


@contextmanager
def _sigterm_ends() -> Iterator[None]:
    """Turn SIGTERM into SystemExit, so that what was started is stopped on the way out."""

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # one is enough while the job is cancelled
        raise SystemExit(128 + number)

    previous = None
    with suppress(ValueError):  # only the main thread may; elsewhere nobody sends it
        previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)


def _state(job: Any) -> str:
    return str(job.state.name).removeprefix("JOB_STATE_")


def _links(request: JobRequest, name: str) -> str:
    number = name.rpartition("/")[2]
    console = "https://console.cloud.google.com"
    return (
        f"job: {console}/vertex-ai/locations/{request.region}/training/{number}"
        f"?project={request.project}\n"
        f'log: {console}/logs/query;query=resource.labels.job_id%3D"{number}"'
        f"?project={request.project}"
    )
