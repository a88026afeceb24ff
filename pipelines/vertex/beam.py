"""Beam pipeline options of the data components on a managed or portable runner."""

from __future__ import annotations

from typing import Any

from components.beam_options import IN_PROCESS
from pipelines.vertex.config import VertexConfig

#: 20 MiB of records at a time instead of up to 1,000 records (400 MB) on a worker.
_BYTE_SIZE_MINIBATCHES = "--tfxio_use_byte_size_batching"


def beam_args(config: VertexConfig) -> list[Any]:
    """Options for every Beam component of a pipeline on Vertex AI."""
    runner = {
        "dataflow": _dataflow,
        "flink": _portable,
        "spark": _portable,
        "local": lambda _: list(IN_PROCESS),
    }[config.beam.runner]
    return [*runner(config), _BYTE_SIZE_MINIBATCHES, *config.beam.extra_args]


def temp_location(config: VertexConfig) -> str:
    """Folder of temporary files."""
    return config.temp_location or f"{config.pipeline_root.rstrip('/')}/tmp"


def _dataflow(config: VertexConfig) -> list[str]:
    beam = config.beam
    account = config.dataflow_service_account or config.service_account
    arguments = [
        "--runner=DataflowRunner",
        f"--project={config.project}",
        f"--region={config.region}",
        f"--temp_location={temp_location(config)}",
        # The image that runs the steps is the workers' too: the same code, nothing staged.
        f"--sdk_container_image={config.image}",
        "--sdk_location=container",
        "--experiments=use_runner_v2",
        f"--worker_machine_type={beam.machine_type}",
        f"--max_num_workers={beam.max_workers}",
        "--autoscaling_algorithm=THROUGHPUT_BASED",
        f"--disk_size_gb={beam.disk_gb}",
        f"--{'' if beam.public_addresses else 'no_'}use_public_ips",
    ]
    if account:
        arguments.append(f"--service_account_email={account}")
    if beam.subnetwork:
        arguments.append(f"--subnetwork={beam.subnetwork}")
    if config.encryption_key:
        arguments.append(f"--dataflow_kms_key={config.encryption_key}")
    return arguments + [f"--labels={key}={value}" for key, value in sorted(config.labels.items())]


def _portable(config: VertexConfig) -> list[str]:
    """Flink and Spark, through the job server that Beam has for each."""
    beam = config.beam
    arguments = [
        "--runner=PortableRunner",
        f"--job_endpoint={beam.job_endpoint}",
        f"--environment_type={beam.environment_type}",
        f"--parallelism={beam.parallelism}",
    ]
    # Named, or TFX packs itself up and every worker installs it over what its image has.
    arguments.append(f"--sdk_container_image={config.image}")
    if beam.environment_type == "DOCKER":
        arguments.append(f"--environment_config={config.image}")
    return arguments
