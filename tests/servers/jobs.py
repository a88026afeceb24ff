"""Jobs that move on: each look at one shows its next state, or a runner does the work for real."""

from __future__ import annotations

import graphlib
import importlib
import threading
from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf import json_format
from google.rpc import status_pb2
from servers.store import ApiError, Store, invalid, timestamp

#: A state, or a state and its error message; ``PENDING``, not ``JOB_STATE_PENDING``.
State = str | tuple[str, str]
#: Does a custom job's work and returns its exit code; the event is set when it is cancelled.
CustomJobRunner = Callable[[Any, threading.Event], int]

COLLECTIONS = {
    "pipelineJobs": "PIPELINE_STATE_",
    "customJobs": "JOB_STATE_",
    "batchPredictionJobs": "JOB_STATE_",
}
DONE = {"SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED"}
DEFAULT_STATES: tuple[State, ...] = ("PENDING", "RUNNING", "SUCCEEDED")


class Jobs:
    """The states of all jobs of a store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.custom_job_runner: CustomJobRunner | None = None
        self._scripts: dict[str, list[list[State]]] = {}
        self._pending: dict[str, list[State]] = {}
        self._cancel: dict[str, threading.Event] = {}
        self.threads: list[threading.Thread] = []

    def script(self, collection: str, states: Sequence[State]) -> None:
        """States of the next job of a collection, one a look; the last one stays."""
        if collection not in COLLECTIONS:
            raise ValueError(f"{collection} is none of {', '.join(COLLECTIONS)}")
        self._scripts.setdefault(collection, []).append(list(states))

    def start(self, job: Any) -> None:
        """A new job, checked as far as the service would before it takes it."""
        collection = collection_of(job)
        self.check(job, collection)
        scripts = self._scripts.get(collection)
        runner = self.custom_job_runner if collection == "customJobs" and not scripts else None
        states = scripts.pop(0) if scripts else list(DEFAULT_STATES)
        with self.store.lock:
            self._cancel[job.name] = threading.Event()
            if runner is None:
                self._pending[job.name] = states
                self._set(job, "PENDING" if collection != "batchPredictionJobs" else "QUEUED")
                return
            self._set(job, "RUNNING")
        thread = threading.Thread(target=self._run, args=(runner, job), daemon=True)
        self.threads.append(thread)
        thread.start()

    def check(self, job: Any, collection: str) -> None:
        """Refuse a job that the service would refuse."""
        _CHECKS[collection](job)

    def look(self, job: Any) -> None:
        """Move a scripted job on by one state."""
        with self.store.lock:
            states = self._pending.get(job.name)
            if states:
                self._set(job, states.pop(0))

    def cancel(self, job: Any) -> None:
        with self.store.lock:
            if short_state(job) in DONE:
                raise ApiError(
                    400, "FAILED_PRECONDITION", f"{job.name} is in state {short_state(job)}"
                )
            self._cancel[job.name].set()
            self._set(job, "CANCELLING")
            if job.name in self._pending:
                self._pending[job.name] = ["CANCELLED"]

    def _run(self, runner: CustomJobRunner, job: Any) -> None:
        cancelled = self._cancel[job.name]
        try:
            code, why = runner(type(job)(job), cancelled), ""
        except Exception as error:  # noqa: BLE001 - as a container's crash is
            code, why = 1, f": {type(error).__name__}: {error}"
        with self.store.lock:
            if cancelled.is_set():
                self._set(job, "CANCELLED")
            elif code == 0:
                self._set(job, "SUCCEEDED")
            else:
                text = (
                    f"The replica workerpool0-0 exited with a non-zero status of {code}{why}. "
                    "To find out more about why your job exited please check the logs"
                )
                self._set(job, ("FAILED", text))

    def _set(self, job: Any, state: State) -> None:
        name, message = (state, "") if isinstance(state, str) else state
        enum = type(job.state)
        job.state = enum[COLLECTIONS[collection_of(job)] + name]
        job.update_time = timestamp()
        if name == "RUNNING" and not job.start_time:
            job.start_time = timestamp()
        if name in DONE:
            job.end_time = timestamp()
        if message or name == "FAILED":
            job.error = status_pb2.Status(code=9, message=message or "the job failed")
        if collection_of(job) == "pipelineJobs":
            _set_tasks(job, name, message)
            if name == "RUNNING" and not job.job_detail.pipeline_run_context:
                self._set_contexts(job)

    def _set_contexts(self, job: Any) -> None:
        """A run enters the metadata store when it starts: experiments look for it there."""
        types = importlib.import_module(type(job).__module__.rpartition(".")[0])
        location = job.name.partition("/pipelineJobs/")[0]
        pipeline = json_format.MessageToDict(type(job).pb(job).pipeline_spec)["pipelineInfo"]
        for field, title, context_id in (
            ("pipeline_context", "system.Pipeline", pipeline["name"]),
            ("pipeline_run_context", "system.PipelineRun", job.name.rpartition("/")[2]),
        ):
            store = f"{location}/metadataStores/default"
            if f"{store}/contexts/{context_id}" not in self.store.resources:
                context = types.Context(schema_title=title, display_name=context_id)
                self.store.add(store, "contexts", context, context_id)
            setattr(job.job_detail, field, self.store.get(f"{store}/contexts/{context_id}"))


def collection_of(job: Any) -> str:
    return str(job.name).split("/")[-2]


def short_state(job: Any) -> str:
    return str(job.state.name).removeprefix(COLLECTIONS[collection_of(job)])


def _set_tasks(job: Any, state: str, message: str) -> None:
    """Tasks of a pipeline: each look at a running one finishes the next of them."""
    spec = json_format.MessageToDict(type(job).pb(job).pipeline_spec)
    tasks = spec.get("root", {}).get("dag", {}).get("tasks", {})
    order = {name: sorted(task.get("dependentTasks", [])) for name, task in sorted(tasks.items())}
    names = list(graphlib.TopologicalSorter(order).static_order())
    details = job.job_detail.task_details
    if state == "RUNNING" and len(details) < len(names):
        if details:
            details[-1].state, details[-1].end_time = 3, timestamp()
        details.append(_task(names[len(details)], len(details) + 1))
    elif state == "SUCCEEDED":
        while len(details) < len(names):
            details.append(_task(names[len(details)], len(details) + 1))
        for task in details:
            task.state, task.end_time = 3, task.end_time or timestamp()
    elif state in ("FAILED", "CANCELLED") and details:
        details[-1].state = 7 if state == "FAILED" else 6
        details[-1].end_time = timestamp()
        if message:
            details[-1].error = status_pb2.Status(code=9, message=message)


def _task(name: str, number: int) -> dict[str, Any]:
    now = timestamp()
    return {
        "task_name": name,
        "task_id": number,
        "state": 2,
        "create_time": now,
        "start_time": now,
    }


def _check_pipeline_job(job: Any) -> None:
    from google.protobuf.json_format import ParseDict, ParseError
    from kfp.pipeline_spec import pipeline_spec_pb2

    spec = json_format.MessageToDict(type(job).pb(job).pipeline_spec)
    try:
        ParseDict(_integers(spec), parsed := pipeline_spec_pb2.PipelineSpec())
    except ParseError as error:
        raise invalid(f"Invalid pipeline spec: {error}") from error
    root = job.runtime_config.gcs_output_directory or parsed.default_pipeline_root
    if not root.startswith("gs://"):
        raise invalid(f"gcs_output_directory must be a Cloud Storage path; got {root!r}")
    known = set(parsed.root.input_definitions.parameters)
    unknown = set(job.runtime_config.parameter_values) - known
    if unknown:
        raise invalid(f"The pipeline spec has no parameters {sorted(unknown)}")
    for name, definition in parsed.root.input_definitions.parameters.items():
        given = name in job.runtime_config.parameter_values
        if not given and not definition.is_optional and not definition.HasField("default_value"):
            raise invalid(f"Parameter {name} has neither a value nor a default")


def _integers(value: Any) -> Any:
    """A Struct knows doubles alone; what is whole was an integer."""
    if isinstance(value, dict):
        return {key: _integers(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_integers(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _check_custom_job(job: Any) -> None:
    if not job.display_name:
        raise invalid("CustomJob.display_name is required")
    pools = job.job_spec.worker_pool_specs
    if not pools:
        raise invalid("job_spec.worker_pool_specs is required")
    for number, pool in enumerate(pools):
        if not pool.replica_count and number:
            continue  # an empty pool keeps its place
        if not pool.machine_spec.machine_type:
            raise invalid(f"worker_pool_specs[{number}].machine_spec.machine_type is required")
        if not (pool.container_spec.image_uri or pool.python_package_spec.executor_image_uri):
            raise invalid(f"worker_pool_specs[{number}] names no container image")
        if number == 0 and pool.replica_count != 1:
            raise invalid("worker_pool_specs[0].replica_count must be 1")
    base = job.job_spec.base_output_directory.output_uri_prefix
    if base and not base.startswith("gs://"):
        raise invalid(f"base_output_directory must be a Cloud Storage path; got {base!r}")
    if job.job_spec.tensorboard and not job.job_spec.service_account:
        raise invalid("a TensorBoard needs a service account")


def _check_batch_prediction_job(job: Any) -> None:
    if not job.display_name:
        raise invalid("BatchPredictionJob.display_name is required")
    if not job.model and not job.unmanaged_container_model:
        raise invalid("BatchPredictionJob.model is required")
    if not job.input_config.instances_format or not job.output_config.predictions_format:
        raise invalid("instances_format and predictions_format are required")


_CHECKS = {
    "pipelineJobs": _check_pipeline_job,
    "customJobs": _check_custom_job,
    "batchPredictionJobs": _check_batch_prediction_job,
}
