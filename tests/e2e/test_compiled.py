"""The compiled specifications, run: every step by its own container command, from a wheel.

What comes out is compared with what the local runner made of the same configuration. The steps
run in an environment of their own, without the source tree; where PLATEWISE_ROOTFS names the folder
of the roots that ``infra/docker/rootfs.py`` has built from the images (`make rootfs`), they run in
``components`` and ``trainer-cpu``, as the images' user.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from servers.spec_runner import SpecRunner

from components.evaluator.results import read_evaluation
from components.vertex_api import ENDPOINT_VARIABLE
from pipelines.config import from_mapping
from trainer import schema
from trainer.bundle import load_bundle
from trainer.predictions import read_rows

pytestmark = [pytest.mark.e2e, pytest.mark.thorough]

ROOT = Path(__file__).parents[2]
STEPS = [
    "PlateExampleGen",
    "PlateTransform",
    "PlateTrainingJob",
    "PlateExporter",
    "PlatePredictor",
    "BatchEffectEvaluator",
    "PlateLeakAudit",
    "PlateEvaluator",
    "PlateVertexPusher",
    "PlateReport",
]
#: The last digits of float32 sums depend on how a graph was put together.
TOLERANCE = 1e-5


@pytest.fixture(scope="session")
def installed_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment with the wheel, the locked packages, and no source tree."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder / "dist", ROOT],
        check=True,
    )
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
    (wheel,) = (folder / "dist").glob("platewise-*.whl")
    (site,) = (folder / "env" / "lib").glob("python3*/site-packages")
    subprocess.run([*pip, "install", "--no-deps", "--target", site, wheel], check=True)
    # The packages, but not their .pth files: the one of the source tree stays out.
    (site / "locked.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = folder / "env" / "bin" / "python"
    code = "import components, trainer, pipelines; print(components.__file__)"
    found = subprocess.run(
        [python, "-c", code], capture_output=True, text=True, check=True, cwd=folder
    )
    assert found.stdout.startswith(str(site))
    return python


@dataclass(frozen=True)
class Place:
    """Where a step's command runs."""

    python: str
    prefix: tuple[str, ...] = ()


def in_root(root: str, *folders: Path) -> Place:
    """In a built root, which sees these folders at their own paths."""
    words = [sys.executable, str(ROOT / "infra" / "docker" / "rootfs.py"), "run", root]
    for folder in folders:
        words += ["--bind", f"{folder}:{folder}"]
    for name in ("TF_CPP_MIN_LOG_LEVEL", ENDPOINT_VARIABLE):
        words += ["--env", name]
    return Place("python", (*words, "--entrypoint", "", "--"))


@pytest.fixture(scope="session")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bucket")


@pytest.fixture(scope="session")
def places(request: pytest.FixtureRequest, bucket: Path) -> Iterator[tuple[Place, Place]]:
    """Of the components, and of the trainer."""
    roots = os.environ.get("PLATEWISE_ROOTFS")
    if not roots:
        place = Place(str(request.getfixturevalue("installed_python")))
        yield place, place
        return
    umask = os.umask(0)  # the images' user is not the one who runs the tests
    folders = (bucket, *(request.getfixturevalue(name) for name in ("screen", "runs")))
    for folder in folders:
        folder.chmod(0o777)
    yield in_root(f"{roots}/components", *folders), in_root(f"{roots}/trainer-cpu", *folders)
    os.umask(umask)


@pytest.fixture(scope="session")
def vertex(tmp_path_factory: pytest.TempPathFactory, places: tuple) -> Iterator[Any]:
    """A local Vertex AI whose custom jobs run the trainer's own command."""
    from servers.vertex import VertexServer
    from servers.worker_pools import WorkerPools

    _, trainer = places
    folder = tmp_path_factory.mktemp("custom-jobs")
    with VertexServer() as server:
        server.custom_job_runner = WorkerPools(folder, {}, trainer.python, trainer.prefix)
        yield server
    assert server.refused == []


@pytest.fixture(scope="session")
def cloud(bucket: Path) -> dict[str, Any]:
    """Section [vertex] for steps that run here."""
    return {
        "project": "example-project",
        "pipeline_root": str(bucket),
        "image": "example.dev/components@sha256:1",
        "service_account": "pipeline@example-project.iam.gserviceaccount.com",
        "retries": 0,
        "training": {
            "image": "example.dev/trainer@sha256:2",
            "accelerator": "cpu",
            "poll_s": 0.5,
        },
        "beam": {"runner": "local"},
    }


@pytest.fixture(scope="session")
def service(bucket: Path, places: tuple, vertex: Any) -> SpecRunner:
    place, _ = places
    env = {ENDPOINT_VARIABLE: vertex.endpoint}
    return SpecRunner(bucket, prefix=place.prefix, python=place.python, env=env)


def compiled(config: Any, kind: str) -> dict:
    from pipelines.vertex.compile import compile_pipeline

    return json.loads(json.dumps(compile_pipeline(config, kind)))


@pytest.fixture(scope="session")
def trained(
    service: SpecRunner, finished: tuple, settings: Callable, cloud: dict, tmp_path_factory
) -> tuple[SpecRunner, dict]:
    config = from_mapping(settings(tmp_path_factory.mktemp("none"), "train", vertex=cloud))
    job = compiled(config, "training")
    service.run(job)
    return service, {"job": job, "ends": dict(service.ends), "outputs": dict(service.outputs)}


