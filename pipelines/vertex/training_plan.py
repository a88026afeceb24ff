"""The custom job that a compiled pipeline would start, read out of its step's parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from components.training_job.config import TrainingJobConfig
from components.training_job.machines import Machine
from pipelines.vertex.steps import Step
from trainer.strict import build


@dataclass(frozen=True)
class TrainingPlan:
    """Which machines train, and as whom."""

    #: Step that starts the job and waits for it.
    step: str
    config: TrainingJobConfig
    machine_type: str
    #: Such as ``NVIDIA_L4`` or ``TPU_V3``; empty: none, or part of the machine.
    accelerator_type: str
    accelerator_count: int
    hosts: int
    #: The machines in words.
    words: str
    service_account: str
    #: Where training that was stopped goes on from.
    checkpoint_root: str


def training_plan(steps: Sequence[Step]) -> TrainingPlan | None:
    """The custom job among the steps; None where nothing is trained."""
    for step in steps:
        config = _config_of(step.parameters)
        if config is not None:
            return _plan(step, config)
    return None


def _config_of(parameters: Mapping[str, Any]) -> TrainingJobConfig | None:
    """A step's constant that is the training job's configuration, as JSON."""
    names = {field.name for field in fields(TrainingJobConfig)}
    for text in parameters.values():
        if isinstance(text, str) and text.startswith("{") and '"accelerator"' in text:
            value = json.loads(text)
            if "accelerator" in value and set(value) <= names:
                return build(TrainingJobConfig, value)
    return None


def _plan(step: Step, config: TrainingJobConfig) -> TrainingPlan:
    machine = config.machine
    return TrainingPlan(
        step=step.name,
        config=config,
        machine_type=machine.machine_type,
        accelerator_type=machine.accelerator_type,
        accelerator_count=machine.accelerator_count,
        hosts=machine.hosts,
        words=_words(machine),
        service_account=str(step.parameters.get("service_account", "")),
        checkpoint_root=str(step.parameters.get("checkpoint_root", "")),
    )


def _words(machine: Machine) -> str:
    hosts = f"{machine.hosts} {'host' if machine.hosts == 1 else 'hosts'}"
    if machine.tpu_topology:
        chips = f"{machine.replicas} {'chip' if machine.replicas == 1 else 'chips'}"
        return f"{chips} ({machine.tpu_topology}), {hosts} of {machine.machine_type}"
    if machine.is_tpu:  # cores of the whole slice, two to a chip
        count = machine.accelerator_count
        return f"{count} cores, {count // 2} chips of {machine.accelerator_type}, {hosts}"
    if machine.accelerator_type:
        cards = f"{machine.accelerator_count} x {machine.accelerator_type}"
        each = ", each" if machine.hosts > 1 else ""
        return f"{hosts} of {machine.machine_type}{each} with {cards}"
    return f"{hosts} of {machine.machine_type}, no accelerator"
