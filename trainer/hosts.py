"""The machines of one training run, and what they have to agree on.

On GPUs (``multi_worker``) every host runs this program on input of its own, and TensorFlow adds
up their gradients: host 0, the chief, alone writes. On a TPU slice one process drives all hosts
(:class:`tf.distribute.TPUStrategy` has a single controller), which only read input for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from trainer.errors import PlatewiseError


@dataclass(frozen=True)
class Hosts:
    """Hosts of a strategy, as this process sees them."""

    n: int = 1
    #: Which of them this process is; 0 where it drives all.
    index: int = 0
    #: Each host runs a process of its own.
    processes: bool = False

    @property
    def chief(self) -> bool:
        """Whether this process writes checkpoints, weights and logs."""
        return self.index == 0


def hosts_of(strategy: tf.distribute.Strategy) -> Hosts:
    """Hosts of a strategy; one where it knows of no others."""
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        resolver = strategy.cluster_resolver
        tasks = tasks_of(resolver.cluster_spec().as_dict())
        here = tasks.index((resolver.task_type, resolver.task_id))
        return Hosts(len(tasks), here, processes=True)
    if isinstance(strategy, tf.distribute.TPUStrategy):
        return Hosts(strategy.extended.num_hosts)
    return Hosts()


def tasks_of(cluster: dict[str, list[str]]) -> list[tuple[str, int]]:
    """Tasks that train, the chief first: the order in which TensorFlow numbers input pipelines."""
    return [(kind, i) for kind in ("chief", "worker") for i in range(len(cluster.get(kind, [])))]


def share_plates(n_minibatches: Sequence[int], n_hosts: int) -> list[np.ndarray]:
    """Which plates each host reads, so that their numbers of minibatches are as equal as can be.

    Plates are dealt out from the largest, each to the host that has least: every plate belongs to
    one host, which alone opens its files.

    Raises
    ------
    PlatewiseError
        Fewer plates than hosts.
    """
    if len(n_minibatches) < n_hosts:
        raise PlatewiseError(
            f"{len(n_minibatches)} training plates are too few for {n_hosts} hosts: each reads "
            "files of its own, at least one; take an accelerator with fewer hosts"
        )
    shares: list[list[int]] = [[] for _ in range(n_hosts)]
    loads = [0] * n_hosts
    for plate in np.argsort(-np.asarray(n_minibatches), kind="stable"):
        host = loads.index(min(loads))
        shares[host].append(int(plate))
        loads[host] += int(n_minibatches[plate])
    return [np.array(sorted(share)) for share in shares]


def mean_over_hosts(strategy: tf.distribute.Strategy, value: float) -> float:
    """Mean of a number that each host has; returns when all have brought theirs."""
    given = tf.constant(value, tf.float64)
    mine = strategy.run(tf.function(lambda: tf.identity(given), autograph=False))
    return float(strategy.reduce(tf.distribute.ReduceOp.MEAN, mine, axis=None))


def check_agreement(strategy: tf.distribute.Strategy, step: int) -> None:
    """Stop unless every host goes on from the same step.

    Raises
    ------
    PlatewiseError
        They found different checkpoints.
    """
    mean = mean_over_hosts(strategy, step)
    if mean != step:
        raise PlatewiseError(
            f"this host goes on from step {step}, others from another one (mean {mean:g}): they "
            "must read the same --checkpoints folder, such as a gs:// one"
        )
