"""Where a run computes: one device, several, several machines, or a TPU."""

from __future__ import annotations

import json
import os
from typing import Any

import tensorflow as tf

from trainer.config import LoopConfig
from trainer.errors import PlatewiseError


def make_strategy(config: LoopConfig) -> tf.distribute.Strategy:
    """The tf.distribute strategy that the configuration names.

    ``default`` is one device. ``mirrored`` takes every GPU, or every logical CPU device
    where there is none. ``multi_worker`` is that on each of the machines that the environment
    variable TF_CONFIG lists (Vertex AI sets it). ``tpu`` connects to ``config.tpu_address``.

    Raises
    ------
    PlatewiseError
        TensorFlow has started already and the CPU can no longer be split; TF_CONFIG or TPU_CONFIG
        is not what it should be; or no TPU answers.
    """
    if config.logical_cpu_devices > 1:
        _split_cpu(config.logical_cpu_devices)
    if config.strategy == "default":
        return tf.distribute.get_strategy()
    if config.strategy == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    if config.strategy == "multi_worker":
        _check_cluster()
        return tf.distribute.MultiWorkerMirroredStrategy()
    try:
        resolver = _tpu_resolver(config.tpu_address)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        raise PlatewiseError(
            f"no TPU answers at loop.tpu_address = {config.tpu_address!r} "
            f"({type(error).__name__}: {error}); on a TPU VM it is 'local', and the TPU build of "
            "TensorFlow has to be installed; elsewhere set loop.strategy = 'default'"
        ) from None
    return tf.distribute.TPUStrategy(resolver)


def _tpu_resolver(address: str) -> tf.distribute.cluster_resolver.TPUClusterResolver:
    if address != "pod":
        return tf.distribute.cluster_resolver.TPUClusterResolver(tpu=address)
    # The whole slice, whose name Vertex AI tells the process that drives it.
    node = _environment_json("TPU_CONFIG", "tpu_node_name")
    return tf.distribute.cluster_resolver.TPUClusterResolver(
        tpu=node["tpu_node_name"], zone=node.get("zone"), project=node.get("project")
    )


def _check_cluster() -> None:
    cluster = _environment_json("TF_CONFIG", "cluster", "task")["cluster"]
    strangers = set(cluster) - {"chief", "worker"}
    if strangers:
        raise PlatewiseError(
            f"TF_CONFIG lists {', '.join(sorted(strangers))}; training knows chief and worker only"
        )


def _environment_json(variable: str, *keys: str) -> dict[str, Any]:
    """What the platform says of this machine: an environment variable that holds JSON."""
    text = os.environ.get(variable, "")
    try:
        found = json.loads(text)
        if all(key in found for key in keys):
            return dict(found)
    except (ValueError, TypeError):
        pass
    raise PlatewiseError(
        f"the environment variable {variable} must hold JSON with {' and '.join(keys)}, which "
        f"Vertex AI sets; got {text!r}. On a single machine set loop.strategy to 'mirrored', or "
        "for a TPU loop.tpu_address to 'local'"
    )


def _split_cpu(n_devices: int) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    wanted = [tf.config.LogicalDeviceConfiguration() for _ in range(n_devices)]
    current = tf.config.get_logical_device_configuration(cpu)
    if current is not None and len(current) == n_devices:
        return
    try:
        tf.config.set_logical_device_configuration(cpu, wanted)
    except RuntimeError:
        raise PlatewiseError(
            f"loop.logical_cpu_devices = {n_devices} has to be set before TensorFlow computes "
            "anything in this process; start training in a process of its own "
            "(python -m trainer)"
        ) from None
