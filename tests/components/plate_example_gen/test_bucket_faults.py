"""A bucket that fails now and then changes nothing; one that fails for good fails the step."""

from __future__ import annotations

import json
import uuid
from typing import Any

import apache_beam as beam
import pytest
from servers.gcs import GcsServer

from components.plate_example_gen.config import QualityConfig, ScreenConfig, SplitConfig
from components.plate_example_gen.ingest import Destination, ingest
from components.plate_example_gen.quality import read_quality
from components.plate_example_gen.storage import (
    StorageError,
    UnavailableError,
    open_storage,
)
from trainer import manifest

ARGS = ["--runner=FnApiRunner", "--no_auth", "--project=test"]
#: Requests for the content of objects, for lists, and those that write.
CONTENT, LIST, WRITE = r"^GET .*alt=media", r"^GET .*/o\?", "^(PUT|POST|DELETE) "


@pytest.fixture
def bucket(gcs_server: GcsServer) -> Any:
    return gcs_server.client().create_bucket(f"b{uuid.uuid4().hex[:12]}")


@pytest.fixture
def in_bucket(small_screen: Any, bucket: Any) -> Any:
    """Four sites of each of two experiments, as objects under ``screen/``."""
    rows = small_screen.rows
    small_screen.rows = [
        row
        for name in ("RPE-01", "RPE-09")
        for row in [row for row in rows if row["experiment"] == name][:4]
    ]
    small_screen.write_table()
    kept = {path for row in small_screen.rows for path in small_screen.paths(row["site_id"])}
    for path in sorted(kept | {small_screen.root / "metadata.csv"}):
        name = f"screen/{path.relative_to(small_screen.root)}"
        bucket.blob(name).upload_from_string(path.read_bytes())
    return small_screen


def run(bucket: Any, name: str = "run") -> Destination:
    root = f"gs://{bucket.name}/{name}"
    out = Destination(f"{root}/examples", f"{root}/quality", f"{root}/schema")
    ingest(
        ScreenConfig(f"gs://{bucket.name}/screen", threads=4),
        SplitConfig(),
        QualityConfig(max_excluded_share=1.0),
        out,
        lambda: beam.Pipeline(argv=ARGS),
        ARGS,
    )
    return out


def objects(bucket: Any, prefix: str) -> dict[str, bytes]:
    """What a run has written, without the times that it names."""
    found = {
        blob.name.removeprefix(f"{prefix}/"): blob.download_as_bytes()
        for blob in bucket.client.list_blobs(bucket, prefix=f"{prefix}/")
    }
    for name in [name for name in found if name.endswith(".json")]:
        facts = json.loads(found[name])
        found[name] = json.dumps(
            {k: v for k, v in facts.items() if not k.endswith("_s")}, sort_keys=True
        ).encode()
    return found


@pytest.mark.slow  # eight screens, read twice each
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"status": 429, "every": 7}, marks=pytest.mark.thorough),
        {"status": 503, "every": 7},
        {"cut": True, "about": CONTENT, "once_each": True},
        {"flip": True, "about": CONTENT, "once_each": True},
        pytest.param({"lose_answer": True, "about": LIST, "every": 2}, marks=pytest.mark.thorough),
        pytest.param({"status": 503, "about": WRITE, "every": 3}, marks=pytest.mark.thorough),
        {"cut": True, "about": WRITE, "every": 3},
        pytest.param({"lose_answer": True, "about": WRITE, "every": 3}, marks=pytest.mark.thorough),
    ],
    ids=[
        "429",
        "503",
        "cut reads",
        "wrong bytes",
        "lost lists",
        "503 writes",
        "cut writes",
        "lost",
    ],
)
def test_the_same_bytes_after_faults(
    in_bucket: Any, bucket: Any, gcs_server: GcsServer, fault: dict[str, Any]
) -> None:
    run(bucket, "calm")
    gcs_server.fail(times=-1, **fault)
    run(bucket, "storm")
    gcs_server.heal()
    assert gcs_server.n_faults >= 1
    assert objects(bucket, "storm") == objects(bucket, "calm")


