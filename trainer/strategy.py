"""Where a run computes: one device, several, or a TPU."""

from __future__ import annotations

import tensorflow as tf

from trainer.config import LoopConfig
from trainer.errors import PlatewiseError


def make_strategy(config: LoopConfig) -> tf.distribute.Strategy:
    """The tf.distribute strategy that the configuration names.

    ``default`` is one device. ``mirrored`` takes every GPU, or every logical CPU device
    where there is none. ``tpu`` connects to ``config.tpu_address``.

    Raises
    ------
    PlatewiseError
        TensorFlow has started already and the CPU can no longer be split; or no TPU answers.
    """
    if config.logical_cpu_devices > 1:
        _split_cpu(config.logical_cpu_devices)
    if config.strategy == "default":
        return tf.distribute.get_strategy()
    if config.strategy == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=config.tpu_address)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        raise PlatewiseError(
            f"no TPU answers at loop.tpu_address = {config.tpu_address!r} "
            f"({type(error).__name__}: {error}); on a TPU VM it is 'local', and the TPU build of "
            "TensorFlow has to be installed; elsewhere set loop.strategy = 'default'"
        ) from None
    return tf.distribute.TPUStrategy(resolver)


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
