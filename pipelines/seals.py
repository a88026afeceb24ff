"""Seals: what an artifact looked like when it was finished.

TFX serves a cached artifact without looking at it: a file deleted, cut or changed since goes
unnoticed. So each finished artifact gets a seal (names, sizes, times and crc32c of its files),
kept outside the artifact; before a run every seal is compared with the files, and what does
not match is no longer served. An artifact without a seal was never finished.

As in Git's index, a file of the same size and modification time is taken for unchanged; where
only the time differs, its content decides.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import google_crc32c

from trainer.manifest import MANIFEST_NAME, ManifestError, read_manifest

_CHUNK_BYTES = 1 << 20


def write_seal(seals: Path, uri: str) -> None:
    """Seal the artifact at ``uri`` (a folder or a file); the seal appears whole."""
    known = _checksums_of_manifest(uri)
    files = {}
    for name, path in _files(uri):
        stat = path.stat()
        files[name] = {
            "n_bytes": stat.st_size,
            "mtime_ns": stat.st_mtime_ns,
            "crc32c": known.get(name) or _crc32c(path),
        }
    seals.mkdir(parents=True, exist_ok=True)
    path = _seal_path(seals, uri)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps({"uri": uri, "files": files}, indent=1, sort_keys=True))
    temporary.replace(path)


def damage(seals: Path, uri: str) -> str | None:
    """What is wrong with the artifact at ``uri``; None where it is as it was sealed."""
    if not Path(uri).exists():
        return f"{uri} was removed"
    try:
        sealed = json.loads(_seal_path(seals, uri).read_text())["files"]
    except (OSError, ValueError, KeyError):
        return f"{uri} has no seal: the run that wrote it was stopped"
    base = Path(uri)
    for name, wanted in sealed.items():
        path = base / name if name else base
        try:
            stat = path.stat()
        except OSError:
            return f"{path} was removed"
        if stat.st_size != wanted["n_bytes"]:
            return f"{path} has {stat.st_size} bytes instead of {wanted['n_bytes']}"
        if stat.st_mtime_ns != wanted["mtime_ns"] and _crc32c(path) != wanted["crc32c"]:
            return f"{path} was changed after it was written"
    return None


def _seal_path(seals: Path, uri: str) -> Path:
    parts = Path(uri).parts[-3:]
    digest = hashlib.sha256(uri.encode()).hexdigest()[:12]
    return seals / f"{'.'.join(p.strip(os.sep) for p in parts)}.{digest}.json"


def _files(uri: str) -> Iterator[tuple[str, Path]]:
    base = Path(uri)
    if base.is_file():
        yield "", base
        return
    for path in sorted(base.rglob("*")):
        if path.is_file():
            yield path.relative_to(base).as_posix(), path


def _checksums_of_manifest(uri: str) -> dict[str, str]:
    """Checksums the writer took already, so that pixels are not read once more."""
    if not (Path(uri) / MANIFEST_NAME).is_file():
        return {}
    try:
        return {shard.name: shard.crc32c for shard in read_manifest(uri).shards}
    except ManifestError:
        return {}


def _crc32c(path: Path) -> str:
    checksum = google_crc32c.Checksum()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            checksum.update(chunk)
    return str(checksum.hexdigest().decode())
