"""The compiled specifications, run: every step by its own container command, from a wheel.

What comes out is compared with what the local runner made of the same configuration.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from servers.spec_runner import SpecRunner

from pipelines.config import from_mapping
from trainer import schema
from trainer.predictions import read_rows

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
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


@pytest.fixture(scope="session")
def vertex(tmp_path_factory: pytest.TempPathFactory, installed_python: Path) -> Iterator[Any]:
    """A local Vertex AI whose custom jobs run the trainer's own command."""
    from servers.vertex import VertexServer

    logs = tmp_path_factory.mktemp("custom-jobs")

    def work(job: Any, *_: Any) -> int:
        (pool,) = job.job_spec.worker_pool_specs
        spec = pool.container_spec
        words = [*spec.command, *spec.args]
        words[0] = str(installed_python)
        with (logs / "trainer.log").open("ab") as log:
            env = os.environ | {e.name: e.value for e in spec.env}
            return subprocess.run(words, stdout=log, stderr=log, env=env, cwd=logs).returncode

    with VertexServer() as server:
        server.custom_job_runner = work
        yield server
    assert server.refused == []


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Section [vertex] for steps that run here."""
    root = tmp_path_factory.mktemp("bucket")
    return {
        "project": "example-project",
        "pipeline_root": str(root),
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
def service(cloud: dict, installed_python: Path, vertex: Any) -> SpecRunner:
    return SpecRunner(
        Path(cloud["pipeline_root"]),
        python=str(installed_python),
        env={"PLATEWISE_VERTEX_ENDPOINT": vertex.endpoint},
    )


def compiled(config: Any, kind: str) -> dict:
    from pipelines.vertex.compile import compile_pipeline

    return json.loads(json.dumps(compile_pipeline(config, kind)))


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
    (end,) = (service.root / "ends").glob("*.json")
    assert json.loads(end.read_text())["state"] == "SUCCEEDED"
