"""Names of accelerators, and the machines they stand for."""

from __future__ import annotations

import pytest
from google.cloud.aiplatform_v1.types import AcceleratorType

from components.training_job.config import TrainingJobConfig
from components.training_job.machines import MACHINES, Machine, find_machine
from trainer.config import LoopConfig
from trainer.strict import ConfigError, build


@pytest.mark.parametrize("machine", MACHINES.values(), ids=list(MACHINES))
def test_rows_hold_together(machine: Machine) -> None:
    assert find_machine(machine.name.upper()) == machine
    if machine.accelerator_type:
        assert AcceleratorType[machine.accelerator_type]  # the API has it
    assert bool(machine.accelerator_type) == bool(machine.accelerator_count)
    LoopConfig(strategy=machine.strategy, tpu_address=machine.tpu_address)
    stated = machine.name.rpartition("-")[2]
    if stated.isdigit():  # what the name says is what computes side by side
        assert machine.replicas == int(stated)
    assert machine.is_tpu == machine.name.startswith(("v2-", "v3-", "v5e-"))


def test_tpus_are_what_the_documentation_says() -> None:
    expected = {
        "v2-8": ("cloud-tpu", "TPU_V2", 8, "", 1),
        "v3-8": ("cloud-tpu", "TPU_V3", 8, "", 1),
        "v3-32": ("cloud-tpu", "TPU_V3", 32, "", 4),
        "v5e-1": ("ct5lp-hightpu-1t", "", 0, "1x1", 1),
        "v5e-4": ("ct5lp-hightpu-4t", "", 0, "2x2", 1),
        "v5e-8": ("ct5lp-hightpu-8t", "", 0, "2x4", 1),
        "v5e-16": ("ct5lp-hightpu-4t", "", 0, "4x4", 4),
        "v5e-256": ("ct5lp-hightpu-4t", "", 0, "16x16", 64),
    }
    for name, (machine_type, kind, count, topology, hosts) in expected.items():
        found = find_machine(name)
        assert (found.machine_type, found.accelerator_type) == (machine_type, kind)
        assert (found.accelerator_count, found.tpu_topology, found.hosts) == (
            count,
            topology,
            hosts,
        )
        assert found.tpu_address == ("local" if hosts == 1 else "pod")


def test_v5e_alone_is_reached_by_pjrt() -> None:
    assert find_machine("v5e-8").environment("/lib/libtpu.so") == {
        "NEXT_PLUGGABLE_DEVICE_USE_C_API": "true",
        "TF_PLUGGABLE_DEVICE_LIBRARY_PATH": "/lib/libtpu.so",
    }
    assert find_machine("v3-8").environment("/lib/libtpu.so") == {
        "TPU_LIBRARY_PATH": "/lib/libtpu.so"
    }
    for name in ("v3-32", "v5e-16", "l4-8", "cpu"):
        assert find_machine(name).environment("/lib/libtpu.so") == {}


def test_several_machines_of_gpus() -> None:
    two = find_machine("l4-8x2")
    assert (two.hosts, two.strategy, two.replicas) == (2, "multi_worker", 16)
    assert (two.machine_type, two.accelerator_count) == ("g2-standard-96", 8)
    assert find_machine("cpux3").replicas == 3


@pytest.mark.parametrize("name", ["v6e-8", "Trillium", "v7x-16", "ct6e-standard-4t", "tpu7x"])
def test_newer_tpus_are_refused_with_the_reason(name: str) -> None:
    with pytest.raises(ConfigError, match=r"from TPU v6e .* TensorFlow is not supported"):
        find_machine(name)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("v5e-5", "did you mean 'v5e-4'"),
        ("v5e-9", "did you mean 'v5e-8'"),
        ("a100-3", "did you mean 'a100-2'"),
        ("h100", "did you mean 'h100-1'"),
        ("a100_80gb-4", "did you mean 'a100-80gb-4'"),
        ("v5litepod-8", "did you mean 'v5e-8'"),
        ("quantum", "none is near"),
        ("v5e-8x2", "several machines of a GPU or CPU"),
        ("v4-8", "take 'v5e-8'"),
        ("l4-8x1", "2 to 16 machines"),
        ("l4-8x17", "2 to 16 machines"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        find_machine(name)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"accelerator": "v6e-8"}, "TensorFlow is not supported"),
        (
            {"accelerator": "v5e-16", "scheduling": "spot"},
            "slice of 4 hosts.*cannot be had as spot",
        ),
        ({"accelerator": "v5e-8", "scheduling": "flex_start"}, "flex_start hands out L4"),
        (
            {"accelerator": "h100-8", "scheduling": "flex_start", "timeout_h": 200.0},
            "timeout_h must be at most 168",
        ),
        ({"boot_disk_gb": 50}, "at least 100"),
        ({"scheduling": "reserved"}, "go together"),
        ({"poll_s": 0.0}, "poll_s must be positive"),
    ],
)
def test_jobs_that_vertex_would_refuse(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(TrainingJobConfig, settings)


def test_jobs_that_it_takes() -> None:
    build(TrainingJobConfig, {"accelerator": "v5e-8", "scheduling": "spot"})
    build(TrainingJobConfig, {"accelerator": "h100-8", "scheduling": "flex_start"})
    reservation = "projects/p/zones/us-central1-a/reservations/plates"
    build(TrainingJobConfig, {"scheduling": "reserved", "reservation": reservation})
