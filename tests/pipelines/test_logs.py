"""Noise goes to the log, from Python, from C and from children; our voice stays."""

from __future__ import annotations

import ctypes
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.logs import log_file, redirected, temporary_log_file


def test_noise_of_every_kind_goes_to_the_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "logs" / "run.log"
    libc = ctypes.CDLL(None)
    with redirected(log) as terminal:
        os.write(2, b"from the descriptor\n")
        print("from print")
        sys.stderr.write("from sys.stderr\n")
        libc.puts(b"from C")
        libc.fflush(None)
        subprocess.run(["sh", "-c", "echo from a child >&2"], check=True)
        logging.getLogger("tfx").info("from logging")
        print("a result", file=terminal.out)
        print("a message", file=terminal.err)
        assert terminal.log_path == log
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("a result\n", "a message\n")
    text = log.read_text()
    for noise in ("the descriptor", "print", "sys.stderr", "C", "a child", "logging"):
        assert f"from {noise}\n" in text
    assert "a result" not in text


def test_descriptors_are_given_back_after_an_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    handlers, level = list(logging.getLogger().handlers), logging.getLogger().level
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(ValueError, match="x"), redirected(tmp_path / "run.log"):
        raise ValueError("x")
    os.write(1, b"out\n")
    os.write(2, b"err\n")
    assert capfd.readouterr() == ("out\n", "err\n")
    assert (logging.getLogger().handlers, logging.getLogger().level) == (handlers, level)
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before


def test_a_log_is_appended_to(tmp_path: Path) -> None:
    for word in ("first", "second"):
        with redirected(tmp_path / "run.log"):
            os.write(1, word.encode())
    assert (tmp_path / "run.log").read_text() == "firstsecond"


def test_log_names(tmp_path: Path) -> None:
    assert log_file(tmp_path, "run").name.startswith("run-2")
    path = temporary_log_file("check")
    assert path.is_file() and path.name.startswith("platewise-check-")
    path.unlink()
