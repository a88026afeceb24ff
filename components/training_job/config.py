"""Where and how training runs on Vertex AI."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainer.strict import ConfigError

#: Dynamic Workload Scheduler waits for capacity; spot may be taken away at any time.
Scheduling = Literal["standard", "spot", "flex_start", "reserved"]


@dataclass(frozen=True)
class TrainingJobConfig:
    """The custom job that trains; section ``[vertex.training]``."""

    #: Container image with the trainer and without TFX; the project's registry is named by
    #: Terraform's output ``trainer_image``.
    image: str = ""
    #: ``cpu``, ``v2-8``, ``v3-8``, ``v5e-1``, ``v5e-4``, ``v5e-8``, ``v5e-16``, ... or a GPU such
    #: as ``l4-1`` or ``a100-8``: a row of the table in ``machines.py``.
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

    def __post_init__(self) -> None:
        for name in ("timeout_h", "max_wait_h", "boot_disk_gb", "poll_s"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} must be positive; got {getattr(self, name)}")
        if (self.scheduling == "reserved") != bool(self.reservation):
            raise ConfigError('reservation and scheduling = "reserved" go together')
