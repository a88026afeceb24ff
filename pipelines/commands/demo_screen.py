"""The simulated screen of the demo: made once, used again while its configuration is the same."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pipelines.config import terminal_can_redraw
from pipelines.logs import Terminal
from pipelines.progress import Progress

if TYPE_CHECKING:
    from trainer.simulation import SimulationConfig, SimulationSummary


def simulate_with_progress(
    config: SimulationConfig,
    out: str,
    terminal: Terminal,
    processes: int = 0,
    clean: str | None = None,
    overwrite: bool = False,
) -> SimulationSummary:
    """Simulate a screen and show how far it is; ``processes`` 0 means one for each core."""
    from trainer.simulation import simulate_screen

    with progress_on(terminal) as progress:
        progress.step_started("Simulate")
        summary = simulate_screen(
            config,
            out,
            processes or usable_cores(),
            clean,
            overwrite=overwrite,
            progress=lambda done, of: progress.detail(f"plate {done}/{of}"),
        )
        progress.step_finished("Simulate", "run")
    return summary


def ensure_demo_screen(config: SimulationConfig, folder: str, terminal: Terminal) -> None:
    """Simulate the demo's screen unless it is there with the same configuration."""
    from trainer.simulation import is_simulated

    if is_simulated(config, folder):
        with progress_on(terminal) as progress:
            progress.step_started("Simulate")
            progress.step_finished("Simulate", "cached")
        return
    simulate_with_progress(config, folder, terminal, overwrite=True)


def progress_on(terminal: Terminal) -> Progress:
    """The display for a terminal, redrawn in place where it can be."""
    return Progress(terminal.err, redraw=terminal.err.isatty() and terminal_can_redraw())


def usable_cores() -> int:
    """Cores this process may use, at most 8."""
    return min(8, len(os.sched_getaffinity(0)))
