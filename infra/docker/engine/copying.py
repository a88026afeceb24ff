"""COPY: files and folders from a context or a stage into a root file system."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from engine.chroot import inside


def copy(
    origin: Path,
    sources: Sequence[str],
    root: Path,
    target: str,
    owner: tuple[int, int],
    chmod: str | None = None,
) -> None:
    """Copy ``sources`` of ``origin`` to ``target`` in ``root`` as COPY does.

    A folder's content is copied, not the folder itself; a target ending in / is a folder, and so
    is one of several sources. Owner and group are ``owner``, modes are kept but for ``chmod``
    (octal digits).

    Raises
    ------
    FileNotFoundError
        A source that fits nothing, as a container engine refuses it.
    """
    found = [match for source in sources for match in _matches(origin, source)]
    place = inside(root, target)
    as_folder = target.endswith("/") or place.is_dir() or len(found) > 1
    for source in found:
        if source.is_dir() and not source.is_symlink():
            for path in sorted(source.rglob("*")):
                _copy_one(path, place / path.relative_to(source), owner, chmod)
            _make_folders(place, owner)
        else:
            _copy_one(source, place / source.name if as_folder else place, owner, chmod)


def _matches(origin: Path, source: str) -> list[Path]:
    # Links on the way are followed inside the origin; the last part may be a pattern.
    folder, _, name = source.strip("/").rpartition("/")
    parent = inside(origin, folder)
    found = sorted(parent.glob(name)) if name else [parent]
    if not found:
        raise FileNotFoundError(f"nothing at {source!r}; is it left out by .dockerignore?")
    return found


def _copy_one(source: Path, target: Path, owner: tuple[int, int], chmod: str | None) -> None:
    if source.is_dir() and not source.is_symlink():
        _make_folders(target, owner)
        shutil.copystat(source, target)
    else:
        _make_folders(target.parent, owner)
        if os.path.lexists(target):
            target.unlink()
        shutil.copy2(source, target, follow_symlinks=False)
    if chmod and not source.is_symlink():
        target.chmod(int(chmod, 8))
    os.chown(target, *owner, follow_symlinks=False)


def _make_folders(folder: Path, owner: tuple[int, int]) -> None:
    for path in [*reversed(folder.parents), folder]:
        if not path.exists():
            path.mkdir()
            os.chown(path, *owner)


def copy_into(context: Path, names: Sequence[str], target: Path) -> None:
    """Copy the named files of a context, so that a later change to it changes nothing."""
    for name in names:
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(context / name, place, follow_symlinks=False)
