"""Files where they are: a local folder, or a bucket through Beam's filesystem.

Both kinds offer the few calls that ingest needs. Nothing here imports Beam until a
``gs://`` path is used, so that checking a local screen starts at once.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from trainer.errors import PlatewiseError


class StorageError(PlatewiseError):
    """A path that cannot be read, written or listed."""


class UnavailableError(PlatewiseError):
    """A storage that does not answer, or refuses: nothing is known of the file itself.

    Neither an OSError nor a StorageError, so that nobody takes it for a bad file and leaves
    that out.
    """


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
        """Content; OSError where unreadable, StorageError where larger than the limit,
        UnavailableError where the storage is not to be had."""

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
        from components.plate_example_gen.bucket import BucketStorage

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
                raise too_large(size, limit_bytes)
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


def too_large(size: int, limit_bytes: int) -> StorageError:
    """The error of a file that cannot be an image."""
    return StorageError(f"{size} bytes or more, where at most {limit_bytes} can be an image")
