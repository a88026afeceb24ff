"""Accelerators by name, and the Vertex AI machines that have them.

The rows follow Vertex AI's page "Configure compute resources for custom training" (machine types,
GPU compatibility table, TPU topologies) and "Training with TPU accelerators" (environment, slices
of several hosts), as of 2026-07.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace
from typing import Literal

from trainer.strict import ConfigError

Strategy = Literal["default", "mirrored", "multi_worker", "tpu"]

#: The most machines that ``xN`` asks for: beyond, gradients over Ethernet are what one waits for.
MAX_HOSTS = 16


@dataclass(frozen=True)
class Machine:
    """What one name stands for."""

    name: str
    machine_type: str
    #: Vertex AI's name of the accelerator; empty where the machine type says it all.
    accelerator_type: str = ""
    #: Of each machine; of the whole slice for TPU v2 and v3, which count cores, two to a chip.
    accelerator_count: int = 0
    #: Chips side by side, for TPU v5e.
    tpu_topology: str = ""
    #: Machines that work on one step together.
    hosts: int = 1
    #: What ``loop.strategy`` has to be there.
    strategy: Strategy = "default"

    @property
    def is_tpu(self) -> bool:
        return self.strategy == "tpu"

    @property
    def tpu_address(self) -> str:
        """What ``loop.tpu_address`` has to be: the chips of this machine, or those of the slice."""
        return "pod" if self.is_tpu and self.hosts > 1 else "local"

    @property
    def replicas(self) -> int:
        """Devices that each see a minibatch of their own in a step."""
        if self.tpu_topology:
            width, _, height = self.tpu_topology.partition("x")
            return int(width) * int(height)
        return max(self.accelerator_count, 1) * (1 if self.is_tpu else self.hosts)

    def environment(self, libtpu: str) -> dict[str, str]:
        """Environment variables that TensorFlow needs to find the chips.

        Parameters
        ----------
        libtpu
            Path of ``libtpu.so`` in the image.
        """
        if not self.is_tpu or self.hosts > 1:  # a slice's servers are started by its base image
            return {}
        if self.tpu_topology:  # v5e is reached by PJRT, v2 and v3 are not
            return {
                "NEXT_PLUGGABLE_DEVICE_USE_C_API": "true",
                "TF_PLUGGABLE_DEVICE_LIBRARY_PATH": libtpu,
            }
        return {"TPU_LIBRARY_PATH": libtpu}


def find_machine(accelerator: str) -> Machine:
    """The row of a name; a GPU or CPU name may end in ``xN``, for N machines.

    Raises
    ------
    ConfigError
        An accelerator on which TensorFlow does not train, or an unknown name, with the nearest
        known one.
    """
    name = accelerator.strip().lower()
    base, _, hosts = name.partition("x")
    row = MACHINES.get(base)
    if row is None:
        raise ConfigError(_why_not(accelerator, name))
    if hosts and (row.is_tpu or not hosts.isdigit()):
        raise ConfigError(_unknown(accelerator))
    if not hosts:
        return row
    if not 2 <= int(hosts) <= MAX_HOSTS:
        raise ConfigError(
            f"accelerator {accelerator!r}: 2 to {MAX_HOSTS} machines can be asked for"
        )
    return replace(row, name=name, hosts=int(hosts), strategy="multi_worker")


def _why_not(accelerator: str, name: str) -> str:
    if re.match(_TOO_NEW, name):
        return (
            f"accelerator {accelerator!r}: from TPU v6e (Trillium) on, TensorFlow is not supported "
            "for training; the newest TPU that trains this model is v5e, such as 'v5e-8'"
        )
    if re.match(_NOT_ON_VERTEX, name):
        return (
            f"accelerator {accelerator!r}: Vertex AI trains TensorFlow on TPU v2, v3 and v5e "
            "alone; take 'v5e-8', or 'v3-8'"
        )
    return _unknown(accelerator)


def _unknown(accelerator: str) -> str:
    near = _nearest(accelerator.strip().lower())
    hint = f"did you mean {near!r}?" if near else "none is near"
    return (
        f"unknown accelerator {accelerator!r} ({hint}); known: {', '.join(MACHINES)}; and several "
        f"machines of a GPU or CPU, such as 'l4-8x2', up to x{MAX_HOSTS}"
    )


def _nearest(name: str) -> str:
    """The row that was meant: of the same family the nearest number, else the nearest spelling."""
    family, _, number = name.rpartition("-")
    family_of = {row: row.rpartition("-")[0] for row in MACHINES}
    sizes = {int(row.rpartition("-")[2]): row for row, f in family_of.items() if f and f == family}
    if family and number.isdigit() and sizes:
        return sizes[min(sizes, key=lambda size: abs(size - int(number)))]
    family_alone = [row for row, f in family_of.items() if f == name]
    return (family_alone or difflib.get_close_matches(name, MACHINES, n=1, cutoff=0.5) or [""])[0]


_TOO_NEW = r"(tpu[-_ ]?)?(v?[6-9]|trillium|ironwood|ct6e|tpu7x)"
_NOT_ON_VERTEX = r"(tpu[-_ ]?)?v(4|5p)"


def _gpus(name: str, accelerator_type: str, machine_types: dict[int, str]) -> dict[str, Machine]:
    rows = {}
    for count, machine_type in machine_types.items():
        strategy: Strategy = "default" if count == 1 else "mirrored"
        key = f"{name}-{count}"
        rows[key] = Machine(key, machine_type, accelerator_type, count, strategy=strategy)
    return rows


def _cloud_tpus(version: str, sizes: tuple[int, ...]) -> dict[str, Machine]:
    """TPU v2 and v3: 8 cores to a host."""
    rows = {}
    for cores in sizes:
        key = f"{version}-{cores}"
        kind = f"TPU_{version.upper()}"
        rows[key] = Machine(key, "cloud-tpu", kind, cores, hosts=cores // 8, strategy="tpu")
    return rows


def _v5e() -> dict[str, Machine]:
    single = {1: ("1t", "1x1"), 4: ("4t", "2x2"), 8: ("8t", "2x4")}
    slices = {16: "4x4", 32: "4x8", 64: "8x8", 128: "8x16", 256: "16x16"}
    rows = {}
    for chips, (size, topology) in single.items():
        key = f"v5e-{chips}"
        rows[key] = Machine(key, f"ct5lp-hightpu-{size}", tpu_topology=topology, strategy="tpu")
    for chips, topology in slices.items():
        key = f"v5e-{chips}"
        rows[key] = Machine(
            key, "ct5lp-hightpu-4t", tpu_topology=topology, hosts=chips // 4, strategy="tpu"
        )
    return rows


#: Every accelerator by name.
MACHINES: dict[str, Machine] = {
    "cpu": Machine("cpu", "n2-standard-16"),
    **_cloud_tpus("v2", (8, 32, 128, 256, 512)),
    **_cloud_tpus("v3", (8, 32, 64, 128, 256, 512, 1024, 2048)),
    **_v5e(),
    **_gpus(
        "t4", "NVIDIA_TESLA_T4", {1: "n1-standard-8", 2: "n1-standard-16", 4: "n1-standard-32"}
    ),
    **_gpus(
        "v100",
        "NVIDIA_TESLA_V100",
        {1: "n1-standard-8", 2: "n1-standard-16", 4: "n1-standard-32", 8: "n1-standard-64"},
    ),
    **_gpus(
        "l4",
        "NVIDIA_L4",
        {1: "g2-standard-12", 2: "g2-standard-24", 4: "g2-standard-48", 8: "g2-standard-96"},
    ),
    **_gpus(
        "a100",
        "NVIDIA_TESLA_A100",
        {n: f"a2-highgpu-{n}g" for n in (1, 2, 4, 8)} | {16: "a2-megagpu-16g"},
    ),
    **_gpus("a100-80gb", "NVIDIA_A100_80GB", {n: f"a2-ultragpu-{n}g" for n in (1, 2, 4, 8)}),
    **_gpus("h100", "NVIDIA_H100_80GB", {n: f"a3-highgpu-{n}g" for n in (1, 2, 4, 8)}),
    **_gpus("h200", "NVIDIA_H200_141GB", {8: "a3-ultragpu-8g"}),
}
