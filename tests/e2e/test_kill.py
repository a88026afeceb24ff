"""A killed run is finished by the same command, and gives what an undisturbed run gives."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.local import artifacts_dir, run_local
from pipelines.outcome import NodeEvent
from pipelines.training import create_pipeline

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
#: Components whose outputs do not depend on when they were made, and those outputs.
COMPARED = {"PlateExampleGen": "examples", "PlateTransform": "transform_graph"}
RUN = """
import json, sys
from pathlib import Path
from pipelines.config import from_mapping
from pipelines.local import run_local
from pipelines.training import create_pipeline

config = from_mapping(json.loads(Path(sys.argv[1]).read_text()))
result = run_local(
    create_pipeline(config),
    Path(config.run.folder),
    lambda event: print(event.node_id, event.state, flush=True),
)
outcome = {node: [o.state, o.outputs] for node, o in result.nodes.items()}
Path(sys.argv[2]).write_text(json.dumps(outcome))
"""


class Runs:
    """Runs of a copy of the code, each in a process of its own."""

    def __init__(self, folder: Path, settings: dict) -> None:
        self.code = folder / "code"
        for package in ("components", "pipelines", "trainer"):
            shutil.copytree(
                ROOT / package, self.code / package, ignore=shutil.ignore_patterns("__pycache__")
            )
        self.settings = folder / "settings.json"
        self.settings.write_text(json.dumps(settings))
        self.log = folder / "log"
        self.result = folder / "result.json"

    def start(self) -> subprocess.Popen:
        with self.log.open("a") as log:
            return subprocess.Popen(
                [sys.executable, "-c", RUN, str(self.settings), str(self.result)],
                env={**os.environ, "PYTHONPATH": str(self.code)},
                cwd=self.code,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def kill_in(self, component: str, state: str = "started", after_s: float = 0.0) -> list[str]:
        """Kill a run once ``component`` has reached ``state``; lines of what it said until then."""
        process = self.start()
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line.strip())
            if said[-1] == f"{component} {state}":
                time.sleep(after_s)
                break
        else:
            pytest.fail(f"{component} never {state}:\n{said}\n{self.log.read_text()[-3000:]}")
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        return said

    def finish(self) -> dict[str, list]:
        process = self.start()
        process.communicate()
        assert process.returncode == 0, self.log.read_text()[-3000:]
        return json.loads(self.result.read_text())


class EnoughError(Exception):
    """What ends a run in this process once there is enough to compare."""


def run_until_compared(training) -> dict[str, str]:
    """Component -> where its output lies, of a run that nothing disturbed as far as these."""

    def stop(event: NodeEvent) -> None:
        if (event.node_id, event.state) == (list(COMPARED)[-1], "run"):
            raise EnoughError

    with pytest.raises(EnoughError):
        run_local(create_pipeline(training.config), training.folder, stop)
    made = artifacts_dir(training.folder)
    return {node: str(*(made / node / output).iterdir()) for node, output in COMPARED.items()}


@pytest.fixture(scope="module")
def killed(settings, tmp_path_factory) -> tuple[Runs, dict[str, list]]:
    """A run killed in ingest, killed in training, then finished."""
    folder = tmp_path_factory.mktemp("killed")
    runs = Runs(folder, settings(folder / "runs"))
    runs.kill_in("PlateExampleGen", after_s=0.3)
    runs.kill_in("PlateTrainer", after_s=4.0)
    return runs, runs.finish()


def test_kill_and_rerun(killed, make_training) -> None:
    _, outcome = killed
    assert [outcome[node][0] for node in COMPARED] == ["cached", "cached"]
    undisturbed = make_training("undisturbed")
    expected = run_until_compared(undisturbed)
    for node, output in COMPARED.items():
        (uri,) = outcome[node][1][output]
        files = undisturbed.digest(uri)
        assert files and files == undisturbed.digest(expected[node]), node


@pytest.mark.thorough
def test_a_changed_line_runs_again_from_there(killed) -> None:
    runs, _ = killed
    page = runs.code / "components" / "predictor" / "executor.py"
    page.write_text(page.read_text() + "\n# one more line\n")
    said = runs.kill_in("PlatePredictor", "run")
    assert [f"{node} cached" in said for node in (*COMPARED, "PlateTrainer")] == [True] * 3
