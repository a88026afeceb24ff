"""A tiny simulated screen, its configuration, and one finished run of the real pipeline."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipelines.config import PlatewiseConfig, from_mapping
from pipelines.local import run_local
from pipelines.outcome import NodeEvent, RunResult
from trainer.simulation import simulate_screen
from trainer.simulation.config import tiny_config

#: Shrinks the real configuration; every part stays in it.
SMALL: dict[str, Any] = {
    "preset": "tiny",
    "model": {
        "image_size_px": 32,
        "denoiser_widths": [8, 16],
        "tiny_widths": [8, 16],
        "embedding_dim": 16,
    },
    "data": {"minibatch_size": 8},
    "loop": {"epochs": 6, "checkpoint_every_steps": 4},
    "predict": {"protocol_sites_per_plate": 1},
}

#: A gate that one well classified rightly passes; without any threshold nothing is blessed.
LENIENT: dict[str, Any] = {
    "min_accuracy_per_well": 0.001,
    "min_times_chance_per_well": 0.0,
    "min_times_chance_worst_experiment": 0.0,
}


Settings = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def settings(screen: Path) -> Settings:
    """Makes plain values of a configuration."""

    def make(root: Path, name: str = "run", **sections: Any) -> dict[str, Any]:
        return {
            "run": {"name": name, "root": str(root)},
            "screen": {"root": str(screen)},
            "training": SMALL,
            "evaluation": LENIENT,
            **sections,
        }

    return make


@dataclass
class Training:
    """A run folder and a way to run the training pipeline in it."""

    config: PlatewiseConfig
    events: list[NodeEvent] = field(default_factory=list)
    #: Component and output -> :func:`digest` of what the first run made. Other tests damage
    #: those artifacts, so they are read when they are new.
    made: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return Path(self.config.run.folder)

    def run(self) -> RunResult:
        from pipelines.training import create_pipeline

        return run_local(create_pipeline(self.config), self.folder, self.events.append)

    @staticmethod
    def digest(uri: str) -> dict[str, str]:
        """SHA-256 of every file of an artifact."""
        return {
            str(path.relative_to(uri)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(Path(uri).rglob("*"))
            if path.is_file()
        }


@pytest.fixture(scope="session")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cell types, three experiments each, the last of each held out."""
    folder = tmp_path_factory.mktemp("screen") / "tiny"
    simulate_screen(tiny_config(), folder)
    return folder


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of all local runs."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def make_training(settings: Settings, runs: Path) -> Callable[..., Training]:
    def make(name: str, **sections: Any) -> Training:
        return Training(from_mapping(settings(runs, name, **sections)))

    return make


@pytest.fixture(scope="session")
def finished(make_training: Callable[..., Training]) -> tuple[Training, RunResult]:
    """The first run, undisturbed."""
    training = make_training("first")
    result = training.run()
    for node, output in (("PlateExampleGen", "examples"), ("PlateTransform", "transform_graph")):
        training.made[node, output] = training.digest(result.uri(node, output))
    return training, result
