"""Everything that libraries write goes to a log file; the terminal stays ours.

TensorFlow, TFX, Beam and absl write to stdout and stderr, from Python and from C++. So the
file descriptors themselves are pointed at the log, and a duplicate of the terminal is kept
for what the command has to say.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO


@dataclass(frozen=True)
class Terminal:
    """The command's own voice: results on ``out``, progress and errors on ``err``."""

    out: TextIO
    err: TextIO
    #: Where everything else goes; None while nothing is redirected.
    log_path: Path | None = None


def plain_terminal() -> Terminal:
    """The process's stdout and stderr, nothing redirected."""
    return Terminal(sys.stdout, sys.stderr)


@contextlib.contextmanager
def redirected(log_path: Path) -> Iterator[Terminal]:
    """Point file descriptors 1 and 2 at a log file, as children of the process see them too.

    Parameters
    ----------
    log_path
        File to append to; its folder is made.

    Yields
    ------
    Terminal
        What the descriptors were before.
    """
    log_path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    with contextlib.ExitStack() as stack:
        saved = {fd: os.dup(fd) for fd in (1, 2)}
        voices = {
            fd: stack.enter_context(_voice(copy, _encoding(fd))) for fd, copy in saved.items()
        }
        log = stack.enter_context(open(log_path, "a", buffering=1, encoding="utf-8"))
        for fd in (1, 2):
            os.dup2(log.fileno(), fd)
        # Python's own streams too: a caller may have put others in place of 1 and 2.
        stack.enter_context(contextlib.redirect_stdout(log))
        stack.enter_context(contextlib.redirect_stderr(log))
        handler = logging.StreamHandler(log)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root = logging.getLogger()
        level = root.level
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        crashes_were_shown = faulthandler.is_enabled()
        faulthandler.enable(log)
        try:
            yield Terminal(voices[1], voices[2], log_path)
        finally:
            faulthandler.disable()
            if crashes_were_shown:
                faulthandler.enable()
            root.removeHandler(handler)
            root.setLevel(level)
            log.flush()
            for fd in (1, 2):
                os.dup2(saved[fd], fd)


@contextlib.contextmanager
def _voice(fd: int, encoding: str) -> Iterator[TextIO]:
    stream = open(fd, "w", 1, encoding, "replace")  # noqa: SIM115 - closed below, with care
    try:
        yield stream
    finally:
        # Closing flushes what a reader that has gone did not take.
        with contextlib.suppress(BrokenPipeError):
            stream.close()


def _encoding(fd: int) -> str:
    return (sys.stdout if fd == 1 else sys.stderr).encoding or "utf-8"


def log_file(folder: Path | str, command: str) -> Path:
    """Path of a new log file in a folder, named by command and UTC time."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    return Path(folder) / f"{command}-{stamp}-{os.getpid()}.log"


def temporary_log_file(command: str) -> Path:
    """Path of a new log file for a command that has no folder of its own to write to."""
    handle, path = tempfile.mkstemp(prefix=f"platewise-{command}-", suffix=".log")
    os.close(handle)
    return Path(path)


def quiet_libraries() -> None:
    """Ask the libraries for less, before they are imported; what the user set stays.

    The log would otherwise drown in start-up chatter. Only the command process does this.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    os.environ.setdefault("GLOG_minloglevel", "1")
