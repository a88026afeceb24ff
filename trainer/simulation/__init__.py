"""A simulated screen in RxRx1's layout: the ground truth that every later step is tried on.

Biology, each batch effect and the noise of the camera have a dial each
(:class:`SimulationConfig`), and every dial at 0 switches its effect off.
"""

from trainer.simulation.config import SimulationConfig, demo_config, tiny_config
from trainer.simulation.screen import SimulationSummary, is_simulated, simulate_screen

__all__ = [
    "SimulationConfig",
    "SimulationSummary",
    "demo_config",
    "is_simulated",
    "simulate_screen",
    "tiny_config",
]
