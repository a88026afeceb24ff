"""The compiled specification: golden, strict, complete, hermetic and the same every time."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from pipelines.config import load
from pipelines.vertex.compile import KINDS, compile_pipeline, to_text, write
from trainer.strict import ConfigError

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden"
CONFIG = GOLDEN / "vertex.toml"
PARAMETERS = {
    "training": {
        "screen_root": "gs://example-screens/rxrx1",
        "train_experiments": "",
        "eval_experiments": "",
        "normalizer_method": "plate_mean_std",
        "model_preset": "base",
        "epochs": 0,
        "min_accuracy_per_well": 0.0,
        "min_accuracy_worst_experiment": 0.0,
        "min_times_chance_per_well": 3.0,
        "min_times_chance_worst_experiment": 1.5,
    },
    "scoring": {"screen_root": "gs://example-screens/rxrx1", "model_uri": ""},
}


@pytest.fixture(scope="module", params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def job(kind) -> dict:
    return compile_pipeline(load(CONFIG), kind)


def without_digests(text: str) -> str:
    """Digests of code change with every edit, and are not what a golden file is for."""
    return re.sub(r'("code_digest": \{\s*"runtimeValue": \{\s*"constant": )"\w+"', r'\1"..."', text)


def tasks_of(job: dict) -> dict:
    return job["pipelineSpec"]["components"]["tfx-dag"]["dag"]["tasks"]


def containers_of(job: dict) -> dict:
    executors = job["pipelineSpec"]["deploymentSpec"]["executors"]
    return {k: e["container"] for k, e in executors.items() if "container" in e}


def test_the_golden_file_is_what_is_compiled(job, kind):
    """After a change that is meant: make golden, and read the difference."""
    text = without_digests(to_text(job, ".json"))
    if os.environ.get("PLATEWISE_RENEW_GOLDEN"):
        (GOLDEN / f"{kind}.json").write_text(text)
    assert text == (GOLDEN / f"{kind}.json").read_text()


def test_every_message_parses_strictly(job):
    protos = pipeline_spec_pb2
    json_format.ParseDict(job, protos.PipelineJob())
    spec = json_format.ParseDict(job["pipelineSpec"], protos.PipelineSpec())
    deployment = json_format.ParseDict(
        json_format.MessageToDict(spec.deployment_spec), protos.PipelineDeploymentConfig()
    )
    assert job["pipelineSpec"]["schemaVersion"] == "2.1.0"
    assert len(deployment.executors) == len(job["pipelineSpec"]["deploymentSpec"]["executors"])


def test_kfp_loads_the_yaml_file(job, tmp_path):
    from kfp.components import load_component_from_file

    write(job, tmp_path / "pipeline.yaml")
    loaded = load_component_from_file(str(tmp_path / "pipeline.yaml"))
    assert loaded.name == job["pipelineSpec"]["pipelineInfo"]["name"]
    assert yaml.safe_load((tmp_path / "pipeline.yaml").read_text()) == job["pipelineSpec"]


def test_parameters_have_their_defaults(job, kind):
    declared = job["pipelineSpec"]["root"]["inputDefinitions"]["parameters"]
    assert {name: p["defaultValue"] for name, p in declared.items()} == PARAMETERS[kind]
    assert all(p["isOptional"] and p["description"] for p in declared.values())
    given = job["pipelineSpec"]["root"]["dag"]["tasks"]["tfx-dag"]["inputs"]["parameters"]
    below = job["pipelineSpec"]["components"]["tfx-dag"]["inputDefinitions"]["parameters"]
    assert set(given) == set(below) == set(declared)
    used = {
        p["componentInputParameter"]
        for task in tasks_of(job).values()
        for p in task.get("inputs", {}).get("parameters", {}).values()
        if "componentInputParameter" in p
    }
    assert used == set(declared)


def test_every_step_has_image_machine_and_retries(job):
    for label, container in containers_of(job).items():
        assert container["image"].startswith("us-central1-docker.pkg.dev/example-project/")
        assert container["resources"]["cpuLimit"] > 0 and container["resources"]["memoryLimit"] > 0
        name = label.removesuffix("_executor")
        if name != "FinalStatus":
            assert tasks_of(job)[name]["retryPolicy"]["maxRetryCount"] == 2
            assert tasks_of(job)[name]["cachingOptions"] == {"enableCache": True}


def test_beam_options_go_to_beam_steps_alone(job, kind):
    beam = {"PlateExampleGen", "PlateTransform"} | (
        {"PlateEvaluator"} if kind == "training" else set()
    )
    for label, container in containers_of(job).items():
        name, options = label.removesuffix("_executor"), set(container["args"][6:])
        assert bool(options) == (name in beam)
        if options:
            assert {
                "--runner=DataflowRunner",
                f"--sdk_container_image={container['image']}",
                "--max_num_workers=20",
                "--no_use_public_ips",
                "--subnetwork=regions/us-central1/subnetworks/platewise",
                "--service_account_email=dataflow@example-project.iam.gserviceaccount.com",
                "--temp_location=gs://example-artifacts/platewise/tmp",
                "--tfxio_use_byte_size_batching",
            } <= options


def test_the_cache_asks_for_the_screens_fingerprint(job):
    check = containers_of(job)["PlateExampleGen_executor"]["lifecycle"]["preCacheCheck"]
    assert check["command"] == ["python", "-m", "components.plate_example_gen.driver"]


def test_the_exit_handler_waits_for_all_and_learns_the_end(job):
    task = job["pipelineSpec"]["root"]["dag"]["tasks"]["FinalStatus"]
    assert task["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    assert task["inputs"]["parameters"]["final_status"]["taskFinalStatus"] == {
        "producerTask": "tfx-dag"
    }


def test_every_executor_and_artifact_type_can_be_imported(job):
    from tfx.orchestration.kubeflow.v2.container.kubeflow_v2_entrypoint_utils import (
        parse_raw_artifact_dict,
    )
    from tfx.utils.import_utils import import_class_by_path

    for container in containers_of(job).values():
        import_class_by_path(container["args"][1])
    for component in job["pipelineSpec"]["components"].values():
        for artifact in component.get("outputDefinitions", {}).get("artifacts", {}).values():
            schema = artifact["artifactType"]["instanceSchema"]
            one = pipeline_spec_pb2.ArtifactList()
            one.artifacts.add(uri="x").type.instance_schema = schema
            (found,) = parse_raw_artifact_dict({"a": one})["a"]
            assert yaml.safe_load(schema)["title"].endswith(type(found).__name__)


def test_tasks_wait_for_what_they_read(job):
    tasks = tasks_of(job)
    for task in tasks.values():
        read = {
            a["taskOutputArtifact"]["producerTask"]
            for a in task.get("inputs", {}).get("artifacts", {}).values()
        }
        assert read <= set(task.get("dependentTasks", [])) <= set(tasks)


@pytest.mark.parametrize(
    ("runner", "expected"),
    [
        ("flink", ["--runner=PortableRunner", "--job_endpoint=jobs:8099"]),
        ("spark", ["--runner=PortableRunner", "--job_endpoint=jobs:8099"]),
        ("local", ["--runner=FnApiRunner"]),
    ],
)
def test_other_beam_runners_through_the_same_configuration(runner, expected):
    flags = [("vertex.beam.runner", runner), ("vertex.beam.job_endpoint", "jobs:8099")]
    job = compile_pipeline(load(CONFIG, flags), "scoring")
    args = containers_of(job)["PlateTransform_executor"]["args"]
    assert args[6 : 6 + len(expected)] == expected


def test_an_image_for_one_component():
    flags = [("vertex.images.PlateReport", "example.dev/report@sha256:3")]
    containers = containers_of(compile_pipeline(load(CONFIG, flags), "scoring"))
    assert containers["PlateReport_executor"]["image"] == "example.dev/report@sha256:3"


def test_what_only_the_user_knows_is_asked_for():
    with pytest.raises(ConfigError, match=r"vertex\.project, vertex\.service_account must be set"):
        compile_pipeline(
            load(CONFIG, [("vertex.project", ""), ("vertex.service_account", "")]), "scoring"
        )


def compiled_by_command(path: Path, *prefix: str) -> str:
    command = [*prefix, sys.executable, "-m", "pipelines.cli", "compile", "--config", str(CONFIG)]
    environment = os.environ | {"PYTHONHASHSEED": "random", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "--kind", "scoring", "-o", str(path)],
        env=environment,
        capture_output=True,
        text=True,
        cwd=path.parent,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return path.read_text()


@pytest.mark.thorough
def test_two_processes_give_the_same_bytes_without_a_network(tmp_path):
    cut_off = ["unshare", "--net"]
    if os.geteuid() != 0:
        cut_off.insert(1, "--map-root-user")
    if shutil.which("unshare") is None or subprocess.run([*cut_off, "true"]).returncode:
        pytest.skip("this machine lets nobody cut the network off")
    alone = compiled_by_command(tmp_path / "alone.json", *cut_off)
    assert alone == compiled_by_command(tmp_path / "again.json")
    assert json.loads(alone)["pipelineSpec"]["pipelineInfo"]["name"] == "platewise-scoring"
