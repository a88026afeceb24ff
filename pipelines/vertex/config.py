"""Where a pipeline runs in the cloud, on which machines, as whom, and with which Beam runner."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from components.registry.config import RegistryConfig
from components.training_job.config import TrainingJobConfig
from trainer.strict import ConfigError

_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,62}")


@dataclass(frozen=True)
class MachineConfig:
    """What one step's container gets."""

    #: CPU cores.
    cpu: float = 4.0
    memory_gb: float = 16.0

    def __post_init__(self) -> None:
        if self.cpu <= 0 or self.memory_gb <= 0:
            raise ConfigError("cpu and memory_gb must be positive")


#: Steps that need more or less than :attr:`VertexConfig.default_machine`: prediction reads every
#: pixel on CPU, the report holds the gallery and all rows, the training job only waits.
STEP_MACHINES = {
    "PlatePredictor": MachineConfig(cpu=16, memory_gb=64),
    "PlateTrainingJob": MachineConfig(cpu=1, memory_gb=4),
    "PlateReport": MachineConfig(cpu=4, memory_gb=32),
    "FinalStatus": MachineConfig(cpu=1, memory_gb=4),
}


@dataclass(frozen=True)
class BeamRunnerConfig:
    """Which Beam runner does ExampleGen, Transform and Evaluator; ``[vertex.beam]``."""

    #: ``dataflow``; ``flink`` or ``spark`` through their portable job servers; ``local`` runs
    #: Beam inside the step's own container.
    runner: Literal["dataflow", "flink", "spark", "local"] = "dataflow"
    machine_type: str = "n2-standard-8"
    #: Most workers a Dataflow job may take: what it can cost at most.
    max_workers: int = 20
    disk_gb: int = 50
    #: VPC subnetwork of the workers, ``regions/R/subnetworks/NAME``; empty: the default one.
    subnetwork: str = ""
    #: Give workers public addresses; without, the subnetwork needs Private Google Access.
    public_addresses: bool = False
    #: Address of the Flink or Spark job server, ``host:port``.
    job_endpoint: str = ""
    #: How Flink and Spark start Python: ``DOCKER``, ``PROCESS``, ``EXTERNAL`` or ``LOOPBACK``.
    environment_type: str = "DOCKER"
    #: Tasks that run side by side on Flink and Spark.
    parallelism: int = 8
    #: Further Beam pipeline options.
    extra_args: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("max_workers", "disk_gb", "parallelism"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1; got {getattr(self, name)}")
        if self.runner in ("flink", "spark") and not self.job_endpoint:
            raise ConfigError(
                f'runner = "{self.runner}" needs job_endpoint, the job server\'s host:port'
            )


@dataclass(frozen=True)
class VertexConfig:
    """Where the cloud pipelines run and as whom; section ``[vertex]``.

    ``project``, ``pipeline_root``, ``image`` and ``service_account`` are outputs of Terraform.
    """

    project: str = ""
    region: str = "us-central1"
    #: Folder of all artifacts, ``gs://bucket/prefix``.
    pipeline_root: str = ""
    #: Folder of temporary files, which the bucket may delete after days; empty: ``tmp`` in
    #: ``pipeline_root``.
    temp_location: str = ""
    #: Container image of the components, with TFX.
    image: str = ""
    #: Other images, by component, such as ``PlatePredictor = "..."``.
    images: dict[str, str] = field(default_factory=dict)
    #: Identity of the pipeline's steps, e-mail address.
    service_account: str = ""
    #: Identity of the training job; empty: that of the pipeline.
    trainer_service_account: str = ""
    #: Identity of the Dataflow workers; empty: that of the pipeline.
    dataflow_service_account: str = ""
    #: VPC network to peer with, ``projects/NUMBER/global/networks/NAME``; empty: none.
    network: str = ""
    #: Customer-managed key, ``projects/P/locations/R/keyRings/K/cryptoKeys/NAME``; empty: Google's.
    encryption_key: str = ""
    #: Vertex experiment that the runs are listed under; empty: none.
    experiment: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    #: Machine of every step that ``machines`` does not name.
    default_machine: MachineConfig = field(default_factory=MachineConfig)
    #: Machines by component, such as ``PlateReport = {cpu = 8, memory_gb = 64}``; Beam components
    #: hand the work to their runner.
    machines: dict[str, MachineConfig] = field(default_factory=dict)
    #: Times that a failed step is tried again, and the wait before the first of them, seconds.
    retries: int = 2
    retry_wait_s: int = 60
    training: TrainingJobConfig = field(default_factory=TrainingJobConfig)
    registry: RegistryConfig = field(default_factory=RegistryConfig)
    beam: BeamRunnerConfig = field(default_factory=BeamRunnerConfig)
    #: Cron expression of ``platewise schedule``, such as ``TZ=Etc/UTC 0 3 * * 1``.
    cron: str = ""

    def __post_init__(self) -> None:
        for name in ("pipeline_root", "temp_location"):
            value = getattr(self, name)
            if value and not value.startswith(("gs://", "/")):
                raise ConfigError(
                    f"{name} must start with gs://, or with / where a folder is mounted into "
                    f"every step; got {value!r}"
                )
        for key, value in self.labels.items():
            if not _LABEL.fullmatch(key) or not re.fullmatch(r"[a-z0-9_-]{0,63}", value):
                raise ConfigError(
                    f"labels: {key} = {value!r} is not a label: up to 63 lower-case letters, "
                    "digits, - and _, a key beginning with a letter"
                )
        if self.retries < 0 or self.retry_wait_s < 0:
            raise ConfigError("retries and retry_wait_s must be >= 0")

    def machine(self, component: str) -> MachineConfig:
        """Machine of one component's container."""
        shipped = STEP_MACHINES.get(component, self.default_machine)
        return self.machines.get(component, shipped)

    def image_of(self, component: str) -> str:
        """Image of one component."""
        return self.images.get(component, self.image)

    def require(self, *names: str) -> None:
        """Refuse to go on without what only the user knows.

        Raises
        ------
        ConfigError
            Names every key that is empty.
        """
        empty = [f"vertex.{name}" for name in names if not _value(self, name)]
        if empty:
            raise ConfigError(
                f"{', '.join(empty)} must be set for Vertex AI (Terraform prints the values: "
                "terraform output -raw platewise_toml)"
            )


def _value(config: object, dotted: str) -> object:
    for name in dotted.split("."):
        config = getattr(config, name)
    return config
