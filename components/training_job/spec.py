"""The custom job that trains, in the words of Vertex AI's API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.training_job.config import TrainingJobConfig

#: Label by which a step that is tried again finds the job that it started.
RUN_LABEL = "platewise_run"

_COMMAND = ("python", "-m", "trainer")
_RESERVATION = "compute.googleapis.com/reservation-name"


@dataclass(frozen=True)
class JobRequest:
    """Everything that a job is started with."""

    job: TrainingJobConfig
    #: Arguments of ``python -m trainer``: option without dashes -> value.
    arguments: Mapping[str, str]
    #: Names what is trained: the same run has the same key, 16 hexadecimal digits.
    run_key: str
    project: str
    region: str
    service_account: str = ""
    network: str = ""
    encryption_key: str = ""
    labels: Mapping[str, str] | None = None

    @property
    def display_name(self) -> str:
        """How the console lists it."""
        return f"platewise-training-{self.run_key}"

    @property
    def all_labels(self) -> dict[str, str]:
        """The user's labels and the one that finds the job again."""
        return dict(self.labels or {}) | {RUN_LABEL: self.run_key}

    def worker_pools(self) -> list[dict[str, Any]]:
        """Worker pool specs: one machine, or a chief and its workers.

        A TPU slice is one replica too, however many hosts it has.
        """
        machine = self.job.machine
        pool = {
            "machine_spec": self._machine_spec(),
            "replica_count": 1,
            "disk_spec": {"boot_disk_size_gb": self.job.boot_disk_gb},
            "container_spec": self._container_spec(),
        }
        if machine.is_tpu or machine.hosts == 1:
            return [pool]
        return [pool, pool | {"replica_count": machine.hosts - 1}]

    def submit_arguments(self, strategies: Any) -> dict[str, Any]:
        """Arguments of ``aiplatform.CustomJob.submit``.

        Parameters
        ----------
        strategies
            The API's enumeration ``Scheduling.Strategy``.
        """
        job = self.job
        arguments: dict[str, Any] = {
            "timeout": round(job.timeout_h * 3600),
            "restart_job_on_worker_restart": job.restart_on_worker_restart,
            "scheduling_strategy": {
                "spot": strategies.SPOT,
                "flex_start": strategies.FLEX_START,
            }.get(job.scheduling, strategies.STANDARD),
        }
        if job.scheduling == "flex_start":  # of the others the step itself keeps the time
            arguments["max_wait_duration"] = round(job.max_wait_h * 3600)
        for name in ("service_account", "network"):
            if getattr(self, name):
                arguments[name] = getattr(self, name)
        if job.tensorboard:
            arguments["tensorboard"] = job.tensorboard
        return arguments

    def _machine_spec(self) -> dict[str, Any]:
        machine = self.job.machine
        spec: dict[str, Any] = {"machine_type": machine.machine_type}
        if machine.accelerator_type:
            spec["accelerator_type"] = machine.accelerator_type
            spec["accelerator_count"] = machine.accelerator_count
        if machine.tpu_topology:
            spec["tpu_topology"] = machine.tpu_topology
        if self.job.reservation:
            spec["reservation_affinity"] = {
                "reservation_affinity_type": "SPECIFIC_RESERVATION",
                "key": _RESERVATION,
                "values": [self.job.reservation],
            }
        return spec

    def _container_spec(self) -> dict[str, Any]:
        machine = self.job.machine
        arguments = [f"--{name}={value}" for name, value in self.arguments.items()]
        environment = machine.environment(self.job.libtpu)
        spec: dict[str, Any] = {
            "image_uri": self.job.image,
            "env": [{"name": name, "value": value} for name, value in environment.items()],
        }
        if machine.is_tpu and machine.hosts > 1:
            # The entry point of Vertex AI's base image for slices starts TensorFlow's servers on
            # all hosts, and then, on the first alone, what it finds in args.
            return spec | {"args": [*_COMMAND, *arguments]}
        return spec | {"command": list(_COMMAND), "args": arguments}


def rows(job: Any) -> Iterator[tuple[str, str]]:
    """A job's spec (the API's ``CustomJob``) as a table of two columns."""
    spec = job.job_spec
    yield "display name", job.display_name
    yield "labels", ", ".join(f"{key}={value}" for key, value in sorted(job.labels.items()))
    for number, pool in enumerate(spec.worker_pool_specs):
        machine, container = pool.machine_spec, pool.container_spec
        where = f"worker pool {number}"
        yield f"{where}: machine type", machine.machine_type
        if machine.accelerator_count:
            count = machine.accelerator_count
            yield f"{where}: accelerators", f"{count} x {machine.accelerator_type.name}"
        if machine.tpu_topology:
            yield f"{where}: TPU topology", machine.tpu_topology
        if machine.reservation_affinity.values:
            yield f"{where}: reservation", ", ".join(machine.reservation_affinity.values)
        yield f"{where}: replicas", str(pool.replica_count)
        yield f"{where}: boot disk", f"{pool.disk_spec.boot_disk_size_gb} GB"
        yield f"{where}: image", container.image_uri
        yield f"{where}: command", " ".join(container.command)
        for argument in container.args:
            yield f"{where}: argument", argument
        for variable in container.env:
            yield f"{where}: environment", f"{variable.name}={variable.value}"
    yield "service account", spec.service_account
    yield "network", spec.network
    yield "encryption key", job.encryption_spec.kms_key_name
    yield "output folder", spec.base_output_directory.output_uri_prefix
    yield "TensorBoard", spec.tensorboard
    scheduling = spec.scheduling
    yield "scheduling", scheduling.strategy.name
    yield "longest run", f"{scheduling.timeout.total_seconds() / 3600:g} h"
    if scheduling.max_wait_duration:
        yield "longest wait", f"{scheduling.max_wait_duration.total_seconds() / 3600:g} h"
    yield "restart on worker restart", str(scheduling.restart_job_on_worker_restart)


def table(job: Any) -> str:
    """:func:`rows` in Markdown, empty values left out."""
    lines = [f"| {name} | `{value}` |" for name, value in rows(job) if value]
    return "\n".join(["| custom job | |", "|---|---|", *lines])
