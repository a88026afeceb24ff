"""Damage is seen; an unchanged artifact is not read again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import google_crc32c
import pytest

from pipelines import seals
from trainer.manifest import Manifest, Shard, write_manifest


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    folder = tmp_path / "PlateTrainer" / "model" / "7"
    (folder / "Format-Serving").mkdir(parents=True)
    (folder / "Format-Serving" / "saved_model.pb").write_bytes(b"graph")
    (folder / "history.csv").write_bytes(b"loss\n1\n")
    seals.write_seal(tmp_path / ".seals", str(folder))
    return folder


def damage(artifact: Path) -> str | None:
    return seals.damage(artifact.parents[2] / ".seals", str(artifact))


def test_untouched_artifact_is_whole(artifact: Path) -> None:
    assert damage(artifact) is None


def same_size(path: Path) -> None:
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: path.unlink(), "was removed"),
        (lambda path: path.write_bytes(b""), "has 0 bytes instead of 5"),
        (lambda path: path.write_bytes(b"graph of another"), "bytes instead of 5"),
        (same_size, "was changed after it was written"),
    ],
)
def test_damage_names_the_file(artifact: Path, harm: Callable[[Path], None], message: str) -> None:
    harm(artifact / "Format-Serving" / "saved_model.pb")
    found = damage(artifact)
    assert found is not None
    assert message in found
    assert "saved_model.pb" in found


def test_removed_artifact(artifact: Path) -> None:
    artifact.rename(artifact.with_name("8"))
    assert str(artifact) in (damage(artifact) or "")


def test_artifact_that_was_never_finished(tmp_path: Path) -> None:
    (tmp_path / "half").mkdir()
    assert "has no seal" in (seals.damage(tmp_path / ".seals", str(tmp_path / "half")) or "")


def test_copied_file_of_the_same_content_is_whole(artifact: Path) -> None:
    os.utime(artifact / "history.csv", ns=(5, 5))
    assert damage(artifact) is None


def test_single_file_artifact(tmp_path: Path) -> None:
    value = tmp_path / "value"
    value.write_text("1")
    seals.write_seal(tmp_path / ".seals", str(value))
    assert seals.damage(tmp_path / ".seals", str(value)) is None
    value.write_text("22")
    assert "2 bytes instead of 1" in (seals.damage(tmp_path / ".seals", str(value)) or "")


def test_shards_are_not_read_to_be_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "examples" / "1"
    (folder / "Split-eval").mkdir(parents=True)
    name = "Split-eval/A-01_1-00000-of-00001"
    (folder / name).write_bytes(b"pixels")
    checksum = google_crc32c.Checksum(b"pixels").hexdigest().decode()
    shard = Shard("eval", "A-01_1", "A-01", name, 1, 6, checksum)
    write_manifest(str(folder), Manifest((shard,), 6, 8, 8))
    read = []
    real = seals._crc32c
    monkeypatch.setattr(seals, "_crc32c", lambda path: read.append(path.name) or real(path))
    seals.write_seal(tmp_path / ".seals", str(folder))
    assert read == ["manifest.json"]
    os.utime(folder / name, ns=(1, 1))
    assert seals.damage(tmp_path / ".seals", str(folder)) is None