@pytest.mark.slow  # each waits for the deadline
@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"status": 503}, r"did not answer as it should.*503"),
        pytest.param(
            {"status": 429}, r"did not answer as it should.*429", marks=pytest.mark.thorough
        ),
        pytest.param({"cut": True}, r"did not answer as it should", marks=pytest.mark.thorough),
        ({"flip": True}, r"are not those that are stored \(their crc32c differs\)"),
        ({"status": 403}, r"may not be accessed .*roles/storage\.objectUser"),
    ],
    ids=["503", "429", "cut", "wrong bytes", "403"],
)
def test_one_image_that_stays_out_of_reach_stops_the_step(
    in_bucket: Any, bucket: Any, gcs_server: GcsServer, fault: dict[str, Any], why: str
) -> None:
    """It is no bad image: the run must not go on without its site, whatever share it may drop."""
    gcs_server.fail(times=-1, about=r"RPE-01/Plate1/B02_s1_w3\.png", **fault)
    with pytest.raises(Exception, match=rf"gs://.*B02_s1_w3\.png.*{why}"):
        run(bucket)
    gcs_server.heal()
    names = {blob.name for blob in bucket.client.list_blobs(bucket, prefix="run/")}
    assert "run/examples/manifest.json" not in names
    assert "run/quality/quality.json" not in names
    run(bucket)  # and the same run, when all is well, takes every site
    found = manifest.read_manifest(
        f"gs://{bucket.name}/run/examples", open_storage("gs://x", ARGS).open_read
    )
    assert sum(shard.n_records for shard in found.shards) == len(in_bucket.rows)


def test_an_image_that_is_not_there_is_a_dead_letter(
    in_bucket: Any, bucket: Any, gcs_server: GcsServer
) -> None:
    """Unlike the above, this says something of the file: it went after it was listed."""
    gcs_server.fail(times=-1, about=r"B02_s1_w3\.png.*alt=media", status=404)
    out = run(bucket)
    letters = read_quality(out.quality, ARGS).dead_letters
    assert "B02_s1_w3.png" in "".join(letters["path"])


@pytest.mark.parametrize("fault", [{"status": 503}, {"flip": True}], ids=["503", "wrong bytes"])
def test_a_table_out_of_reach(
    in_bucket: Any, bucket: Any, gcs_server: GcsServer, fault: dict[str, Any]
) -> None:
    gcs_server.fail(times=-1, about=r"metadata\.csv.*alt=media", **fault)
    with pytest.raises(UnavailableError, match=r"gs://.*metadata\.csv"):
        run(bucket)


def test_a_shard_with_wrong_bytes_is_not_read(
    in_bucket: Any, bucket: Any, gcs_server: GcsServer
) -> None:
    out = run(bucket)
    gcs_server.fail(times=-1, about=r"Split-train/.*alt=media", flip=True)
    with pytest.raises(UnavailableError, match=r"Split-train/RPE-01_1.*crc32c differs"):
        manifest.verified_shards(out.examples, "train", open_storage("gs://x", ARGS).open_read)


def test_uploads_are_held_against_their_checksum(bucket: Any, gcs_server: GcsServer) -> None:
    """What arrived other than it was sent does not pass for written."""
    storage = open_storage("gs://x", ARGS)
    gcs_server.fail(times=1, about="^PUT", garble_upload=True)
    with (
        pytest.raises(UnavailableError, match=r"gs://.*/x.*[Cc]hecksum"),
        storage.open_write(f"gs://{bucket.name}/x") as stream,
    ):
        stream.write(b"content" * 1000)


@pytest.mark.parametrize("streamed", [False, True])
def test_streams(
    bucket: Any, gcs_server: GcsServer, monkeypatch: pytest.MonkeyPatch, streamed: bool
) -> None:
    if streamed:
        monkeypatch.setattr("components.plate_example_gen.bucket._WHOLE_BYTES", 0)
    content = bytes(range(256)) * 100
    bucket.blob("x").upload_from_string(content)
    bucket.blob("empty").upload_from_string(b"")
    storage = open_storage("gs://x", ARGS)
    with storage.open_read(f"gs://{bucket.name}/x") as stream:
        stream.seek(300)
        assert stream.read(5) == content[300:305] and stream.tell() == 305
        stream.seek(-3, 2)
        assert stream.read() == content[-3:]
    assert storage.open_read(f"gs://{bucket.name}/x").read() == content
    assert storage.open_read(f"gs://{bucket.name}/empty").read() == b""
    gcs_server.fail(times=-1, flip=True, about="alt=media")
    with pytest.raises(UnavailableError, match="crc32c differs"):
        storage.open_read(f"gs://{bucket.name}/x").read()


def test_what_cannot_be_read(bucket: Any) -> None:
    bucket.blob("x").upload_from_string(b"content" * 10)
    bucket.blob("empty").upload_from_string(b"")
    storage = open_storage("gs://x", ARGS)
    assert storage.read(f"gs://{bucket.name}/empty", 10) == b""
    with pytest.raises(FileNotFoundError, match="no such object"):
        storage.open_read(f"gs://{bucket.name}/none")
    with pytest.raises(StorageError, match="where at most 10"):
        storage.read(f"gs://{bucket.name}/x", 10)
