"""The manifest, and what it protects readers from."""

from __future__ import annotations

import json

import google_crc32c
import pytest
import tensorflow as tf

from trainer import manifest, records
from trainer.errors import PlatewiseError
from trainer.manifest import Manifest, ManifestError, Shard


@pytest.fixture
def folder(tmp_path):
    """Two splits of one shard each, with their manifest."""
    shards = []
    for split, plate in (("train", "A-1_1"), ("eval", "A-2_1")):
        name = f"Split-{split}/{plate}-00000-of-00001"
        content = b"".join(records.frame(f"{plate} {i}".encode()) for i in range(3))
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(content)
        crc = f"{google_crc32c.value(content):08x}"
        shards.append(Shard(split, plate, plate[:3], name, 3, len(content), crc))
    written = Manifest(
        tuple(shards), 6, 32, 32, ("1", "2"), {"train": {"A-1": 3}, "eval": {"A-2": 3}}, ("n",) * 6
    )
    manifest.write_manifest(str(tmp_path), written)
    return tmp_path, written


def test_round_trip(folder):
    path, written = folder
    back = manifest.read_manifest(str(path))
    assert back == written
    assert back.splits() == ("train", "eval")
    assert back.of_split("eval") == written.shards[1:]
    assert [p.name for p in path.iterdir() if p.is_file()] == ["manifest.json"]


def test_same_manifest_same_bytes(folder):
    path, _ = folder
    before = (path / "manifest.json").read_bytes()
    manifest.write_manifest(str(path), manifest.read_manifest(str(path)))
    assert (path / "manifest.json").read_bytes() == before


def test_whole_shards_are_given(folder):
    path, written = folder
    assert manifest.verified_shards(str(path), "train") == written.shards[:1]
    assert manifest.verified_shards(str(path), "nothing") == ()


def test_a_shard_cut_at_a_record_is_found(folder):
    path, written = folder
    shard = path / written.shards[0].name
    content = shard.read_bytes()
    shard.write_bytes(content[: 2 * len(content) // 3])
    # TensorFlow itself takes what is left for a success: that is why there is a manifest.
    assert sum(1 for _ in tf.data.TFRecordDataset(str(shard))) == 2
    with pytest.raises(ManifestError, match=r"A-1_1-00000-of-00001 has \d+ bytes where"):
        manifest.verified_shards(str(path), "train")
    assert manifest.verified_shards(str(path), "eval") == written.shards[1:]


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda p: p.unlink(), "cannot be read"),
        (lambda p: p.write_bytes(b""), "has 0 bytes where"),
        (lambda p: p.write_bytes(p.read_bytes()[:-1] + b"!"), "has crc32c"),
    ],
)
def test_a_harmed_shard_is_named(folder, harm, message):
    path, written = folder
    harm(path / written.shards[1].name)
    with pytest.raises(PlatewiseError, match=f"A-2_1-00000-of-00001.*{message}.*again"):
        manifest.verify(str(path), written)
    manifest.verify(str(path), written, ["train"])


def test_a_missing_manifest_is_told(tmp_path):
    with pytest.raises(ManifestError, match=r"manifest.json.*run that step again"):
        manifest.read_manifest(str(tmp_path))


@pytest.mark.parametrize(
    "change",
    [
        lambda plain: plain.update(format=99),
        lambda plain: plain.pop("shards"),
        lambda plain: plain["shards"][0].update(name="../../etc/passwd"),
        lambda plain: plain["shards"][0].update(name="/etc/passwd"),
        lambda plain: plain["shards"][0].update(surprise=1),
    ],
)
def test_another_manifest_is_refused(folder, change):
    path, _ = folder
    plain = json.loads((path / "manifest.json").read_text())
    change(plain)
    (path / "manifest.json").write_text(json.dumps(plain))
    with pytest.raises(ManifestError, match=r"manifest\.json"):
        manifest.read_manifest(str(path))


def test_what_is_not_json_is_refused(tmp_path):
    (tmp_path / "manifest.json").write_text("[1, 2")
    with pytest.raises(ManifestError, match="is not a manifest"):
        manifest.read_manifest(str(tmp_path))


def test_a_full_disk_leaves_the_old_manifest(folder, monkeypatch):
    path, written = folder
    before = (path / "manifest.json").read_bytes()

    def full(self, text):
        self.write_bytes(text[:10].encode())
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(OSError, match="No space left"):
        manifest.write_manifest(str(path), written)
    assert (path / "manifest.json").read_bytes() == before
    assert [p.name for p in path.iterdir() if p.is_file()] == ["manifest.json"]


def test_a_caller_may_bring_its_own_opener(folder):
    path, written = folder
    opened = []

    def opener(name):
        opened.append(name)
        return open(name.replace("gs://bucket", str(path)), "rb")

    assert manifest.verified_shards("gs://bucket", "train", opener) == written.shards[:1]
    assert opened[0] == "gs://bucket/manifest.json"
