"""Bringing a report down: the real storage client against a local bucket, the job from Vertex."""

from __future__ import annotations

import re
import uuid

import pytest
from gcp_storage_emulator.storage import Storage
from google.cloud.storage import Client
from servers.emulator import emulated_storage

from pipelines.vertex.fetch import download, fetch
from trainer.errors import PlatewiseError

ID = "run-1"
NAME = f"projects/example/locations/us-central1/pipelineJobs/{ID}"


@pytest.fixture(scope="module")
def storage_server():
    """A GCS server in memory; its address is in the environment while it runs."""
    with emulated_storage():
        yield


@pytest.fixture
def bucket(storage_server):
    return Client.create_anonymous_client().create_bucket(f"b{uuid.uuid4().hex[:12]}")


@pytest.fixture
def report(bucket):
    """A report in the bucket, as PlateReport writes it after scoring."""
    files = {
        "report.html": b"<html>page</html>",
        "metrics.json": b"{}",
        "predictions/wells.csv": b"well\nB02\n",
        "images/": b"",
    }
    for name, content in files.items():
        bucket.blob(f"root/report/7/{name}").upload_from_string(content)
    bucket.blob("root/report/77/report.html").upload_from_string(b"another run's")
    return f"gs://{bucket.name}/root/report/7"


@pytest.fixture
def finished(command, config_file, spec_file, vertex_server):
    """A job that has ended; gives a function that sets what its steps have put out."""

    def end(outputs: dict[str, dict[str, str]], state="SUCCEEDED") -> None:
        vertex_server.script("pipelineJobs", [state])
        given = ("--config", config_file, "--spec", spec_file, "--parameter", "threshold=1")
        assert command("submit", *given, "--job-id", ID).code == 0
        assert command("status", NAME).code in (0, 1)  # a look, which moves it to its state
        job = next(v for k, v in vertex_server.store.resources.items() if k.endswith(ID))
        for detail in job.job_detail.task_details:
            for output, uri in outputs.get(detail.task_name, {}).items():
                detail.outputs[output] = {"artifacts": [{"uri": uri}]}

    return end


def test_report_and_metrics(command, finished, report, tmp_path):
    finished({"PlateReport": {"report": report}})
    for _ in range(2):  # the second time over what the first has left
        done = command("fetch", NAME)
        assert done.code == 0, done.err
        assert done.out.splitlines() == [f"runs/{ID}/report.html", f"runs/{ID}/metrics.json"]
    folder = tmp_path / "runs" / ID
    assert {path.name for path in folder.iterdir()} == {"report.html", "metrics.json"}
    assert (folder / "report.html").read_bytes() == b"<html>page</html>"


def test_all_of_it_and_more(command, finished, report, bucket, tmp_path):
    bucket.blob("root/rows/3/Split-score/p-1").upload_from_string(b"rows")
    rows = f"gs://{bucket.name}/root/rows/3/"
    finished({"PlateReport": {"report": report}, "PlatePredictor": {"predictions": rows}})
    done = command("fetch", NAME, "--out", "here", "--all", "--artifact", "PlatePredictor")
    assert done.code == 0, done.err
    assert (tmp_path / "here/predictions/wells.csv").read_bytes() == b"well\nB02\n"
    assert (tmp_path / "here/PlatePredictor/Split-score/p-1").read_bytes() == b"rows"
    listed = command("fetch", NAME, "--list").out.splitlines()
    assert listed == [f"PlatePredictor.predictions  {rows}", f"PlateReport.report  {report}"]


def test_no_such_output(command, finished, report):
    finished({"PlateReport": {"report": report}})
    done = command("fetch", NAME, "--artifact", "PlatePredictor.rows")
    assert done.code == 1
    assert "has no output PlatePredictor.rows (it has PlateReport.report)" in done.err


def test_a_report_that_is_not_there_yet(command, finished):
    finished({}, state="RUNNING")
    done = command("fetch", NAME)
    assert done.code == 1
    assert f"{ID} has no PlateReport.report yet: PlateReport " in done.err
    assert re.search(rf"wait for it: platewise status projects/\w+/.*/{ID} --wait", done.err)


def test_a_job_that_failed_before_its_report(command, finished):
    finished({}, state=("FAILED", "out of memory"))
    done = command("fetch", NAME)
    assert done.code == 1
    assert "PlateReport was not run, and the job has ended (failed)" in done.err


def test_files_that_were_deleted(bucket, tmp_path):
    with pytest.raises(PlatewiseError, match=r"has no report\.html \(it has nothing"):
        list(fetch(f"gs://{bucket.name}/old", tmp_path, ("report.html",)))
    with pytest.raises(PlatewiseError, match="it has nothing"):
        list(fetch(f"gs://{bucket.name}/old", tmp_path))
    with pytest.raises(PlatewiseError, match="cannot fetch gs://missing-bucket"):
        list(fetch("gs://missing-bucket/old", tmp_path))
    with pytest.raises(PlatewiseError, match="is in no bucket"):
        list(fetch("/local/report", tmp_path))


def test_a_name_that_would_leave_the_folder(bucket, tmp_path):
    blob = bucket.blob("root/x")  # the local server, unlike the real one, takes no such name
    for name in ("../evil.html", "a/../../evil.html", "/evil.html"):
        with pytest.raises(PlatewiseError, match="would leave"):
            download(blob, "gs://b/root", tmp_path / "in", name)
    assert list(tmp_path.iterdir()) == []


def test_a_body_that_was_damaged_on_the_way(report, tmp_path, monkeypatch):
    stored = Storage.get_file

    def damaged(storage, *where):
        content = stored(storage, *where)
        return content[:-1] + bytes([content[-1] ^ 1])

    monkeypatch.setattr(Storage, "get_file", damaged)  # the server's, beneath its checksum header
    with pytest.raises(PlatewiseError, match="wrong checksum"):
        list(fetch(report, tmp_path, ("report.html",)))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(report, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PlatewiseError, match="cannot write"):
        list(fetch(report, tmp_path / "file", ("report.html",)))
