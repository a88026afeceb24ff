"""The scoring trigger: the real storage client on a local GCS server, and a local Vertex AI."""

from __future__ import annotations

import importlib
import json
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import storage
from servers.emulator import emulated_storage

REPOSITORY = Path(__file__).resolve().parents[2]
TRIGGER = REPOSITORY / "infra/trigger"
ROWS = [(well, site) for well in ("B02", "B03") for site in (1, 2)]
CHANNELS = ("1", "2")
TEMPLATE = "https://us-central1-kfp.pkg.dev/plates/t/platewise-scoring/latest"
#: What the registry has under that address, as far as creating a job looks at it.
SPECIFICATION = {
    "pipelineInfo": {"name": "platewise-scoring"},
    "schemaVersion": "2.1.0",
    "root": {
        "dag": {},
        "inputDefinitions": {
            "parameters": {
                "screen_root": {"parameterType": "STRING"},
                "model_uri": {"parameterType": "STRING", "defaultValue": "gs://models/1"},
            }
        },
    },
}


@pytest.fixture(scope="module")
def gcs() -> Iterator[storage.Client]:
    """A GCS server in memory; its address is in the environment while it runs."""
    with emulated_storage():
        yield storage.Client.create_anonymous_client()


@pytest.fixture(scope="module")
def code() -> Iterator[SimpleNamespace]:
    """The service's modules, found as in its image: beside ``main.py``."""
    sys.path.insert(0, str(TRIGGER))
    try:
        yield SimpleNamespace(
            **{
                name: importlib.import_module(f"plate_trigger.{name}")
                for name in ("settings", "completeness", "start", "handler")
            }
        )
    finally:
        sys.path.remove(str(TRIGGER))


