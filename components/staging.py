"""Artifacts in a bucket, as local folders for code that knows local files alone.

Small artifacts only: prediction rows, descriptions, pages. Content is held against its checksum
and what fails is tried again, as everywhere with :mod:`components.plate_example_gen.bucket`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from components.plate_example_gen.storage import open_storage

#: Objects that travel at the same time.
_THREADS = 8


def is_bucket(uri: str) -> bool:
    """Whether a path lies in a bucket."""
    return uri.startswith("gs://")


def fetch(
    uri: str, folder: str | Path, names: Sequence[str] | None = None, beam_args: Sequence[str] = ()
) -> str:
    """Copy an artifact out of a bucket.

    Parameters
    ----------
    uri
        Folder in a bucket.
    folder
        Local folder, made where it is missing.
    names
        Files wanted, relative; those that are not there are left out. All where not given.

    Returns
    -------
    The local folder.

    Raises
    ------
    UnavailableError
        The bucket, or an object's true content, is not to be had.
    """
    storage = open_storage(uri, beam_args)
    root = uri.rstrip("/")
    if names is None:
        names = [
            f"{parent}/{name}"[len(root) + 1 :]
            for parent, found in storage.walk(root)
            for name in found
        ]

    def one(name: str) -> None:
        try:
            content = storage.read(f"{root}/{name}")
        except FileNotFoundError:
            return
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    Path(folder).mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(one, names))
    return str(folder)


def upload(folder: str | Path, uri: str, last: str = "", beam_args: Sequence[str] = ()) -> None:
    """Copy a local folder into a bucket, in place of what is there.

    Parameters
    ----------
    last
        The file that says that the rest is there: it goes when all others have arrived.

    Raises
    ------
    UnavailableError
    """
    storage = open_storage(uri, beam_args)
    root = uri.rstrip("/")
    storage.remove_folder(root)
    paths = [path for path in sorted(Path(folder).rglob("*")) if path.is_file()]
    names = [path.relative_to(folder).as_posix() for path in paths]

    def one(name: str) -> None:
        with storage.open_write(f"{root}/{name}") as stream:
            stream.write((Path(folder) / name).read_bytes())

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(one, [name for name in names if name != last]))
    if last in names:
        one(last)


@contextmanager
def output_folder(uri: str, last: str = "") -> Iterator[str]:
    """A local folder to write an artifact to; one for a bucket is uploaded when all went well.

    Parameters
    ----------
    last
        As for :func:`upload`.
    """
    if not is_bucket(uri):
        yield uri
        return
    with tempfile.TemporaryDirectory(prefix="platewise-") as folder:
        yield folder
        upload(folder, uri, last)
