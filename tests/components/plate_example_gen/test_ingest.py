"""The component on real PNGs, a real Beam runner and real artifacts."""

from __future__ import annotations

import json
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.tf_metadata import schema_utils
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import io_utils

from components.artifacts import QualityControl
from components.beam_options import IN_PROCESS
from components.plate_example_gen.component import PlateExampleGen
from components.plate_example_gen.config import QualityConfig, ScreenConfig, SplitConfig
from components.plate_example_gen.executor import Executor
from components.plate_example_gen.fingerprint import screen_fingerprint
from components.plate_example_gen.ingest import ReadPlate
from components.plate_example_gen.quality import read_quality
from components.plate_example_gen.screen import ScreenError
from trainer import manifest, records, schema
from trainer.strict import ConfigError, to_mapping

TYPES = {
    "examples": standard_artifacts.Examples,
    "quality": QualityControl,
    "schema": standard_artifacts.Schema,
}


def properties(screen, splits=None, quality=None) -> dict[str, str]:
    configs = {
        "screen": screen,
        "splits": splits or SplitConfig(),
        "quality_config": quality or QualityConfig(),
    }
    return {name: json.dumps(to_mapping(config)) for name, config in configs.items()}


def run(out: Path, screen: ScreenConfig, splits=None, quality=None):
    """Run the executor as TFX does; returns the artifacts by name."""
    artifacts = {}
    for name, kind in TYPES.items():
        artifact = kind()
        artifact.uri = str(out / name)
        Path(artifact.uri).mkdir(parents=True, exist_ok=True)
        artifacts[name] = [artifact]
    context = Executor.Context(beam_pipeline_args=list(IN_PROCESS), unique_id="1")
    Executor(context).Do({}, artifacts, properties(screen, splits, quality))
    return {name: found[0] for name, found in artifacts.items()}


def read_sites(folder: str, split: str):
    """Every record of a split, through the checks that readers make."""
    for shard in manifest.verified_shards(folder, split):
        with open(f"{folder}/{shard.name}", "rb") as stream:
            found = [records.decode_site(record) for record in records.read_frames(stream)]
        assert len(found) == shard.n_records
        yield from found


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


@pytest.fixture(scope="module")
def ingested(tmp_path_factory, request):
    """A whole small screen, ingested once."""
    build = request.getfixturevalue("build_screen_once")
    small = build(tmp_path_factory.mktemp("in") / "screen", plates=2)
    out = tmp_path_factory.mktemp("out")
    return small, out, run(out, ScreenConfig(str(small.root)))


def test_every_site_is_stored_bit_for_bit(ingested):
    small, _, artifacts = ingested
    seen = set()
    for split in ("train", "eval"):
        for site, image_CHW, histogram_CQ in read_sites(artifacts["examples"].uri, split):
            row = small.row(site.site_id)
            np.testing.assert_array_equal(image_CHW, small.images[site.site_id])
            np.testing.assert_array_equal(histogram_CQ, records.histogram(image_CHW))
            assert site.well_id == row["well_id"]
            assert (site.treatment, site.well_type) == (row["sirna"], row["well_type"])
            assert (site.cell_type, site.experiment) == (row["cell_type"], row["experiment"])
            assert row["dataset"] == ("train" if split == "train" else "test")
            seen.add(site.site_id)
    assert seen == set(small.images)


def test_one_shard_a_plate_under_its_own_name(ingested):
    _, out, artifacts = ingested
    found = manifest.read_manifest(artifacts["examples"].uri)
    names = {shard.name for shard in found.shards}
    assert names == {name for name in content(out / "examples") if name != "manifest.json"}
    assert "Split-train/HUVEC-01_2-00000-of-00001" in names
    assert len(found.shards) == 12
    assert (found.n_channels, found.height, found.width) == (6, 24, 24)
    assert found.classes == ("s1", "s2", "s10")
    assert found.channel_names == schema.CHANNEL_NAMES
    assert found.expected_sites["eval"] == {"HUVEC-17": 16, "RPE-09": 16}
    splits = artifact_utils.decode_split_names(artifacts["examples"].split_names)
    assert splits == ["train", "eval"]


def test_tensorflow_reads_the_records(ingested):
    _, _, artifacts = ingested
    shard = manifest.verified_shards(artifacts["examples"].uri, "train")[0]
    serialized = next(
        iter(tf.data.TFRecordDataset(f"{artifacts['examples'].uri}/{shard.name}"))
    ).numpy()
    features = tf.io.parse_single_example(serialized, schema.raw_feature_spec(6))
    raw = tf.io.decode_raw(tf.io.decode_compressed(features[schema.PIXELS], "ZLIB"), tf.uint8)
    _, image_CHW, _ = records.decode_site(serialized)
    np.testing.assert_array_equal(tf.reshape(raw, (6, 24, 24)), image_CHW)


def test_the_schema_is_the_contracts(ingested):
    _, _, artifacts = ingested
    path = f"{artifacts['schema'].uri}/schema.pbtxt"
    proto = io_utils.parse_pbtxt_file(path, schema_pb2.Schema())
    spec = schema_utils.schema_as_feature_spec(proto).feature_spec
    assert spec == schema.raw_feature_spec(6)


