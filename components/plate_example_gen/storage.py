"""Files where they are: a local folder, or a bucket through Beam's filesystem.

Both kinds offer the few calls that ingest needs. Nothing here imports Beam until a
``gs://`` path is used, so that checking a local screen starts at once.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol, cast

from trainer.errors import PlatewiseError


class StorageError(PlatewiseError):
    """A path that cannot be read, written or listed."""


class FileStat(NamedTuple):
    """Size in bytes and time of the last change, in a unit of the storage's own."""

    path: str
    size: int
    changed: int | float


class Storage(Protocol):
    """What ingest asks of a filesystem. Paths are absolute, with forward slashes."""

    remote: bool

    def names(self, folder: str) -> set[str]:
        """Names of the regular files directly in ``folder``; empty where there is none."""

    def walk(self, folder: str) -> Iterator[tuple[str, list[str]]]:
        """Every folder below, itself included, with the names of its files; sorted.

        Links are followed, hidden folders are not."""

    def walk_stats(self, folder: str) -> Iterator[FileStat]:
        """Every file below a folder, hidden folders apart, in no order."""

    def read(self, path: str, limit_bytes: int | None = None) -> bytes:
        """Content; OSError where unreadable, StorageError where larger than the limit."""

    def open_read(self, path: str) -> BinaryIO:
        """A stream of the content."""

    def open_write(self, path: str) -> BinaryIO:
        """A stream that becomes the content; folders are made."""

    def rename(self, source: str, destination: str) -> None:
        """Give a file its final name, replacing what is there."""

    def remove_file(self, path: str) -> None:
        """Remove a file; OSError where there is none."""

    def remove_folder(self, folder: str) -> None:
        """Remove a folder and everything in it, if it is there."""


def open_storage(path: str, beam_args: Sequence[str] = ()) -> Storage:
    """Storage for a path: local, or ``gs://``.

    Parameters
    ----------
    path
        A path on the storage that is wanted.
    beam_args
        Beam's own flags; remote storage takes its credentials (``--no_auth``) from them.

    Raises
    ------
    StorageError
        A scheme that is not known.
    """
    scheme, separator, _ = path.partition("://")
    if not separator:
        return LocalStorage()
    if scheme == "gs":
        return BucketStorage(tuple(beam_args))
    raise StorageError(f"{path}: {scheme}:// is not known; give a local folder or gs://")


def require_folder(path: str) -> None:
    """Stop where a local path is no folder; a bucket is not asked.

    Raises
    ------
    StorageError
    """
    if "://" not in path and not Path(path).is_dir():
        what = "is a file, not a folder" if Path(path).exists() else "is not there"
        raise StorageError(f"{path} {what}; give the folder of the screen")


class LocalStorage:
    """The local filesystem."""

    remote = False

    def names(self, folder: str) -> set[str]:
        try:
            with os.scandir(folder) as entries:
                return {entry.name for entry in entries if entry.is_file()}
        except (FileNotFoundError, NotADirectoryError):
            return set()
        except OSError as error:
            raise _cannot_list(folder, error) from None

    def walk(self, folder: str) -> Iterator[tuple[str, list[str]]]:
        yield from _walk(folder, set())

    def walk_stats(self, folder: str) -> Iterator[FileStat]:
        for parent, names in _walk(folder, set()):
            for name in names:
                path = f"{parent}/{name}"
                found = os.stat(path)  # noqa: PTH116  (called for every image of a screen)
                yield FileStat(path, found.st_size, found.st_mtime_ns)

    def read(self, path: str, limit_bytes: int | None = None) -> bytes:
        with open(path, "rb", buffering=0) as stream:
            if (
                limit_bytes is not None
                and (size := os.fstat(stream.fileno()).st_size) > limit_bytes
            ):
                raise _too_large(size, limit_bytes)
            return stream.readall()

    def open_read(self, path: str) -> BinaryIO:
        return open(path, "rb")

    def open_write(self, path: str) -> BinaryIO:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return open(path, "wb")

    def rename(self, source: str, destination: str) -> None:
        Path(destination).parent.mkdir(parents=True, exist_ok=True)
        Path(source).replace(destination)

    def remove_file(self, path: str) -> None:
        Path(path).unlink()

    def remove_folder(self, folder: str) -> None:
        shutil.rmtree(folder, ignore_errors=True)


