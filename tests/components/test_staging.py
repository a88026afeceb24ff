"""Folders of a bucket as local ones: whole and the same, or a clear failure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from servers.gcs import GcsServer

from components.plate_example_gen.storage import UnavailableError
from components.staging import fetch, output_folder, upload

FILES = {
    "manifest.json": b"{}",
    "Split-eval/one": bytes(range(256)) * 50,
    "Split-eval/two": b"",
    "gallery/a b.png": b"image",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "folder"


@pytest.fixture
def bucket(gcs_server: GcsServer) -> Any:
    return gcs_server.client().create_bucket("b")


def content(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def names(bucket: Any) -> set[str]:
    return {blob.name for blob in bucket.client.list_blobs(bucket)}


@pytest.mark.parametrize(
    "fault",
    [{"status": 429}, {"status": 503}, {"cut": True}, {"lose_answer": True}],
    ids=["429", "503", "cut", "lost"],
)
def test_there_and_back(
    folder: Path, tmp_path: Path, bucket: Any, gcs_server: GcsServer, fault: dict[str, Any]
) -> None:
    gcs_server.fail(times=-1, every=4, **fault)
    upload(folder, "gs://b/x", last="manifest.json")
    fetch("gs://b/x", tmp_path / "back")
    assert gcs_server.n_faults >= 3
    assert content(tmp_path / "back") == FILES


def test_wrong_bytes_are_asked_for_again(
    folder: Path, tmp_path: Path, bucket: Any, gcs_server: GcsServer
) -> None:
    upload(folder, "gs://b/x")
    gcs_server.fail(times=2, flip=True, about="Split-eval/one.*alt=media")
    fetch("gs://b/x", tmp_path / "back")
    assert content(tmp_path / "back") == FILES
    gcs_server.fail(times=-1, flip=True, about="Split-eval/one.*alt=media")
    with pytest.raises(UnavailableError, match=r"gs://b/x/Split-eval/one: the bytes"):
        fetch("gs://b/x", tmp_path / "again")


def test_some_files(folder: Path, tmp_path: Path, bucket: Any) -> None:
    upload(folder, "gs://b/x")
    fetch("gs://b/x/", tmp_path / "back", ["manifest.json", "none"])
    assert content(tmp_path / "back") == {"manifest.json": b"{}"}


def test_what_was_there_goes(folder: Path, bucket: Any) -> None:
    bucket.blob("x/Split-eval/stale").upload_from_string(b"old")
    bucket.blob("xy/kept").upload_from_string(b"kept")
    upload(folder, "gs://b/x")
    assert names(bucket) == {f"x/{name}" for name in FILES} | {"xy/kept"}


def test_the_last_file_says_that_all_are_there(
    folder: Path, bucket: Any, gcs_server: GcsServer
) -> None:
    gcs_server.fail(times=-1, status=503, about=r"^(PUT|POST) .*(one|upload_id)")
    with pytest.raises(UnavailableError, match="gs://b/x/Split-eval"):
        upload(folder, "gs://b/x", last="manifest.json")
    gcs_server.heal()
    assert "x/manifest.json" not in names(bucket)


def test_an_output_in_a_bucket_appears_when_all_went_well(bucket: Any) -> None:
    with output_folder("gs://b/out", last="manifest.json") as local:
        (Path(local) / "manifest.json").write_text("{}")
        assert names(bucket) == set()
    assert names(bucket) == {"out/manifest.json"}
    with pytest.raises(KeyError), output_folder("gs://b/other") as local:
        (Path(local) / "half").write_text("")
        raise KeyError
    assert names(bucket) == {"out/manifest.json"}


def test_a_local_output_is_itself(tmp_path: Path) -> None:
    with output_folder(str(tmp_path)) as local:
        assert local == str(tmp_path)