def test_the_quality_artifact(ingested):
    small, out, artifacts = ingested
    report = read_quality(artifacts["quality"].uri)
    assert set(content(out / "quality")) == {
        "quality.json", "plates.csv", "sites.csv", "dead_letters.csv",
    }  # fmt: skip
    assert report.facts["sites_complete"] == len(small.rows) == len(report.sites)
    assert len(report.dead_letters) == 0
    site = report.sites.set_index("site_id").loc["RPE-01_2_B03_2"]
    image_CHW = small.images["RPE-01_2_B03_2"]
    assert site.w3_mean == pytest.approx(image_CHW[2].mean(), rel=1e-5)
    assert (site.status, site.split, site.treatment) == ("complete", "train", "s1")
    plate = report.plates.set_index("plate_id").loc["RPE-01_2"]
    pixels = np.stack([small.images[i] for i in small.images if i.startswith("RPE-01_2_")])
    assert plate.w4_p95 == np.percentile(pixels[:, 3], 95, method="inverted_cdf")
    assert plate.w4_mean == pytest.approx(pixels[:, 3].mean(), rel=1e-5)
    site_means = pixels[:, 3].mean(axis=(1, 2))
    assert plate.w4_intensity == pytest.approx(np.median(site_means), rel=1e-5)
    assert plate.w4_saturation_share == 0
    assert plate.sites_expected == plate.sites_complete == 8


def test_bytes_do_not_depend_on_threads_or_repetition(ingested, tmp_path):
    small, out, _ = ingested
    run(tmp_path, ScreenConfig(str(small.root), threads=5))
    run(tmp_path, ScreenConfig(str(small.root), threads=1))  # over what is there
    assert content(tmp_path) == content(out)


def test_bad_sites_are_left_out_and_listed(small_screen, tmp_path):
    cut, gone = small_screen.paths("RPE-01_1_B03_1")[2], small_screen.paths("RPE-01_1_B04_1")[0]
    cut.write_bytes(cut.read_bytes()[:-30])
    gone.unlink()
    for path in small_screen.paths("HUVEC-01_1_C03_2"):
        path.unlink()
    stray = cut.with_name("Z01_s1_w1.png")
    stray.write_bytes(b"stray")
    quality = QualityConfig(max_excluded_share=0.1)
    artifacts = run(tmp_path, ScreenConfig(str(small_screen.root)), quality=quality)
    stored = {site.site_id for site, _, _ in read_sites(artifacts["examples"].uri, "train")}
    lost = {"RPE-01_1_B03_1", "RPE-01_1_B04_1", "HUVEC-01_1_C03_2"}
    trained = {row["site_id"] for row in small_screen.rows if row["dataset"] == "train"}
    assert stored == trained - lost
    report = read_quality(artifacts["quality"].uri)
    letters = report.dead_letters.set_index("path")
    assert set(letters.site_id) - {""} == lost
    reasons = letters.reason.to_dict()
    assert "cut" in reasons["images/RPE-01/Plate1/B03_s1_w3.png"]
    assert "without channel 1" in reasons["images/RPE-01/Plate1/B04_s1_w1.png"]
    assert reasons["images/HUVEC-01/Plate1/C03_s2_w1.png"] == "no file of this site is there"
    assert reasons["images/RPE-01/Plate1/Z01_s1_w1.png"] == "no table row names this file"
    assert len(letters.digest["images/RPE-01/Plate1/B03_s1_w3.png"]) == 64
    statuses = report.sites.set_index("site_id").status
    assert statuses[sorted(lost)].tolist() == ["missing", "corrupt", "incomplete"]
    found = manifest.read_manifest(artifacts["examples"].uri)
    assert found.expected_sites["train"]["RPE-01"] == 8
    assert sum(shard.n_records for shard in found.of_split("train")) == 29


def test_an_experiment_that_lost_everything_is_still_expected(small_screen, tmp_path):
    for row in small_screen.rows:
        if row["experiment"] == "RPE-09":
            small_screen.paths(row["site_id"])[3].unlink()
    quality = QualityConfig(max_excluded_share=0.5)
    artifacts = run(tmp_path, ScreenConfig(str(small_screen.root)), quality=quality)
    found = manifest.read_manifest(artifacts["examples"].uri)
    assert found.expected_sites["eval"] == {"HUVEC-17": 8, "RPE-09": 8}
    assert {shard.experiment for shard in found.of_split("eval")} == {"HUVEC-17"}


def test_past_the_threshold_nothing_is_at_its_final_name(small_screen, tmp_path):
    path = small_screen.paths("RPE-01_1_B03_1")[2]
    content_before = path.read_bytes()
    for harm in (path.unlink, lambda: path.write_bytes(content_before[:-30])):
        path.write_bytes(content_before)
        harm()
        with pytest.raises(ScreenError, match=r"1 of 48 sites.*platewise check.*lists every one"):
            run(tmp_path, ScreenConfig(str(small_screen.root)))
        assert not (tmp_path / "examples" / "manifest.json").exists()
        assert not (tmp_path / "quality" / "quality.json").exists()


