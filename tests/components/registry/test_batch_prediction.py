"""Batch prediction with a registered version, the component and its configuration."""

from __future__ import annotations

import json
from typing import Any

import pytest
from servers.vertex import VertexServer
from tfx.types import standard_artifacts

from components.registry.batch_prediction import start_batch_prediction
from components.registry.component import PlateVertexPusher
from components.registry.config import RegistryConfig
from components.vertex_api import VertexError
from trainer.strict import ConfigError

PROJECT, REGION = "screens", "europe-west4"


def test_batch_prediction(vertex_server: VertexServer, push_model: Any) -> None:
    push_model()
    vertex_server.script("batchPredictionJobs", ["RUNNING", ("FAILED", "out of memory")])
    job = start_batch_prediction(
        PROJECT,
        REGION,
        RegistryConfig(),
        "gs://b/examples/Split-score/*",
        "gs://b/out",
        version="blessed",
        labels={"team": "imaging"},
    )
    (request,) = vertex_server.sent("CreateBatchPredictionJob")
    sent = request.batch_prediction_job
    assert sent.model.endswith("/models/platewise@1")
    assert sent.input_config.instances_format == "tf-record"
    assert list(sent.input_config.gcs_source.uris) == ["gs://b/examples/Split-score/*"]
    assert sent.output_config.gcs_destination.output_uri_prefix == "gs://b/out"
    assert sent.manual_batch_tuning_parameters.batch_size == 8
    assert job.state.name == "JOB_STATE_RUNNING"
    assert job.state.name == "JOB_STATE_FAILED" and job.error.message == "out of memory"


def test_batch_prediction_without_a_model(vertex_server: VertexServer) -> None:
    with pytest.raises(VertexError, match=r"find the model .*platewise@7: .*not be found"):
        start_batch_prediction(PROJECT, REGION, RegistryConfig(), "gs://b/x", "gs://b/y", "7")
    with pytest.raises(VertexError, match="source is '/data/x'"):
        start_batch_prediction(PROJECT, REGION, RegistryConfig(), "/data/x", "gs://b/y")


def test_component_takes_its_executors_properties() -> None:
    from tfx.types import channel_utils

    component = PlateVertexPusher(
        model=channel_utils.as_channel([standard_artifacts.Model()]),
        model_blessing=channel_utils.as_channel([standard_artifacts.ModelBlessing()]),
        evaluation=channel_utils.as_channel([standard_artifacts.ModelEvaluation()]),
        folder="gs://b/pushed",
        registry=RegistryConfig(aliases=("blessed", "nightly")),
        project=PROJECT,
        region=REGION,
        labels={"b": "2", "a": "1"},
    )
    assert json.loads(component.exec_properties["registry"])["aliases"] == ["blessed", "nightly"]
    assert component.exec_properties["labels"] == '{"a": "1", "b": "2"}'


@pytest.mark.parametrize(
    "wrong",
    [{"model_id": "Plate Wise"}, {"aliases": ("Best!",)}, {"endpoint": "endpoints/7"}],
)
def test_names_that_the_registry_refuses(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        RegistryConfig(**wrong)
