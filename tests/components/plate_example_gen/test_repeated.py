"""A plate that two workers read, as Beam runners may have it, and other bytes from each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest

from components.plate_example_gen import ingest, quality, scan
from components.plate_example_gen.config import QualityConfig, ScreenConfig, SplitConfig
from trainer import manifest, records

ReadPlate = ingest.ReadPlate


class WorkerLostError(Exception):
    """The other worker died."""


class Twice(ReadPlate):
    """Each plate is read by this worker and by another one that compresses in another way."""

    #: Where the other worker does its reading: before this one begins, between this one's shards
    #: and its part file, or after it is done.
    when = "between"
    #: The other worker dies when its shards are written.
    other_dies = False

    def _read_elsewhere(self, packed: bytes) -> None:
        options = (self._options, self._assignment, self._destination)
        other = ReadPlate(*options, self._beam_args, self._threads)
        other.setup()
        level, scan.COMPRESSION_LEVEL = scan.COMPRESSION_LEVEL, 0
        try:
            list(other.process(packed))
        except WorkerLostError:
            pass
        finally:
            scan.COMPRESSION_LEVEL = level
            other.teardown()

    def process(self, packed: bytes) -> Iterator[tuple[str, int]]:
        original, elsewhere = quality.part_to_json, False

        def interrupted(result: scan.PlateResult) -> str:
            nonlocal elsewhere
            if elsewhere and self.other_dies:
                raise WorkerLostError
            if not elsewhere and self.when == "between":
                elsewhere = True
                self._read_elsewhere(packed)
                elsewhere = False
            return original(result)

        quality.part_to_json = interrupted
        try:
            if self.when == "before":
                elsewhere = True
                self._read_elsewhere(packed)
                elsewhere = False
            found = list(super().process(packed))
            if self.when == "after":
                elsewhere = True
                self._read_elsewhere(packed)
        finally:
            quality.part_to_json = original
        yield from found


def pixels_of(folder: Path) -> dict[str, np.ndarray]:
    sites = {}
    for split in ("train", "eval"):
        for shard in manifest.verified_shards(str(folder), split):
            with open(folder / shard.name, "rb") as stream:
                for record in records.read_frames(stream, shard.name):
                    identity, pixels_CHW, _ = records.decode_site(record)
                    assert identity.site_id not in sites
                    sites[identity.site_id] = pixels_CHW
    return sites


@pytest.mark.parametrize("other_dies", [False, True])
@pytest.mark.parametrize("when", ["before", "between", "after"])
def test_shards_and_manifest_agree_whichever_attempt_counts(
    small_screen, tmp_path, monkeypatch, when: str, other_dies: bool
) -> None:
    repeated = type("Repeated", (Twice,), {"when": when, "other_dies": other_dies})
    monkeypatch.setattr(ingest, "ReadPlate", repeated)
    names = ("examples", "quality", "schema")
    made = ingest.ingest(
        ScreenConfig(str(small_screen.root)),
        SplitConfig(mode="experiments", eval=("HUVEC-17", "RPE-09")),
        QualityConfig(),
        ingest.Destination(*(str(tmp_path / name) for name in names)),
        lambda: beam.Pipeline(argv=["--runner=FnApiRunner"]),
    )
    manifest.verify(str(tmp_path / "examples"), made)
    found = pixels_of(tmp_path / "examples")
    assert set(found) == set(small_screen.images)
    for site_id, image_CHW in small_screen.images.items():
        np.testing.assert_array_equal(found[site_id], image_CHW)
    # Nothing of the attempt that does not count is left.
    stored = {p.relative_to(tmp_path / "examples").as_posix() for p in tmp_path.rglob("*-of-*")}
    assert stored == {shard.name for shard in made.shards}
    assert sorted(p.name for p in (tmp_path / "examples").iterdir()) == [
        "Split-eval",
        "Split-train",
        "manifest.json",
    ]
    assert not list((tmp_path / "quality").glob("_*"))