def test_wilds_splits_the_sites_of_a_plate(small_screen, tmp_path):
    screen = ScreenConfig(str(small_screen.root))
    artifacts = run(tmp_path, screen, SplitConfig(mode="wilds"))
    uri = artifacts["examples"].uri
    numbers = {s: {site.site for site, _, _ in read_sites(uri, s)} for s in ("train", "id_test")}
    assert numbers == {"train": {1}, "id_test": {2}}
    splits = artifact_utils.decode_split_names(artifacts["examples"].split_names)
    assert splits == ["train", "eval", "id_test", "test"]


def test_scoring_a_screen_without_labels_or_tables(small_screen, tmp_path):
    (small_screen.root / "metadata.csv").unlink()
    screen = ScreenConfig(str(small_screen.root))
    artifacts = run(tmp_path, screen, SplitConfig(mode="score"))
    stored = {site.site_id: site for site, _, _ in read_sites(artifacts["examples"].uri, "score")}
    assert set(stored) == set(small_screen.images)
    assert {site.treatment for site in stored.values()} == {""}
    assert manifest.read_manifest(artifacts["examples"].uri).classes == ()


@pytest.mark.parametrize(
    ("splits", "quality", "message"),
    [
        (SplitConfig(mode="experiments", eval=("RPE-1",)), None, "did you mean RPE-01"),
        (None, QualityConfig(decode=False), "for `platewise check`"),
    ],
)
def test_what_cannot_be_run(small_screen, tmp_path, splits, quality, message):
    with pytest.raises(ScreenError, match=message):
        run(tmp_path, ScreenConfig(str(small_screen.root)), splits, quality)


def test_nothing_to_be_judged_by_is_an_error(small_screen, tmp_path):
    for row in small_screen.rows:
        row["dataset"] = "train"
    small_screen.write_table()
    with pytest.raises(ScreenError, match=r"no labelled experiment is in split eval"):
        run(tmp_path, ScreenConfig(str(small_screen.root)))


@pytest.mark.thorough
def test_a_full_disk_leaves_no_shard(small_screen, tmp_path, monkeypatch):
    written = []

    def full(self, record):
        written.append(record)
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        return original(self, record)

    from components.plate_example_gen.shards import ShardWriter

    original = ShardWriter.write
    monkeypatch.setattr(ShardWriter, "write", full)
    with pytest.raises((OSError, RuntimeError), match="No space left"):
        run(tmp_path, ScreenConfig(str(small_screen.root)))
    assert content(tmp_path / "examples") == {}
    monkeypatch.undo()
    artifacts = run(tmp_path, ScreenConfig(str(small_screen.root)))
    assert len(manifest.verified_shards(artifacts["examples"].uri, "train")) == 4


def test_the_component_carries_what_the_cache_needs(small_screen):
    screen = ScreenConfig(str(small_screen.root))
    component = PlateExampleGen(screen, SplitConfig(), QualityConfig(), "files", "code")
    assert set(component.outputs) == set(TYPES)
    for name, kind in TYPES.items():
        assert component.outputs[name].type is kind
    assert component.exec_properties["screen_fingerprint"] == "files"
    assert component.exec_properties["code_digest"] == "code"
    assert json.loads(component.exec_properties["screen"])["root"] == screen.root
    with pytest.raises(ConfigError, match=r"did you mean screen\.root"):
        Executor(Executor.Context(unique_id="1")).Do(
            {},
            {"examples": [standard_artifacts.Examples()]},
            {"screen": '{"rot": "x"}', "splits": "{}", "quality_config": "{}"},
        )


def test_the_fingerprint_sees_every_change(small_screen):
    config = ScreenConfig(str(small_screen.root))
    prints = [screen_fingerprint(config)]
    assert screen_fingerprint(config) == prints[0]
    (small_screen.root / "notes.txt").write_text("not part of the screen")
    assert screen_fingerprint(config) == prints[0]
    image = small_screen.paths("RPE-01_1_B03_1")[2]
    image.write_bytes(image.read_bytes() + b"x")
    prints.append(screen_fingerprint(config))
    image.unlink()
    prints.append(screen_fingerprint(config))
    with open(small_screen.root / "metadata.csv", "a") as stream:
        stream.write("\n")
    prints.append(screen_fingerprint(config))
    assert len(set(prints)) == 4


def test_the_step_travels_to_a_worker(small_screen):
    """Beam pickles the step and every element of it."""
    from apache_beam.internal import pickler

    from components.plate_example_gen.ingest import Destination
    from components.plate_example_gen.scan import ScanOptions
    from components.plate_example_gen.splits import Assignment

    options = ScanOptions("r", ("t",), "{well}", ("1",), None, 9)
    step = ReadPlate(options, Assignment({}), Destination("a", "b", "c"), (), 2)
    assert isinstance(pickler.loads(pickler.dumps(step)), beam.DoFn)