@pytest.fixture
def registry(vertex_server: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The local Vertex AI, which reads a job's specification from the registry as the real one."""
    check = vertex_server.jobs.check

    def check_with_template(job: Any, collection: str) -> Any:
        if job.template_uri == TEMPLATE and not job.pipeline_spec:
            job = type(job)(job)
            job.pipeline_spec = SPECIFICATION
        return check(job, collection)

    monkeypatch.setattr(vertex_server.jobs, "check", check_with_template)
    return vertex_server


@pytest.fixture
def world(gcs: storage.Client, code: SimpleNamespace, registry: Any) -> SimpleNamespace:
    """A bucket of plates, one of markers, and a trigger that watches."""
    plates = gcs.create_bucket(f"p{uuid.uuid4().hex[:10]}")
    markers = gcs.create_bucket(f"m{uuid.uuid4().hex[:10]}")
    settings = code.settings.Settings(
        project="plates",
        region="us-central1",
        bucket=plates.name,
        prefix="incoming/",
        markers=f"gs://{markers.name}/triggers/",
        template=TEMPLATE,
        pipeline_root="gs://artifacts/pipelines",
        service_account="pipeline@plates.iam.gserviceaccount.com",
        channels=CHANNELS,
        parameters={"model_uri": "gs://models/platewise/3"},
        labels={"app": "platewise"},
    )
    return SimpleNamespace(
        plates=plates,
        markers=markers,
        settings=settings,
        vertex=registry,
        trigger=lambda: code.handler.Trigger(settings, gcs),
    )


def table(plate: str = "1") -> str:
    rows = [f"HUVEC-01,{plate},{well},{site}" for well, site in ROWS]
    return "\n".join(["experiment,plate,well,site", *rows]) + "\n"


def images(plate: str = "1") -> list[str]:
    return [
        f"images/HUVEC-01/Plate{plate}/{well}_s{site}_w{channel}.png"
        for well, site in ROWS
        for channel in CHANNELS
    ]


def land(world: SimpleNamespace, folder: str, name: str, text: str = "pixels") -> tuple[str, str]:
    """Upload one file of a plate; returns what its event says."""
    path = f"incoming/{folder}/{name}"
    world.plates.blob(path).upload_from_string(text)
    return world.plates.name, path


def creations(world: SimpleNamespace) -> list[Any]:
    return world.vertex.sent("CreatePipelineJob")


def jobs(world: SimpleNamespace) -> list[str]:
    """Ids of the jobs that Vertex AI accepted."""
    return [
        request.message.pipeline_job_id
        for request in world.vertex.requests
        if request.rpc == "CreatePipelineJob" and request.status == 200
    ]


@pytest.mark.parametrize("table_first", [True, False])
def test_the_last_file_starts_one_job(world: SimpleNamespace, table_first: bool) -> None:
    trigger, names = world.trigger(), images()
    names = ["metadata.csv", *names] if table_first else [*names, "metadata.csv"]
    answers = []
    for name in names:
        event = land(world, "s1/p1", name, table() if name.endswith(".csv") else "pixels")
        answers.append(trigger.handle(*event))
    assert set(answers[:-1]) == ({"incomplete"} if table_first else {"no table"})
    assert answers[-1] == "started"
    (request,) = creations(world)
    job = request.pipeline_job
    assert request.parent == "projects/plates/locations/us-central1"
    assert request.pipeline_job_id.startswith("platewise-score-s1-p1-")
    assert job.template_uri == world.settings.template
    assert not job.pipeline_spec
    assert job.service_account == world.settings.service_account
    assert job.runtime_config.gcs_output_directory == "gs://artifacts/pipelines"
    assert dict(job.runtime_config.parameter_values) == {
        "model_uri": "gs://models/platewise/3",
        "screen_root": f"gs://{world.plates.name}/incoming/s1/p1",
    }
    assert dict(job.labels) == {"app": "platewise", "screen": "s1", "plate": "p1"}
    (marker,) = world.markers.list_blobs()
    assert marker.name == "triggers/s1/p1.json"
    assert json.loads(marker.download_as_bytes()) == {
        "job": request.pipeline_job_id,
        "plate": f"gs://{world.plates.name}/incoming/s1/p1",
        "files": len(ROWS) * len(CHANNELS),
    }


def complete(world: SimpleNamespace, folder: str, plate: str = "1") -> tuple[str, str]:
    land(world, folder, "metadata.csv", table(plate))
    return [land(world, folder, name) for name in images(plate)][-1]


def test_delivered_twice(world: SimpleNamespace) -> None:
    event = complete(world, "s/twice")
    first = world.trigger()
    assert [first.handle(*event), first.handle(*event)] == ["started", "known"]
    # Another instance, which remembers nothing, finds the marker.
    assert world.trigger().handle(*event) == "known"
    assert len(creations(world)) == 1


def test_without_its_marker_a_plate_is_still_scored_once(world: SimpleNamespace) -> None:
    """The instance that started it died before it could write the marker."""
    event = complete(world, "s/unmarked")
    assert world.trigger().handle(*event) == "started"
    for marker in world.markers.list_blobs():
        marker.delete()
    assert world.trigger().handle(*event) == "known"
    assert len(creations(world)) == 2
    assert len(jobs(world)) == 1
    assert len(list(world.markers.list_blobs())) == 1  # written now


def test_delivered_to_many_at_once(world: SimpleNamespace) -> None:
    event = complete(world, "s/crowd")
    triggers = [world.trigger() for _ in range(6)]
    barrier = threading.Barrier(len(triggers))
    answers: list[str] = []

    def deliver(trigger: Any) -> None:
        barrier.wait()
        answers.append(trigger.handle(*event))

    threads = [threading.Thread(target=deliver, args=(t,)) for t in triggers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(answers) == ["known"] * 5 + ["started"]
    assert len(jobs(world)) == 1


def test_an_event_after_a_refusal_starts_it(world: SimpleNamespace) -> None:
    event = complete(world, "s/refused")
    world.vertex.fail_next(403, "Permission 'aiplatform.pipelineJobs.create' denied")
    trigger = world.trigger()
    with pytest.raises(exceptions.Forbidden):
        trigger.handle(*event)
    assert list(world.markers.list_blobs()) == []
    assert trigger.handle(*event) == "started"
    assert len(jobs(world)) == 1


def test_an_answer_that_was_lost_does_not_start_it_twice(world: SimpleNamespace) -> None:
    event = complete(world, "s/unavailable")
    world.vertex.fail_next(503, "try again", times=2)
    assert world.trigger().handle(*event) == "started"
    assert len(jobs(world)) == 1


def test_plates_do_not_mix(world: SimpleNamespace) -> None:
    trigger = world.trigger()
    events = [complete(world, f"s/p{n}", plate=str(n)) for n in (1, 11)]
    land(world, "s/p2", "metadata.csv", table("2"))
    half = land(world, "s/p2", images("2")[0])
    assert [trigger.handle(*e) for e in (*events, half)] == ["started", "started", "incomplete"]
    assert len(set(jobs(world))) == 2


def test_a_file_that_is_listed_but_empty_is_missing(world: SimpleNamespace) -> None:
    complete(world, "s/empty")
    event = land(world, "s/empty", images()[0], text="")
    trigger = world.trigger()
    assert trigger.handle(*event) == "incomplete"
    # What is remembered of the plate must not hide its completion.
    assert trigger.handle(*land(world, "s/empty", images()[0])) == "started"


def test_a_plate_that_loses_a_file_again_is_not_complete(world: SimpleNamespace) -> None:
    trigger = world.trigger()
    land(world, "s/lost", "metadata.csv", table())
    *_, last = [land(world, "s/lost", name) for name in images()]
    world.plates.blob(f"incoming/s/lost/{images()[3]}").delete()
    assert trigger.handle(*last) == "incomplete"
    assert trigger.handle(*land(world, "s/lost", images()[3])) == "started"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("experiment,plate\nA,1\n", "no column well; its columns: experiment, plate"),
        ("experiment,plate,well,site\n", "no rows"),
        ("experiment,plate,well,site\nA,1,B02,x\n", "line 2: site 'x' is no number"),
        ("experiment,plate,well,site\nA,,B02,1\n", "line 2 has no plate"),
    ],
)
def test_a_bad_table_is_told_and_not_delivered_again(
    world: SimpleNamespace, capsys: pytest.CaptureFixture[str], content: str, says: str
) -> None:
    event = land(world, "s/bad", "metadata.csv", content)
    trigger = world.trigger()
    assert trigger.handle(*event) == "bad table"
    line = json.loads(capsys.readouterr().err)
    assert line["severity"] == "ERROR"
    assert says in line["message"] and "incoming/s/bad/metadata.csv" in line["message"]
    for name in images():
        land(world, "s/bad", name)
    assert trigger.handle(*land(world, "s/bad", "metadata.csv", table())) == "started"


@pytest.mark.parametrize("name", ["other/s/p/metadata.csv", "incoming/readme.txt", "incoming/s/x"])
def test_what_is_no_plate_is_left_alone(world: SimpleNamespace, name: str) -> None:
    world.plates.blob(name).upload_from_string("x")
    assert world.trigger().handle(world.plates.name, name) == "elsewhere"
    assert world.trigger().handle("another-bucket", "incoming/s/p/a.png") == "elsewhere"