class BucketStorage:
    """Objects of a bucket, through Beam's ``gcsio``."""

    remote = True

    def __init__(self, beam_args: tuple[str, ...]) -> None:
        self._beam_args = beam_args
        self._io: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_beam_args": self._beam_args, "_io": None}  # a client does not travel

    @property
    def io(self) -> Any:
        """One client for all calls: making one each time asks for credentials each time."""
        if self._io is None:
            from apache_beam.io.gcp import gcsio
            from apache_beam.options.pipeline_options import PipelineOptions

            options = PipelineOptions(list(self._beam_args))
            self._io = gcsio.GcsIO(pipeline_options=options)
        return self._io

    def names(self, folder: str) -> set[str]:
        prefix = folder.rstrip("/") + "/"
        paths = (path[len(prefix) :] for path, _ in self.io.list_files(prefix))
        return {name for name in paths if name and "/" not in name}

    def walk(self, folder: str) -> Iterator[tuple[str, list[str]]]:
        prefix = folder.rstrip("/") + "/"
        names: dict[str, list[str]] = {}
        for path, _ in self.io.list_files(prefix):
            parent, _, name = path.rpartition("/")
            if name:
                names.setdefault(parent, []).append(name)
        for parent in sorted(names):
            yield parent, sorted(names[parent])

    def walk_stats(self, folder: str) -> Iterator[FileStat]:
        files = self.io.list_files(folder.rstrip("/") + "/", with_metadata=True)
        for path, (size, changed) in files:
            yield FileStat(path, size, changed)

    def read(self, path: str, limit_bytes: int | None = None) -> bytes:
        with _remote_errors(path), self.io.open(path, "r") as stream:
            if limit_bytes is None:
                return cast(bytes, stream.read())
            content = cast(bytes, stream.read(limit_bytes + 1))
        if len(content) > limit_bytes:
            raise _too_large(len(content), limit_bytes)
        return content

    def open_read(self, path: str) -> BinaryIO:
        with _remote_errors(path):
            if not self.io.exists(path):  # else nobody knows before the first read
                raise FileNotFoundError(f"no such object: {path}")
            return cast(BinaryIO, self.io.open(path, "r"))

    def open_write(self, path: str) -> BinaryIO:
        return cast(BinaryIO, self.io.open(path, "w"))

    def rename(self, source: str, destination: str) -> None:
        with _remote_errors(source):
            self.io.rename(source, destination)

    def remove_file(self, path: str) -> None:
        with _remote_errors(path):
            self.io.delete(path)

    def remove_folder(self, folder: str) -> None:
        with _remote_errors(folder):
            for path in [path for path, _ in self.io.list_files(folder.rstrip("/") + "/")]:
                self.io.delete(path)


class _remote_errors:  # noqa: N801  (reads as a statement)
    """Turns what the client library raises into OSError, as a local path would."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        from google.api_core.exceptions import GoogleAPIError, NotFound

        if isinstance(error, NotFound):
            raise FileNotFoundError(f"no such object: {self._path}") from None
        if isinstance(error, GoogleAPIError):
            raise OSError(f"{self._path}: {error}") from error


def _walk(folder: str, seen: set[tuple[int, int]]) -> Iterator[tuple[str, list[str]]]:
    """Unlike os.walk: links to folders are followed once, and only regular files count."""
    try:
        identity = os.stat(folder)  # noqa: PTH116
        if (identity.st_dev, identity.st_ino) in seen:
            return
        seen.add((identity.st_dev, identity.st_ino))
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _cannot_list(folder, error) from None
    yield folder, [entry.name for entry in entries if entry.is_file()]
    for entry in entries:
        if entry.is_dir() and not entry.name.startswith("."):
            yield from _walk(entry.path, seen)


def _cannot_list(folder: str, error: OSError) -> StorageError:
    """An error, not an empty folder: all of its images would count as missing."""
    return StorageError(f"cannot list the folder {folder} ({error.strerror}); make it readable")


def _too_large(size: int, limit_bytes: int) -> StorageError:
    return StorageError(f"{size} bytes or more, where at most {limit_bytes} can be an image")
