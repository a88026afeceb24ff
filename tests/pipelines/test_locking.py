"""One run at a time; a dead holder holds nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.locking import RunFolderBusy, run_lock

HOLD = """
import sys, time, pathlib, os
from pipelines.locking import run_lock
with run_lock(pathlib.Path(sys.argv[1])):
    if len(sys.argv) > 2 and os.fork() == 0:
        os.write(1, b"%d\\n" % os.getpid())  # one write: the two lines must not mix
        time.sleep(60)
        os._exit(0)
    os.write(1, b"held\\n")
    time.sleep(60)
"""


def hold(folder: Path, *extra: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), *extra], stdout=subprocess.PIPE, text=True
    )


def test_second_run_is_refused_and_told_who_runs(tmp_path: Path) -> None:
    holder = hold(tmp_path)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunFolderBusy, match=f"process {holder.pid}"), run_lock(tmp_path):
            pass
    finally:
        holder.kill()
        holder.wait()
    with run_lock(tmp_path):
        pass


def test_forked_worker_of_a_killed_run_does_not_hold_the_lock(tmp_path: Path) -> None:
    holder = hold(tmp_path, "fork")
    assert holder.stdout is not None
    lines = {holder.stdout.readline().strip(), holder.stdout.readline().strip()}
    worker = int((lines - {"held"}).pop())
    try:
        holder.kill()
        holder.wait()
        os.kill(worker, 0)  # still alive
        with run_lock(tmp_path):
            pass
    finally:
        os.kill(worker, signal.SIGKILL)
        holder.stdout.close()


def test_lock_can_be_taken_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inside"), run_lock(tmp_path):
        raise ValueError("inside")
    with run_lock(tmp_path):
        pass
