"""A screen in a bucket: checked and ingested through Beam's filesystem, on a local GCS server."""

from __future__ import annotations

import json
import uuid

import apache_beam as beam
import numpy as np
import pytest
from google.cloud import storage as gcs
from servers.emulator import emulated_storage

from components.plate_example_gen.check import check_screen
from components.plate_example_gen.config import QualityConfig, ScreenConfig, SplitConfig
from components.plate_example_gen.fingerprint import screen_fingerprint
from components.plate_example_gen.ingest import Destination, ingest
from components.plate_example_gen.quality import read_quality
from components.plate_example_gen.screen import ScreenError
from components.plate_example_gen.storage import StorageError, open_storage
from trainer import manifest, records

ARGS = ["--runner=FnApiRunner", "--no_auth", "--project=test"]


@pytest.fixture(scope="module")
def server():
    """A GCS server in memory; its address is in the environment while it runs."""
    with emulated_storage():
        yield


@pytest.fixture
def bucket(server):
    """A new bucket."""
    return gcs.Client.create_anonymous_client().create_bucket(f"b{uuid.uuid4().hex[:12]}")


@pytest.fixture
def in_bucket(small_screen, bucket):
    """The small screen's files as objects under ``screen/``; two experiments are enough."""
    small_screen.rows = [r for r in small_screen.rows if r["experiment"] in ("RPE-01", "RPE-09")]
    small_screen.write_table()
    kept = {path for row in small_screen.rows for path in small_screen.paths(row["site_id"])}
    for path in sorted(kept | {small_screen.root / "metadata.csv"}):
        name = f"screen/{path.relative_to(small_screen.root)}"
        bucket.blob(name).upload_from_string(path.read_bytes())
    return small_screen


def config_of(bucket) -> ScreenConfig:
    return ScreenConfig(f"gs://{bucket.name}/screen", threads=4)


def test_check(in_bucket, bucket):
    bucket.blob("screen/images/RPE-01/Plate1/B03_s1_w3.png").delete()
    cut = bucket.blob("screen/images/RPE-01/Plate1/B04_s1_w3.png")
    cut.upload_from_string(cut.download_as_bytes()[:-30])
    bucket.blob("screen/images/RPE-01/Plate1/extra.png").upload_from_string(b"x")
    for decode in (True, False):
        quality = QualityConfig(max_excluded_share=1.0, decode=decode)
        facts = check_screen(config_of(bucket), None, quality, ARGS).to_json()
        assert facts["sites_expected"] == facts["sites_found"] == 16
        assert facts["sites_incomplete_list"] == ["RPE-01_1_B03_1"]
        assert facts["corrupt_list"] == ["images/RPE-01/Plate1/B04_s1_w3.png"]
        assert facts["files_without_rows_list"] == ["images/RPE-01/Plate1/extra.png"]


def test_ingest(in_bucket, bucket):
    root = f"gs://{bucket.name}/run"
    out = Destination(f"{root}/examples", f"{root}/quality", f"{root}/schema")
    for _ in range(2):  # the second time over what the first has left
        ingest(
            config_of(bucket),
            SplitConfig(),
            QualityConfig(),
            out,
            lambda: beam.Pipeline(argv=ARGS),
            ARGS,
        )
    names = {blob.name for blob in bucket.client.list_blobs(bucket, prefix="run/")}
    assert names == {
        "run/examples/manifest.json",
        "run/examples/Split-train/RPE-01_1-00000-of-00001",
        "run/examples/Split-eval/RPE-09_1-00000-of-00001",
        "run/quality/quality.json",
        "run/quality/plates.csv",
        "run/quality/sites.csv",
        "run/quality/dead_letters.csv",
        "run/schema/schema.pbtxt",
    }
    storage = open_storage(root, ARGS)
    stored = set()
    for split in ("train", "eval"):
        for shard in manifest.verified_shards(out.examples, split, storage.open_read):
            with storage.open_read(f"{out.examples}/{shard.name}") as stream:
                for record in records.read_frames(stream):
                    site, image_CHW, _ = records.decode_site(record)
                    np.testing.assert_array_equal(image_CHW, in_bucket.images[site.site_id])
                    stored.add(site.site_id)
    assert stored == {row["site_id"] for row in in_bucket.rows}
    assert read_quality(out.quality, ARGS).facts["sites_complete"] == 16
    shard = bucket.blob("run/examples/Split-train/RPE-01_1-00000-of-00001")
    shard.upload_from_string(shard.download_as_bytes()[:-1])
    with pytest.raises(manifest.ManifestError, match="bytes where the manifest says"):
        manifest.verified_shards(out.examples, "train", storage.open_read)


def test_the_fingerprint_sees_a_change(in_bucket, bucket):
    before = screen_fingerprint(config_of(bucket), ARGS)
    assert screen_fingerprint(config_of(bucket), ARGS) == before
    bucket.blob("screen/images/RPE-01/Plate1/B03_s1_w3.png").upload_from_string(b"other")
    assert screen_fingerprint(config_of(bucket), ARGS) != before


def test_an_empty_prefix_is_no_screen(bucket):
    with pytest.raises(ScreenError, match="has no table that we know"):
        check_screen(config_of(bucket), None, None, ARGS)


def test_a_mapped_table_that_is_not_there(in_bucket, bucket):
    screen = ScreenConfig(
        f"gs://{bucket.name}/screen",
        columns={"experiment": "a", "plate": "b", "well": "c"},
        tables=("other.csv",),
        path_template="{well}{channel}.png",
    )
    with pytest.raises(ScreenError, match=r"cannot read table gs://.*other\.csv"):
        check_screen(screen, None, None, ARGS)


def test_other_schemes_are_refused():
    with pytest.raises(StorageError, match=r"s3:// is not known; give a local folder or gs://"):
        open_storage("s3://bucket/x")


def test_a_client_does_not_travel_with_a_pickled_storage(server):
    import pickle

    storage = open_storage("gs://x/y", ARGS)
    assert storage.io is storage.io
    assert json.dumps(pickle.loads(pickle.dumps(storage)).__dict__["_io"]) == "null"
