"""The step's parameters: what it is given is what its executor reads."""

from __future__ import annotations

import json

import pytest
from tfx.orchestration.data_types import RuntimeParameter
from tfx.types import standard_artifacts
from tfx.types.channel import Channel

from components.training_job.component import PlateTrainingJob
from components.training_job.config import TrainingJobConfig
from components.training_job.executor import trainer_config
from trainer.presets import preset
from trainer.strict import build


def component(**more: object) -> PlateTrainingJob:
    return PlateTrainingJob(
        examples=Channel(type=standard_artifacts.Examples),
        transform_graph=Channel(type=standard_artifacts.TransformGraph),
        config=preset("tiny", {"model": {"dropout": 0.3}}),
        config_preset="tiny",
        job=TrainingJobConfig(image="trainer:1", accelerator="v3-8"),
        project="my-project",
        region="us-central1",
        checkpoint_root="gs://my-bucket/checkpoints",
        labels={"team": "imaging"},
        **more,
    )


@pytest.mark.parametrize(("given", "epochs"), [({}, 20), ({"epochs": 3}, 3)])
def test_its_properties_round_trip(given: dict, epochs: int) -> None:
    step = component(**given)
    job = build(TrainingJobConfig, json.loads(step.exec_properties["job"]))
    assert job == TrainingJobConfig(image="trainer:1", accelerator="v3-8")
    config = trainer_config(step.exec_properties, job.machine)
    assert config.loop.epochs == epochs and config.model.dropout == 0.3
    assert (config.loop.strategy, config.loop.tpu_address) == ("tpu", "local")
    assert json.loads(step.exec_properties["labels"]) == {"team": "imaging"}
    assert step.outputs["model_run"].type is standard_artifacts.ModelRun


def test_preset_and_epochs_can_wait_for_the_start() -> None:
    step = component(
        preset=RuntimeParameter("model_preset", str), epochs=RuntimeParameter("epochs", int)
    )
    assert step.exec_properties["epochs"].name == "epochs"
    assert step.exec_properties["preset"].name == "model_preset"
