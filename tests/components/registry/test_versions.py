"""A blessed model becomes one new version in the registry, however often the step is tried."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from servers.vertex import VertexServer

from components.registry.config import RegistryConfig
from components.vertex_api import ENDPOINT_VARIABLE, VertexError

PROJECT, REGION = "screens", "europe-west4"
JOB = f"projects/{PROJECT}/locations/{REGION}/pipelineJobs/training-20260901"
KEY = f"projects/{PROJECT}/locations/{REGION}/keyRings/r/cryptoKeys/k"
WELLS = {"level": "well", "well_type": "treatment"}


def versions_of(server: VertexServer, model_id: str = "platewise") -> list[Any]:
    name = f"projects/{PROJECT}/locations/{REGION}/models/{model_id}"
    return server.handlers.models.versions(name)


def evaluations_of(server: VertexServer) -> list[Any]:
    return [r for name, r in server.store.resources.items() if "/evaluations/" in name]


def test_versions_of_one_model(
    vertex_server: VertexServer, push_model: Any, tmp_path: Path
) -> None:
    first = push_model("one")
    second = push_model("two")
    one, two = versions_of(vertex_server)
    assert [one.version_id, two.version_id] == ["1", "2"]
    # The aliases have moved to the newer one.
    assert not one.version_aliases and set(two.version_aliases) == {"blessed", "default"}
    for version, pushed in ((one, first), (two, second)):
        destination = pushed.get_string_custom_property("pushed_destination")
        assert version.artifact_uri == destination
        assert Path(destination, "saved_model.pb").read_text() == "graph"
        assert pushed.get_int_custom_property("pushed") == 1
        registered = pushed.get_string_custom_property("registered_model")
        assert registered.endswith(f"/models/platewise@{version.version_id}")
    assert (tmp_path / "pushed_model" / "registered_model.txt").read_text().strip() == registered
    requests = vertex_server.sent("UploadModel")
    assert [r.model_id for r in requests] == ["platewise", ""]
    assert requests[0].parent_model == ""
    assert requests[1].parent_model.endswith("/models/platewise")


def test_what_a_version_tells(vertex_server: VertexServer, push_model: Any) -> None:
    push_model(config=RegistryConfig(labels={"team": "screens"}, serving_image="our/image:1"))
    (model,) = versions_of(vertex_server)
    assert model.pipeline_job == JOB
    assert model.labels["pipeline_job"] == "training-20260901"
    assert model.labels["team"] == "screens"
    assert model.container_spec.image_uri == "our/image:1"
    assert model.encryption_spec.kms_key_name == KEY
    assert model.version_description == "8 classes. accuracy of all wells: 0.5 (>= 0.25)"


def test_the_evaluation_goes_with_the_version(vertex_server: VertexServer, push_model: Any) -> None:
    push_model()
    (found,) = evaluations_of(vertex_server)
    assert "/models/platewise@1/evaluations/" in found.name
    plain = json_format.MessageToDict(type(found).pb(found))
    assert plain["metricsSchemaUri"].endswith("/classification_metrics_1.0.0.yaml")
    assert plain["metrics"] == {
        "logLoss": 1.25,
        "confidenceMetrics": [
            {"confidenceThreshold": 0.0, "maxPredictions": 1, "recall": 0.5, "precision": 0.5},
            {"confidenceThreshold": 0.0, "maxPredictions": 5, "recall": 0.9, "precision": 0.18},
        ],
    }
    assert plain["metadata"]["pipeline_job_id"] == "training-20260901"
    assert plain["metadata"]["gates"][0]["passed"] is True
    assert plain["metadata"]["slices"] == [
        {**WELLS, "n": 40, "accuracy": 0.5, "top_5_accuracy": 0.9, "cross_entropy": 1.25},
        {**WELLS, "experiment": "RPE-09", "n": 40},
    ]


def test_only_a_blessed_model(vertex_server: VertexServer, push_model: Any) -> None:
    pushed = push_model(blessed=False)
    assert pushed.get_int_custom_property("pushed") == 0
    assert vertex_server.requests == []


def test_upload_can_be_switched_off(vertex_server: VertexServer, push_model: Any) -> None:
    pushed = push_model(config=RegistryConfig(upload=False))
    assert pushed.get_int_custom_property("pushed") == 1
    assert vertex_server.requests == []


def test_a_retried_step_adds_nothing(
    vertex_server: VertexServer, push_model: Any, tmp_path: Path
) -> None:
    first, again = push_model(), push_model()
    assert len(versions_of(vertex_server)) == 1
    assert len(vertex_server.sent("UploadModel")) == 1
    assert len(evaluations_of(vertex_server)) == 1
    name = "pushed_destination"
    assert first.get_string_custom_property(name) == again.get_string_custom_property(name)
    assert [path.name for path in (tmp_path / "pushed").glob("[0-9]*")] == [
        again.get_string_custom_property("pushed_version")
    ]


@pytest.mark.parametrize("rpc", ["UploadModel", "ImportModelEvaluation"])
def test_a_step_that_failed_half_way_goes_on(
    vertex_server: VertexServer, push_model: Any, rpc: str
) -> None:
    vertex_server.fail_next(403, "Permission 'aiplatform.models.upload' denied", rpc=rpc)
    with pytest.raises(VertexError, match=r"models\.upload' denied \(HTTP 403\)\nThe permission"):
        push_model()
    push_model()
    assert len(versions_of(vertex_server)) == len(evaluations_of(vertex_server)) == 1


def test_an_answer_that_got_lost_uploads_once(vertex_server: VertexServer, push_model: Any) -> None:
    # The upload went through; what tells of it was cut off.
    vertex_server.fail_next(503, rpc="GetModel", cut=True)
    push_model()
    assert vertex_server.log().count("UploadModel 200") == 1
    assert len(versions_of(vertex_server)) == 1


def test_an_old_version_that_is_pushed_again_takes_the_aliases(
    vertex_server: VertexServer, push_model: Any
) -> None:
    for weights in ("one", "two", "one"):
        push_model(weights)
    one, two = versions_of(vertex_server)
    assert set(one.version_aliases) == {"blessed", "default"} and not two.version_aliases


def test_a_second_job_attaches_its_own_evaluation(
    vertex_server: VertexServer, push_model: Any
) -> None:
    push_model()
    push_model(job=JOB + "-b")
    assert len(versions_of(vertex_server)) == 1
    titles = [e.display_name for e in evaluations_of(vertex_server)]
    assert titles == ["platewise training-20260901", "platewise training-20260901-b"]


def test_a_placeholder_that_nobody_filled_in_is_no_link(
    vertex_server: VertexServer, push_model: Any
) -> None:
    push_model(job="{{$.pipeline_job_resource_name}}")
    (model,) = versions_of(vertex_server)
    assert model.pipeline_job == "" and "pipeline_job" not in model.labels


def test_a_failed_upload_says_why(vertex_server: VertexServer, push_model: Any) -> None:
    vertex_server.fail_operation(
        "UploadModel", 400, "The model's files must lie in a bucket of the same region"
    )
    with pytest.raises(VertexError) as raised:
        push_model()
    text = str(raised.value)
    assert text.startswith("cannot upload ") and "same region" in text
    assert "vertex.pipeline_root" in text
    assert versions_of(vertex_server) == []


def test_a_local_folder_is_refused_by_the_real_service(
    push_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ENDPOINT_VARIABLE, raising=False)
    with pytest.raises(VertexError, match=r"takes models from a bucket, not from .*pushed"):
        push_model()
