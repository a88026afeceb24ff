"""Writes the shard of one plate: a temporary name first, its own only when it is whole."""

from __future__ import annotations

import contextlib
import uuid
from typing import BinaryIO

from components.plate_example_gen.storage import Storage
from trainer.manifest import Shard
from trainer.records import frame

#: Folder, inside the artifact, of shards that are being written; gone when all is done.
TEMPORARY_NAME = "_tmp"


class ShardWriter:
    """One TFRecord file. The same records always give the same bytes and the same name.

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
        # Two attempts at one plate must not write into one file.
        self._temporary = f"{self._folder}/{TEMPORARY_NAME}/{plate_id}-{split}-{uuid.uuid4().hex}"
        self._checksum = google_crc32c.Checksum()
        self._n_records = self._n_bytes = 0
        self._stream: BinaryIO = storage.open_write(self._temporary)

    def write(self, record: bytes) -> None:
        """Append one serialised record."""
        framed = frame(record)
        self._stream.write(framed)
        self._checksum.update(framed)
        self._n_records += 1
        self._n_bytes += len(framed)

    def close(self) -> Shard:
        """Finish the file and give it its name."""
        self._stream.close()
        name = f"Split-{self._split}/{self._plate_id}-00000-of-00001"
        self._storage.rename(self._temporary, f"{self._folder}/{name}")
        return Shard(
            split=self._split,
            plate_id=self._plate_id,
            experiment=self._experiment,
            name=name,
            n_records=self._n_records,
            n_bytes=self._n_bytes,
            crc32c=self._checksum.hexdigest().decode(),
        )

    def abandon(self) -> None:
        """Leave nothing behind after an error, if that is still possible."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.close()
        with contextlib.suppress(OSError):
            self._storage.remove_file(self._temporary)
