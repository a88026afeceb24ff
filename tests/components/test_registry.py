"""A blessed model becomes one new version in the registry, however often the step is tried."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from servers.vertex import VertexServer
from tfx.types import standard_artifacts

from components.evaluator.config import EvaluationConfig
from components.evaluator.results import FILE_NAME, Evaluation, Gate, SliceMetrics, Value
from components.pusher.executor import content_digest, push_once
from components.registry.batch_prediction import start_batch_prediction
from components.registry.component import PlateVertexPusher
from components.registry.config import RegistryConfig
from components.registry.endpoint import split_traffic
from components.registry.executor import PlateVertexPusherExecutor
from components.vertex_api import ENDPOINT_VARIABLE, VertexError, connect
from trainer.strict import ConfigError, to_mapping

PROJECT, REGION = "screens", "europe-west4"
JOB = f"projects/{PROJECT}/locations/{REGION}/pipelineJobs/training-20260901"
KEY = f"projects/{PROJECT}/locations/{REGION}/keyRings/r/cryptoKeys/k"
WELLS = {"level": "well", "well_type": "treatment"}

EVALUATION = Evaluation(
    blessed=True,
    reasons=(),
    gates=(Gate("accuracy", "all wells", 0.5, ">= 0.25", True),),
    slices=(
        SliceMetrics({"level": "site"}, 80, {"accuracy": Value(0.4)}),
        SliceMetrics(
            WELLS,
            40,
            {
                "accuracy": Value(0.5, 0.4, 0.6),
                "top_5_accuracy": Value(0.9),
                "cross_entropy": Value(1.25),
            },
        ),
        SliceMetrics({**WELLS, "experiment": "RPE-09"}, 40, {"cross_entropy": Value(float("inf"))}),
        SliceMetrics({**WELLS, "plate_id": "RPE-09_1"}, 10, {"accuracy": Value(0.3)}),
    ),
    n_classes=8,
    has_baseline=False,
    config=EvaluationConfig(),
)


@pytest.fixture
def push_model(tmp_path: Path) -> Any:
    """Runs the pusher as a pipeline step would; returns the artifact."""

    def run(
        weights: str = "one",
        config: RegistryConfig | None = None,
        blessed: bool = True,
        job: str = JOB,
    ) -> Any:
        folder = tmp_path / "model" / "Format-Serving"
        for name, text in {"saved_model.pb": "graph", "variables/variables.index": weights}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        evaluation = tmp_path / "evaluation"
        evaluation.mkdir(exist_ok=True)
        (evaluation / FILE_NAME).write_text(EVALUATION.to_json())
        artifacts: dict[str, Any] = {
            "model": standard_artifacts.Model(),
            "model_blessing": standard_artifacts.ModelBlessing(),
            "evaluation": standard_artifacts.ModelEvaluation(),
        }
        for name, artifact in artifacts.items():
            artifact.uri = str(tmp_path / name)
        artifacts["model_blessing"].set_int_custom_property("blessed", int(blessed))
        pushed = standard_artifacts.PushedModel()
        pushed.uri = str(tmp_path / "pushed_model")
        Path(pushed.uri).mkdir(exist_ok=True)
        PlateVertexPusherExecutor().Do(
            {name: [artifact] for name, artifact in artifacts.items()},
            {"pushed_model": [pushed]},
            {
                "folder": str(tmp_path / "pushed"),
                "registry": json.dumps(to_mapping(config or RegistryConfig())),
                "project": PROJECT,
                "region": REGION,
                "service_account": "server@screens.iam.gserviceaccount.com",
                "encryption_key": KEY,
                "labels": json.dumps({"team": "imaging"}),
                "pipeline_job": job,
                "code_digest": "",
            },
        )
        return pushed

    return run


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


class TestEndpoint:
    @pytest.fixture
    def endpoint(self, vertex_server: VertexServer) -> Any:
        library = connect(PROJECT, REGION)
        return library.Endpoint.create(display_name="plates", sync=True)

    def config(self, endpoint: Any, percent: int = 100) -> RegistryConfig:
        return RegistryConfig(
            endpoint=endpoint.resource_name,
            endpoint_traffic_percent=percent,
            endpoint_machine="n1-standard-8",
            endpoint_replicas_max=3,
        )

    def test_a_share_of_the_traffic(
        self, vertex_server: VertexServer, push_model: Any, endpoint: Any
    ) -> None:
        push_model("one", self.config(endpoint, 30))
        push_model("two", self.config(endpoint, 30))
        push_model("two", self.config(endpoint, 30))  # tried again
        stored = vertex_server.store.get(endpoint.resource_name)
        share = {d.model_version_id: stored.traffic_split[d.id] for d in stored.deployed_models}
        assert share == {"1": 70, "2": 30}  # the first one had nobody to share with
        machine = stored.deployed_models[1].dedicated_resources
        assert machine.machine_spec.machine_type == "n1-standard-8"
        assert (machine.min_replica_count, machine.max_replica_count) == (1, 3)
        assert stored.deployed_models[1].service_account.startswith("server@")

    def test_all_of_it_takes_the_older_ones_off(
        self, vertex_server: VertexServer, push_model: Any, endpoint: Any
    ) -> None:
        push_model("one", self.config(endpoint))
        push_model("two", self.config(endpoint))
        stored = vertex_server.store.get(endpoint.resource_name)
        assert [d.model_version_id for d in stored.deployed_models] == ["2"]
        assert dict(stored.traffic_split) == {stored.deployed_models[0].id: 100}

    def test_no_such_endpoint(self, vertex_server: VertexServer, push_model: Any) -> None:
        name = f"projects/{PROJECT}/locations/{REGION}/endpoints/7"
        with pytest.raises(VertexError, match="cannot deploy .* could not be found"):
            push_model(config=RegistryConfig(endpoint=name))


@pytest.mark.parametrize(
    ("current", "percent", "split"),
    [
        ({}, 30, {"0": 100}),
        ({"a": 0}, 30, {"0": 100}),
        ({"a": 100}, 30, {"0": 30, "a": 70}),
        ({"a": 50, "b": 50}, 25, {"0": 25, "a": 38, "b": 37}),
        ({"a": 34, "b": 33, "c": 33}, 1, {"0": 1, "a": 33, "b": 33, "c": 33}),
        ({"a": 100}, 100, {"0": 100, "a": 0}),
        ({"a": 100}, 0, {"0": 0, "a": 100}),
    ],
)
def test_traffic_split(current: dict[str, int], percent: int, split: dict[str, int]) -> None:
    assert split_traffic(current, percent) == split
    assert sum(split.values()) == 100


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


def test_push_once_goes_on_with_the_version_it_began(tmp_path: Path) -> None:
    model, folder = tmp_path / "model", tmp_path / "pushed"
    model.mkdir()
    (model / "saved_model.pb").write_text("graph")
    digest = content_digest(str(model))
    begun = folder / "1700000000"
    (folder / ".pushed").mkdir(parents=True)
    (folder / ".pushed" / digest).write_text(begun.name + "\n")  # then it was killed
    assert push_once(str(model), str(folder), digest) == str(begun)
    assert (begun / "saved_model.pb").read_text() == "graph"
    (model / "saved_model.pb").write_text("another graph")
    assert content_digest(str(model)) != digest


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
