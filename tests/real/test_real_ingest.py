"""Ingest on real RxRx1 tables and images, where they are at hand."""

from __future__ import annotations

import json
import shutil
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.leak_audit.check import with_audit
from components.leak_audit.config import LeakConfig
from components.plate_example_gen.check import CheckReport, check_screen
from components.plate_example_gen.config import QualityConfig, ScreenConfig, SplitConfig
from components.plate_example_gen.ingest import Destination, ingest
from trainer import manifest, records, schema


@pytest.fixture(scope="module")
def rxrx1(real_data) -> Path:
    """Folder of the Kaggle tables with a few images."""
    return real_data / "rxrx1" if (real_data / "rxrx1").is_dir() else real_data


@pytest.fixture(scope="module")
def report(rxrx1) -> CheckReport:
    """What check says about it."""
    start = time.process_time()
    report = check_screen(ScreenConfig(str(rxrx1)))
    assert time.process_time() - start < 20  # seconds of all cores together
    return report


def test_check_counts_what_is_there(report):
    facts = report.to_json()
    assert facts["rows"] == 62_755
    assert (facts["sites_expected"], facts["sites_missing"]) == (125_510, 125_498)
    assert (facts["sites_found"], facts["sites_complete"]) == (12, 6)
    assert facts["sites_incomplete"] == len(facts["sites_incomplete_list"]) == 6
    assert all(site.endswith("_B02_2") for site in facts["sites_incomplete_list"])
    assert facts["rows_without_files"] == len(facts["rows_without_files_list"]) == 62_749
    assert (facts["files_found"], facts["files_without_rows"], facts["corrupt"]) == (60, 0, 0)
    assert (facts["plates"], facts["experiments"]) == (204, 51)
    assert report.failed
    assert len(json.dumps(facts)) > 10_000


def test_the_leak_through_plate_groups_is_reported(report):
    groups = report.to_json()["plate_groups"]
    assert groups["sizes"] == [277, 277, 277, 277]
    assert (groups["n_experiments"], groups["purity"]) == (33, 1.0)
    assert groups["chance"] == pytest.approx(1 / 1108)
    assert groups["gain"] == pytest.approx(4.0, rel=0.01)
    assert "4 fixed plate groups" in report.summary()


def test_the_leak_audit_passes_the_real_tables_and_tells_their_groups(rxrx1):
    splits = SplitConfig(holdout_per_cell_type=1)
    report = with_audit(check_screen(ScreenConfig(str(rxrx1)), splits), LeakConfig())
    tests = {test["key"]: test for test in report.to_json()["leak_audit"]["tests"]}
    assert {key: test["outcome"] for key, test in tests.items()} == {
        "groups": "note",
        **dict.fromkeys(("experiments", "wells", "sites", "pixels", "copies", "position"), "pass"),
    }
    assert tests["groups"]["facts"]["gain"] == pytest.approx(4.0, rel=0.01)
    by_well = tests["position"]["facts"]["well"]
    assert by_well["n_wells"] > 4_000
    assert by_well["accuracy"] < 3 / 1108


def test_hold_out_and_classes(rxrx1):
    report = check_screen(ScreenConfig(str(rxrx1)), SplitConfig(holdout_per_cell_type=1))
    splits = report.to_json()["splits"]
    assert splits["eval"]["experiments_list"] == ["HEPG2-07", "HUVEC-16", "RPE-07", "U2OS-03"]
    assert splits["train"]["experiments"] == 29
    assert splits["unlabelled"]["experiments"] == 18
    assert report.to_json()["errors"] == 0


def test_pixels_are_pillows_bit_for_bit(rxrx1, tmp_path):
    """The six whole sites, each plate's own table rows beside them."""
    import apache_beam as beam

    screen = tmp_path / "screen"
    for name in ("train", "test"):
        shutil.copytree(rxrx1 / name, screen / name)
    for table in ("train_controls.csv", "test_controls.csv"):
        lines = (rxrx1 / table).read_text().splitlines()
        wells = [f"HUVEC-01_{n}_B02," for n in range(1, 5)] + ["HEPG2-08_1_B02", "HEPG2-08_2_B02"]
        kept = [line for line in lines if line.startswith(("id_code", *wells))]
        (screen / table).write_text("\n".join(kept) + "\n")
    out = Destination(*(str(tmp_path / name) for name in ("examples", "quality", "schema")))
    written = ingest(
        ScreenConfig(str(screen)),
        SplitConfig(),
        QualityConfig(max_excluded_share=0.5),
        out,
        lambda: beam.Pipeline(argv=["--runner=FnApiRunner"]),
    )
    assert sum(shard.n_records for shard in written.shards) == 6
    for split, root in (("train", "train"), ("eval", "test")):
        for shard in manifest.verified_shards(out.examples, split):
            content = next(iter(tf.data.TFRecordDataset(f"{out.examples}/{shard.name}"))).numpy()
            site, image_CHW, histogram_CQ = records.decode_site(content)
            plate = site.plate_id.rpartition("_")[2]
            folder = screen / root / site.experiment / f"Plate{plate}"
            files = [folder / f"{site.well}_s{site.site}_w{c}.png" for c in range(1, 7)]
            pillow_CHW = np.stack([np.asarray(Image.open(file)) for file in files])
            np.testing.assert_array_equal(image_CHW, pillow_CHW)
            assert histogram_CQ.sum() == image_CHW.size
            features = tf.io.parse_single_example(content, schema.raw_feature_spec(6))
            raw = tf.io.decode_compressed(features[schema.PIXELS], "ZLIB").numpy()
            assert raw == pillow_CHW.tobytes()


def test_stored_sites_are_small(rxrx1):
    """Within 10 % of zlib's level 6, which takes many times as long."""
    from components.plate_example_gen.scan import compress

    ours, zlib_6 = 0, 0
    for first in sorted(rxrx1.rglob("B02_s1_w1.png")):
        files = [first.with_name(f"B02_s1_w{c}.png") for c in range(1, 7)]
        pixels = np.stack([np.asarray(Image.open(file)) for file in files])
        ours += len(compress(pixels))
        zlib_6 += len(zlib.compress(pixels, 6))
    assert ours < 1.1 * zlib_6
