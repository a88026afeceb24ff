"""The list of shards beside the splits, and the check that every reader makes first.

A TFRecord reader takes a file that was cut at a record boundary, emptied or deleted for
a success. ``manifest.json`` holds each shard's record count, size and crc32c, so that a
reader of ours stops instead of training on what is left.

Layout: ``<folder>/manifest.json`` and ``<folder>/Split-<split>/<plate_id>-SSSSS-of-NNNNN``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import posixpath
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

from trainer.errors import PlatewiseError

MANIFEST_NAME = "manifest.json"
FORMAT = 1
_CHUNK_BYTES = 1 << 20

#: Opens a path for reading bytes; lets a caller bring its own remote filesystem.
Opener = Callable[[str], BinaryIO]


class ManifestError(PlatewiseError):
    """A shard or the manifest itself is missing or is not what was written."""


@dataclass(frozen=True)
class Shard:
    """One TFRecord file: the records of one plate in one split."""

    split: str
    plate_id: str
    experiment: str
    #: Path relative to the folder of the manifest, with forward slashes.
    name: str
    n_records: int
    n_bytes: int
    #: crc32c of the whole file, 8 hexadecimal digits.
    crc32c: str


@dataclass(frozen=True)
class Manifest:
    """What a folder of shards holds."""

    shards: tuple[Shard, ...]
    n_channels: int
    height: int
    width: int
    #: Treatments that count as classes, natural order.
    classes: tuple[str, ...] = ()
    #: Sites per split and experiment before any exclusion: an experiment that lost every
    #: site is then seen as n = 0 instead of not at all.
    expected_sites: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    channel_names: tuple[str, ...] = ()

    def splits(self) -> tuple[str, ...]:
        """Split names in the order in which they first appear, expected ones included."""
        names = [shard.split for shard in self.shards] + list(self.expected_sites)
        return tuple(dict.fromkeys(names))

    def of_split(self, split: str) -> tuple[Shard, ...]:
        """Shards of one split, in the order of the manifest."""
        return tuple(shard for shard in self.shards if shard.split == split)


def to_json(manifest: Manifest) -> str:
    """Text of ``manifest.json``: the same manifest always gives the same bytes."""
    plain = {"format": FORMAT} | dataclasses.asdict(manifest)
    return json.dumps(plain, indent=1, sort_keys=True) + "\n"


def from_json(text: str, where: str = MANIFEST_NAME) -> Manifest:
    """Inverse of :func:`to_json`.

    Raises
    ------
    ManifestError
        Not JSON, of another format, or with a shard name that leaves the folder.
    """
    try:
        plain: dict[str, Any] = json.loads(text)
        if plain.pop("format") != FORMAT:
            raise ManifestError(f"{where} has another format; this version reads format {FORMAT}")
        plain["shards"] = tuple(Shard(**shard) for shard in plain["shards"])
        for key in ("classes", "channel_names"):
            plain[key] = tuple(plain[key])
        manifest = Manifest(**plain)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ManifestError(f"{where} is not a manifest ({error}); write it anew") from None
    for shard in manifest.shards:
        if posixpath.isabs(shard.name) or ".." in shard.name.split("/"):
            raise ManifestError(f"{where}: shard name {shard.name!r} leaves the folder")
    return manifest


def write_manifest(folder: str, manifest: Manifest) -> None:
    """Write ``manifest.json`` into ``folder``; it appears whole or not at all."""
    path = _join(folder, MANIFEST_NAME)
    text = to_json(manifest)
    if _is_remote(path):  # an object appears when its upload ends
        import tensorflow as tf

        with tf.io.gfile.GFile(path, "w") as stream:
            stream.write(text)
        return
    temporary = Path(f"{path}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text)
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def read_manifest(folder: str, opener: Opener | None = None) -> Manifest:
    """Read ``manifest.json`` of ``folder``, which may be local or ``gs://``.

    Raises
    ------
    ManifestError
        The file is missing or unreadable.
    """
    path = _join(folder, MANIFEST_NAME)
    try:
        with (opener or open_binary)(path) as stream:
            text = stream.read().decode()
    except _read_errors(path) as error:
        raise ManifestError(
            f"cannot read {path} ({type(error).__name__}): the step that writes this folder "
            "did not finish, or the file was removed since; run that step again"
        ) from None
    return from_json(text, path)


def verify(
    folder: str,
    manifest: Manifest,
    splits: Iterable[str] | None = None,
    opener: Opener | None = None,
) -> None:
    """Check that every shard is there, whole and unchanged.

    Parameters
    ----------
    folder
        Folder of the manifest.
    manifest
        What was written there.
    splits
        Splits to check; all where not given.
    opener
        Opens a path for reading; local files and ``gs://`` (through TensorFlow) by default.

    Raises
    ------
    ManifestError
        Names the first file that is missing, or differs in size or crc32c.
    """
    wanted = None if splits is None else set(splits)
    for shard in manifest.shards:
        if wanted is None or shard.split in wanted:
            _verify_shard(_join(folder, shard.name), shard, opener or open_binary)


def verified_shards(folder: str, split: str, opener: Opener | None = None) -> tuple[Shard, ...]:
    """Shards of a split after :func:`verify`: what every reader calls before it reads.

    Raises
    ------
    ManifestError
        See :func:`read_manifest` and :func:`verify`.
    """
    manifest = read_manifest(folder, opener)
    verify(folder, manifest, [split], opener)
    return manifest.of_split(split)


def open_binary(path: str) -> BinaryIO:
    """Open a local or remote path for reading bytes."""
    if not _is_remote(path):
        return open(path, "rb")
    import tensorflow as tf

    return cast(BinaryIO, tf.io.gfile.GFile(path, "rb"))


def _verify_shard(path: str, shard: Shard, opener: Opener) -> None:
    import google_crc32c

    checksum, n_bytes = google_crc32c.Checksum(), 0
    try:
        with opener(path) as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                checksum.update(chunk)
                n_bytes += len(chunk)
    except _read_errors(path) as error:
        raise ManifestError(
            f"shard {path} of {shard.n_records} records cannot be read "
            f"({type(error).__name__}): it was removed or moved after it was written; "
            "run the step that writes it again"
        ) from None
    found = checksum.hexdigest().decode()
    if n_bytes != shard.n_bytes:
        raise ManifestError(
            f"shard {path} has {n_bytes} bytes where the manifest says {shard.n_bytes}: "
            "it was cut or changed after it was written; run the step that writes it again"
        )
    if found != shard.crc32c:
        raise ManifestError(
            f"shard {path} has crc32c {found} where the manifest says {shard.crc32c}: "
            "its content was changed after it was written; run the step that writes it again"
        )


def _read_errors(path: str) -> tuple[type[Exception], ...]:
    """Errors with which an unreadable file is reported; TensorFlow has its own."""
    if not _is_remote(path):
        return (OSError, UnicodeDecodeError)
    import tensorflow as tf

    return (OSError, UnicodeDecodeError, tf.errors.OpError)


def _is_remote(path: str) -> bool:
    return "://" in path


def _join(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}"