def test_training_by_its_containers_ends_with_a_pushed_model(trained, vertex):
    _, made = trained
    resolvers = {f"LatestBlessedModel-{k}-resolver" for k in ("model", "model-blessing")}
    assert made["ends"] == {
        **dict.fromkeys(resolvers, "resolved"),
        **dict.fromkeys([*STEPS, "FinalStatus"], "run"),
    }
    pushed = made["outputs"]["PlateVertexPusher"]["pushed_model"]["artifacts"][0]["metadata"]
    assert pushed["pushed"] == 1
    (model,) = vertex.store.children("projects/example-project/locations/us-central1", "models")
    assert model.artifact_uri == pushed["pushed_destination"]


def test_it_gives_what_the_local_runner_gave(trained, finished):
    _, made = trained
    training, local = finished

    def uri(task: str, output: str) -> str:
        return made["outputs"][task][output]["artifacts"][0]["uri"]

    for node, output in (("PlateExampleGen", "examples"), ("PlateTransform", "transform_graph")):
        assert training.digest(uri(node, output)) == training.made[node, output]
    ours = load_bundle(f"{uri('PlateExporter', 'model')}/Format-Serving")
    theirs = load_bundle(f"{local.uri('PlateTrainer', 'model')}/Format-Serving")
    for a, b in zip(ours.model.get_weights(), theirs.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    rows, expected = (
        read_rows(found)
        for found in (
            uri("PlatePredictor", "predictions"),
            local.uri("PlatePredictor", "predictions"),
        )
    )
    np.testing.assert_array_equal(rows[schema.SITE_ID], expected[schema.SITE_ID])
    np.testing.assert_allclose(
        rows[schema.PROBABILITIES], expected[schema.PROBABILITIES], atol=TOLERANCE
    )
    ours, theirs = (
        read_evaluation(found)
        for found in (
            uri("PlateEvaluator", "evaluation"),
            local.uri("PlateEvaluator", "evaluation"),
        )
    )
    assert ours.blessed and theirs.blessed
    for a, b in zip(ours.slices, theirs.slices, strict=True):
        assert a.columns == b.columns
        for name, value in a.metrics.items():
            assert value.value == pytest.approx(b.metrics[name].value, abs=1e-4, nan_ok=True)


def test_the_next_job_trains_only_what_changed_and_compares(trained):
    """The driver finds the screen unchanged; the first job's blessed model is the one to beat."""
    service, made = trained
    service.run(made["job"])
    upstream = ["PlateExampleGen", "PlateTransform", "PlateTrainingJob", "PlateExporter"]
    assert {service.ends[step] for step in upstream} == {"cached"}
    found = service.outputs["LatestBlessedModel-model-resolver"]["model"]["artifacts"]
    assert [a["uri"] for a in found] == [
        made["outputs"]["PlateExporter"]["model"]["artifacts"][0]["uri"]
    ]
    rows = read_rows(service.uri("PlatePredictor", "predictions"), ["eval"])
    np.testing.assert_array_equal(rows[schema.BASELINE_PROBABILITIES], rows[schema.PROBABILITIES])


@pytest.fixture(scope="session")
def scored(
    service: SpecRunner, finished: tuple, settings: Callable, cloud: dict, tmp_path_factory
) -> tuple[SpecRunner, dict]:
    training, _ = finished
    config = from_mapping(settings(tmp_path_factory.mktemp("none"), "score", vertex=cloud))
    (model,) = (training.folder / "pushed").iterdir()
    job = compiled(config, "scoring")
    service.run(job, {"model_uri": str(model)})
    return service, {"job": job, "model": str(model), "ends": dict(service.ends)}


def test_scoring_by_its_containers_gives_what_training_gave(scored, finished):
    service, made = scored
    _, local = finished
    assert made["ends"] == {
        "Model": "imported",
        "PlateExampleGen": "run",
        "PlateTransform": "run",
        "PlatePredictor": "run",
        "BatchEffectEvaluator": "run",
        "PlateReport": "run",
        "FinalStatus": "run",
    }
    rows = read_rows(service.uri("PlatePredictor", "predictions"), ["score"])
    theirs = read_rows(local.uri("PlatePredictor", "predictions"))
    ours = {
        key: i
        for i, key in enumerate(
            zip(rows[schema.LEVEL], rows[schema.WELL_ID], rows[schema.SITE], strict=True)
        )
    }
    keys = zip(theirs[schema.LEVEL], theirs[schema.WELL_ID], theirs[schema.SITE], strict=True)
    order = [ours[key] for key in keys]
    for name in (schema.PROBABILITIES, schema.EMBEDDING):
        np.testing.assert_allclose(rows[name][order], theirs[name], atol=TOLERANCE)
    names = {path.name for path in Path(service.uri("PlateReport", "report")).iterdir()}
    assert {"report.html", "metrics.json", "predictions_sites.csv"} <= names
    assert "embeddings_centring.parquet" in names
    end = service.root / "ends" / f"job-{service.n_jobs}.json"
    assert json.loads(end.read_text())["state"] == "SUCCEEDED"
