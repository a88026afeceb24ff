"""What two root file systems differ in: kind, mode, owner, link target, time and content."""

from __future__ import annotations

import filecmp
import os
import stat
from pathlib import Path


def differences(one: Path, other: Path) -> list[str]:
    """One line a path that is not the same in both, sorted by path."""
    names = sorted(_names(one) | _names(other))
    return [line for name in names if (line := _difference(one / name, other / name, name))]


def _names(root: Path) -> set[str]:
    return {
        os.path.relpath(os.path.join(folder, name), root)
        for folder, folders, files in os.walk(root)
        for name in (*folders, *files)
    }


def _difference(one: Path, other: Path, name: str) -> str:
    for path, root in ((one, "second"), (other, "first")):
        if not os.path.lexists(path):
            return f"{name}: in the {root} alone"
    first, second = one.lstat(), other.lstat()
    if first.st_mode != second.st_mode:
        return f"{name}: mode {stat.filemode(first.st_mode)}, {stat.filemode(second.st_mode)}"
    if (first.st_uid, first.st_gid) != (second.st_uid, second.st_gid):
        return f"{name}: owner"
    if stat.S_ISLNK(first.st_mode):
        targets = one.readlink(), other.readlink()
        return "" if targets[0] == targets[1] else f"{name}: link to {targets[0]}, {targets[1]}"
    if stat.S_ISREG(first.st_mode) and not filecmp.cmp(one, other, shallow=False):
        return f"{name}: content ({first.st_size}, {second.st_size} bytes)"
    if int(first.st_mtime) != int(second.st_mtime):
        return f"{name}: time"
    return ""
