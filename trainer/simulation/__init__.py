"""A simulated screen in RxRx1's layout: the ground truth that every later step is tried on.

Biology, each batch effect and the noise of the camera have a dial each
(:class:`SimulationConfig`), and every dial at 0 switches its effect off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer.simulation.config import SimulationConfig, demo_config, tiny_config

if TYPE_CHECKING:
    from trainer.simulation.screen import SimulationSummary, is_simulated, simulate_screen

__all__ = [
    "SimulationConfig",
    "SimulationSummary",
    "demo_config",
    "is_simulated",
    "simulate_screen",
    "tiny_config",
]


def __getattr__(name: str) -> Any:
    # Whoever only configures a screen does not wait for NumPy and SciPy.
    if name in __all__:
        from trainer.simulation import screen

        return getattr(screen, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
