"""Writes the shard of one plate under a name of its own; one place then publishes it.

A Beam runner may read a plate twice, one attempt after the other or both at once, and two
machines need not compress to the same bytes (their libraries may differ). So no attempt
touches what another wrote, and whoever writes the manifest chooses which one counts.
"""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import replace
from typing import BinaryIO

from components.plate_example_gen.storage import Storage, UnavailableError
from trainer.manifest import Shard
from trainer.records import frame

#: Folder, inside the artifact, of shards that are being written; gone when all is done.
TEMPORARY_NAME = "_tmp"


class ShardWriter:
    """One TFRecord file, written by one attempt at one plate.

    Parameters
    ----------
    storage, folder
        Where the Examples artifact is.
    split, experiment, plate_id
        Whose records these are.
    """

    def __init__(
        self, storage: Storage, folder: str, split: str, experiment: str, plate_id: str
    ) -> None:
        import google_crc32c

        self._storage, self._folder = storage, folder.rstrip("/")
        self._split, self._experiment, self._plate_id = split, experiment, plate_id
        self._name = f"{TEMPORARY_NAME}/{plate_id}-{split}-{uuid.uuid4().hex}"
        self._checksum = google_crc32c.Checksum()
        self._n_records = self._n_bytes = 0
        self._stream: BinaryIO = storage.open_write(f"{self._folder}/{self._name}")

    def write(self, record: bytes) -> None:
        """Append one serialised record."""
        framed = frame(record)
        self._stream.write(framed)
        self._checksum.update(framed)
        self._n_records += 1
        self._n_bytes += len(framed)

    def close(self) -> Shard:
        """Finish the file; it keeps its temporary name until :func:`publish`."""
        self._stream.close()
        return Shard(
            split=self._split,
            plate_id=self._plate_id,
            experiment=self._experiment,
            name=self._name,
            n_records=self._n_records,
            n_bytes=self._n_bytes,
            crc32c=self._checksum.hexdigest().decode(),
        )

    def abandon(self) -> None:
        """Leave nothing behind after an error, if that is still possible."""
        with contextlib.suppress(OSError, ValueError, UnavailableError):
            self._stream.close()
        with contextlib.suppress(OSError, UnavailableError):
            self._storage.remove_file(f"{self._folder}/{self._name}")


def publish(storage: Storage, folder: str, shard: Shard) -> Shard:
    """Give a finished shard its final name, which follows from its split and plate.

    Returns
    -------
    The shard under that name, as the manifest lists it.
    """
    folder, name = folder.rstrip("/"), f"Split-{shard.split}/{shard.plate_id}-00000-of-00001"
    storage.rename(f"{folder}/{shard.name}", f"{folder}/{name}")
    return replace(shard, name=name)
