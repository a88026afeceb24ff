"""Where and how training runs on Vertex AI."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from components.training_job.machines import Machine, find_machine
from trainer.strict import ConfigError

#: Dynamic Workload Scheduler waits for capacity; spot may be taken away at any time.
Scheduling = Literal["standard", "spot", "flex_start", "reserved"]

#: GPUs that Dynamic Workload Scheduler hands out, and for how long at most.
_FLEX_START = (
    "NVIDIA_L4",
    "NVIDIA_TESLA_A100",
    "NVIDIA_A100_80GB",
    "NVIDIA_H100_80GB",
    "NVIDIA_H200_141GB",
)
_FLEX_START_MOST_H = 7 * 24.0


@dataclass(frozen=True)
class TrainingJobConfig:
    """The custom job that trains; section ``[vertex.training]``."""

    #: Container image with the trainer and without TFX; the project's registry is named by
    #: Terraform's output ``trainer_image``.
    image: str = ""
    #: ``cpu``, ``v2-8``, ``v3-8``, ``v5e-1``, ``v5e-4``, ``v5e-8``, ``v5e-16``, ... or a GPU such
    #: as ``l4-1`` or ``a100-8``: a row of the table in ``machines.py``. ``l4-8x2``: two machines.
    accelerator: str = "v5e-8"
    scheduling: Scheduling = "standard"
    #: Reservation to take, ``projects/P/zones/Z/reservations/NAME``, where scheduling = "reserved".
    reservation: str = ""
    #: Longest time that the job may take, hours; then Vertex stops it, and a rerun goes on from
    #: its last checkpoint.
    timeout_h: float = 48.0
    #: Longest time that it may wait for machines, hours.
    max_wait_h: float = 24.0
    #: Let Vertex start a worker again that was lost; training goes on from its last checkpoint.
    restart_on_worker_restart: bool = True
    boot_disk_gb: int = 100
    #: Vertex TensorBoard instance, ``projects/P/locations/R/tensorboards/ID``; empty: none.
    tensorboard: str = ""
    #: How often the state of the job is asked for, seconds.
    poll_s: float = 30.0
    #: Where ``libtpu.so`` lies in the image, for TPUs.
    libtpu: str = "/opt/platewise/lib/python3.11/site-packages/libtpu/libtpu.so"

    def __post_init__(self) -> None:
        for name in ("timeout_h", "max_wait_h", "boot_disk_gb", "poll_s"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} must be positive; got {getattr(self, name)}")
        if self.boot_disk_gb < 100:
            raise ConfigError(
                f"boot_disk_gb must be at least 100, the smallest that Vertex AI gives; got "
                f"{self.boot_disk_gb}"
            )
        if (self.scheduling == "reserved") != bool(self.reservation):
            raise ConfigError('reservation and scheduling = "reserved" go together')
        machine = self.machine
        if self.scheduling == "spot" and machine.is_tpu and machine.hosts > 1:
            raise ConfigError(
                f"accelerator {self.accelerator!r} is a slice of {machine.hosts} hosts, which "
                'cannot be had as spot; take one of one host, such as "v5e-8", or '
                'scheduling = "standard"'
            )
        if self.scheduling == "flex_start":
            self._check_flex_start(machine)

    @property
    def machine(self) -> Machine:
        """The row of the accelerator."""
        return find_machine(self.accelerator)

    def _check_flex_start(self, machine: Machine) -> None:
        if machine.accelerator_type not in _FLEX_START:
            raise ConfigError(
                f"flex_start hands out L4, A100, H100 and H200 GPUs; {self.accelerator!r} is none "
                'of them: take scheduling = "standard" or "spot"'
            )
        if self.timeout_h > _FLEX_START_MOST_H:
            raise ConfigError(
                f"timeout_h must be at most {_FLEX_START_MOST_H:g} with flex_start; got "
                f"{self.timeout_h:g}"
            )
