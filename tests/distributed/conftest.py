"""A screen and predictions, what FnApiRunner makes of them, and engines to compare with it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from components.beam_options import IN_PROCESS
from trainer.simulation import simulate_screen
from trainer.simulation.config import tiny_config

HERE = Path(__file__).parent
STAGES = ("example_gen", "transform", "evaluator")
FN_API_RUNNER = list(IN_PROCESS)


def load(path: Path) -> ModuleType:
    """A module by its file: the tests are no package."""
    spec = importlib.util.spec_from_file_location(f"distributed_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave all of these out where nothing is set up."""
    if not os.environ.get("PLATEWISE_FLINK"):
        skip = pytest.mark.skip(reason="PLATEWISE_FLINK is not set: `make test-flink` sets it up")
        for item in items:
            if item.path.is_relative_to(HERE):
                item.add_marker(skip)


@dataclass
class Stage:
    """One stage in a process of its own."""

    process: subprocess.Popen[bytes]
    log: Path

    def finish(self, limit_s: float = 400.0) -> None:
        """Wait for it; an error shows the end of its log."""
        try:
            code = self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            code = -1
        assert code == 0, self.log.read_text(errors="replace")[-4000:]


@dataclass
class Work:
    """A folder with the inputs of the stages, in which they leave their artifacts."""

    folder: Path

    def start(self, stage: str, beam_args: list[str]) -> Stage:
        """Begin a stage."""
        log = self.folder / f"{stage}.log"
        command = [sys.executable, str(HERE / "stages.py"), stage, str(self.folder), *beam_args]
        with open(log, "wb") as stream:
            process = subprocess.Popen(
                ["nice", *command],
                stdout=stream,
                stderr=stream,
                env=os.environ | {"PYTHONPATH": str(HERE.parents[1])},
            )
        return Stage(process, log)

    def adopt(self, other: Work, *names: str) -> None:
        """Take artifacts of another folder as this one's."""
        for name in names:
            (self.folder / name).symlink_to(other.folder / name)


@pytest.fixture(scope="session")
def home() -> Path:
    """Folder of ``infra/flink/setup.sh``."""
    return Path(os.environ["PLATEWISE_FLINK"]).resolve()


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Work:
    """A simulated screen of 24 plates, and prediction rows of a made-up model."""
    folder = tmp_path_factory.mktemp("inputs")
    # Large enough for a plate to take a while: a worker has to be caught in the middle of one.
    config = tiny_config(treatments=40, image_size_px=64)
    simulate_screen(config, str(folder / "screen"), processes=2)
    rows = load(HERE.parent / "components" / "evaluator" / "conftest.py")
    made = rows.Made({"HUVEC-18": 0.7, "RPE-08": 0.5}, baseline={"HUVEC-18": 0.6, "RPE-08": 0.5})
    rows._write_predictions(folder / "predictions", made)
    return Work(folder)


@pytest.fixture(scope="session")
def new_work(tmp_path_factory: pytest.TempPathFactory, inputs: Work) -> Callable[[], Work]:
    """Makes a folder with the same inputs."""

    def make() -> Work:
        work = Work(tmp_path_factory.mktemp("work"))
        work.adopt(inputs, "screen", "predictions")
        return work

    return make


@pytest.fixture(scope="session")
def expected(new_work: Callable[[], Work]) -> Work:
    """All stages on FnApiRunner, in one process."""
    work = new_work()
    for stage in STAGES:
        work.start(stage, FN_API_RUNNER).finish()
    return work


@pytest.fixture(scope="session")
def engines(home: Path) -> ModuleType:
    """The module that starts engines."""
    return load(HERE / "cluster.py")


@pytest.fixture(scope="session")
def flink(
    home: Path, engines: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """A Flink cluster of two task managers, of one slot each."""
    with engines.started(engines.Flink(home, tmp_path_factory.mktemp("flink"))) as engine:
        yield engine


@pytest.fixture(scope="session")
def prism(
    home: Path, engines: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """Beam's Prism runner."""
    with engines.started(engines.Prism(home, tmp_path_factory.mktemp("prism"))) as engine:
        yield engine
