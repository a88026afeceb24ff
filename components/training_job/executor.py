"""Executor of PlateTrainingJob: check, start a custom job or find it, wait, collect the weights."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.trainer.shared import describe, tell
from components.training_job.config import TrainingJobConfig
from components.training_job.job import run_job
from components.training_job.machines import Machine
from components.training_job.spec import JobRequest
from trainer.artifact import copy_trained, read_trained
from trainer.config import TrainerConfig
from trainer.errors import PlatewiseError
from trainer.presets import resolve
from trainer.progress import read_failure, read_progress
from trainer.strict import ConfigError, build, digest, to_mapping

logger = logging.getLogger(__name__)

_LOGS, _CONFIG, _PROGRESS = "logs", "config.json", "progress.json"


class PlateTrainingJobExecutor(base_executor.BaseExecutor):
    """Trains in a custom job and waits for it."""

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Let training run to its end; one that has finished is not run again.

        Raises
        ------
        PlatewiseError
            What training would refuse, before any machine is paid for; or how the job ended.
        """
        examples_dir = artifact_utils.get_single_uri(input_dict["examples"])
        transform_dir = artifact_utils.get_single_uri(input_dict["transform_graph"])
        run_dir = artifact_utils.get_single_uri(output_dict["model_run"])
        job = build(TrainingJobConfig, json.loads(exec_properties["job"]), "vertex.training.")
        if not job.image:
            raise ConfigError("vertex.training.image must be set: the trainer's container image")
        if job.tensorboard and not exec_properties["service_account"]:
            raise ConfigError(
                "vertex.training.tensorboard needs vertex.trainer_service_account: Vertex AI "
                "writes to it as that account"
            )
        config = trainer_config(exec_properties, job.machine)
        run_key = _check(examples_dir, transform_dir, config, job)
        checkpoints = f"{exec_properties['checkpoint_root'].rstrip('/')}/{run_key}"
        if find_finished(checkpoints) is None:
            path = os.path.join(run_dir, _CONFIG)
            io_utils.write_string_file(path, json.dumps(to_mapping(config), indent=1) + "\n")
            request = JobRequest(
                job=job,
                arguments=trainer_arguments(examples_dir, transform_dir, run_dir, checkpoints),
                run_key=run_key,
                project=exec_properties["project"],
                region=exec_properties["region"],
                service_account=exec_properties["service_account"],
                network=exec_properties["network"],
                encryption_key=exec_properties["encryption_key"],
                labels=json.loads(exec_properties["labels"]),
            )
            progress = _Progress(request.arguments["progress"])
            progress.forget_failure()
            run_job(request, run_dir, progress)
        else:
            logger.info("this training has finished before: %s", checkpoints)
        _collect(checkpoints, run_dir)
        describe(run_dir, config)


def trainer_arguments(
    examples_dir: str, transform_dir: str, run_dir: str, checkpoints: str
) -> dict[str, str]:
    """Options of ``python -m trainer`` in the job."""
    return {
        "examples": examples_dir,
        "transform": transform_dir,
        "out": run_dir,
        "checkpoints": checkpoints,
        "config": f"{run_dir}/{_CONFIG}",
        # Below the job's output folder, where Vertex AI looks for a TensorBoard instance.
        "logs": f"{run_dir}/{_LOGS}",
        "progress": f"{checkpoints}/{_PROGRESS}",
    }


def trainer_config(properties: dict[str, Any], machine: Machine) -> TrainerConfig:
    """What to train: as configured, with the preset and epochs of this run, for this machine."""
    config = resolve(
        build(TrainerConfig, json.loads(properties["config"])),
        properties["config_preset"],
        properties.get("preset") or "",
        int(properties.get("epochs") or 0),
    )
    loop = dataclasses.replace(
        config.loop,
        strategy=machine.strategy,
        tpu_address=machine.tpu_address,
        logical_cpu_devices=1,
    )
    return dataclasses.replace(config, loop=loop)


def find_finished(checkpoints: str) -> str | None:
    """Folder of a finished training below a folder of checkpoints, whole and undamaged."""
    import tensorflow as tf

    for path in sorted(tf.io.gfile.glob(f"{checkpoints}/*/finished/trainer.json")):
        folder = path.rpartition("/")[0]
        if read_trained(folder) is not None:
            return str(folder)
    return None


def _check(
    examples_dir: str, transform_dir: str, config: TrainerConfig, job: TrainingJobConfig
) -> str:
    """Refuse what training would refuse in the job; returns the key of the run."""
    from trainer import schema
    from trainer.identity import run_digest
    from trainer.manifest import read_manifest
    from trainer.train import check_inputs
    from trainer.transform_graph import read_normaliser

    manifest, normaliser = read_manifest(examples_dir), read_normaliser(transform_dir)
    shards = manifest.of_split(schema.SPLIT_TRAIN)
    check_inputs(examples_dir, manifest, shards, normaliser, config)
    machine = job.machine
    sites: dict[str, int] = {}
    for shard in shards:
        sites[shard.plate_id] = sites.get(shard.plate_id, 0) + shard.n_records
    if len(sites) < machine.hosts:
        raise PlatewiseError(
            f"{len(sites)} training plates are too few for the {machine.hosts} hosts of "
            f"vertex.training.accelerator = {machine.name!r}: each reads files of its own, at "
            "least one"
        )
    size = config.data.minibatch_size
    most = sum(max(1, n // size) for n in sites.values())
    if most < machine.replicas:
        raise PlatewiseError(
            f"{most} minibatches of {size} sites an epoch are too few for the {machine.replicas} "
            f"devices of vertex.training.accelerator = {machine.name!r}; lower "
            "training.data.minibatch_size or take a smaller one"
        )
    # Another image may hold other code and libraries; on other devices a step is other sites.
    run = run_digest(config, shards, normaliser)
    return digest(run, job.image, machine.replicas, machine.hosts)


class _Progress:
    """Logs what the trainer says of itself, once each time that it says something new."""

    def __init__(self, path: str) -> None:
        self._path, self._text = path, ""

    def __call__(self) -> str:
        """Why training failed, if it says so."""
        text = self._read()
        progress = read_progress(text)
        if progress is not None and text != self._text:
            tell(progress)
        self._text = text
        return read_failure(text)

    def forget_failure(self) -> None:
        """Remove what an earlier job left behind: it says nothing of the next."""
        import tensorflow as tf

        if read_failure(self._read()):
            tf.io.gfile.remove(self._path)

    def _read(self) -> str:
        import tensorflow as tf

        try:
            with tf.io.gfile.GFile(self._path) as stream:
                return str(stream.read())
        except (tf.errors.OpError, OSError):
            return ""


def _collect(checkpoints: str, run_dir: str) -> None:
    """Bring the weights here: a job that an earlier attempt started wrote them elsewhere."""
    if read_trained(run_dir) is not None:
        return
    finished = find_finished(checkpoints)
    if finished is None:
        raise PlatewiseError(
            f"the training job succeeded, but {checkpoints} holds no finished training: was it "
            "removed meanwhile? Run the training step again"
        )
    copy_trained(finished, run_dir)
