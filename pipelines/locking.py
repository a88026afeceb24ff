"""One run at a time in a run folder."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from trainer.errors import PlatewiseError

LOCK_NAME = ".lock"

_held: set[int] = set()


class RunFolderBusy(PlatewiseError):  # noqa: N818 - reads as what it is
    """Another process runs in the same folder."""


@contextlib.contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; the kernel lets go of it however the process ends.

    Raises
    ------
    RunFolderBusy
        Another process holds it; the message names the process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            holder = os.pread(handle, 64, 0).decode(errors="replace").strip()
            who = f"process {holder}" if holder else "another process"
            raise RunFolderBusy(
                f"{folder} is in use by {who}: wait for that run to end, "
                "or give this one another name or folder"
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        _held.add(handle)
        yield
    finally:
        _held.discard(handle)
        os.close(handle)


def _let_go_in_child() -> None:
    """Close inherited locks: a forked worker that outlives a killed run must not hold one."""
    for handle in _held:
        with contextlib.suppress(OSError):
            os.close(handle)
    _held.clear()


os.register_at_fork(after_in_child=_let_go_in_child)
