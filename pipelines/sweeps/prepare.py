"""What arms share, made once: the simulated screen, its Examples and its Transform graph.

The pipeline's own first steps on the local runner, all arms in one folder, so that TFX's cache
serves whatever two arms have in common.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipelines.config import PlatewiseConfig, RunConfig
from trainer.simulation import is_simulated, simulate_screen
from trainer.simulation.config import SimulationConfig
from trainer.strict import digest

#: Told what is being done, such as ``simulate``.
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Data:
    """Folders that training and prediction read."""

    examples: str
    transform_graph: str


def screen_folder(root: Path, config: SimulationConfig) -> Path:
    """Folder of a simulated screen, named by what decides it."""
    return root / "screens" / digest(config)


def prepare(config: PlatewiseConfig, root: Path, processes: int, tell: Tell) -> Data:
    """Simulate, ingest, audit and normalise; from the cache where nothing changed.

    Raises
    ------
    PlatewiseError
        A step failed; the message is the step's own.
    """
    screen = screen_folder(root, config.simulation)
    if not is_simulated(config.simulation, screen):
        tell("simulate")
        simulate_screen(config.simulation, screen, processes, overwrite=screen.exists())
    tell("ingest and normalise")
    from pipelines.local import run_local
    from pipelines.sweeps.pipeline import create_pipeline

    folder = root / "data" / screen.name
    run = RunConfig(name=screen.name, root=str(root / "data"))
    here = dataclasses.replace(
        config, run=run, screen=dataclasses.replace(config.screen, root=str(screen))
    )
    result = run_local(create_pipeline(here), folder)
    return Data(
        result.uri("PlateExampleGen", "examples"),
        result.uri("PlateTransform", "transform_graph"),
    )
