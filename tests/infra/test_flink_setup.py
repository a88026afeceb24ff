"""``make test-flink`` on a machine that cannot run it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

SETUP = Path(__file__).parents[2] / "infra" / "flink" / "setup.sh"


def test_what_is_missing_is_said_in_one_line(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("dirname", "sed", "cat", "cksum"):
        (tools / name).symlink_to(str(shutil.which(name)))
    shell = shutil.which("sh")
    assert shell
    command = [shell, str(SETUP), str(tmp_path / "out")]
    done = subprocess.run(command, env={"PATH": str(tools)}, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("missing: java mvn go (needed:")
    assert not (tmp_path / "out").exists()
