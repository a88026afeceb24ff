"""How strict the leak audit is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainer.strict import ConfigError


@dataclass(frozen=True)
class LeakConfig:
    """The leak audit: what stops a run, and when a position is said to tell a treatment."""

    #: What a shared experiment, well, site or image in two splits does to the run. The
    #: in-distribution split is declared to share experiments and wells with training, and never
    #: stops a run.
    on_leak: Literal["fail", "warn"] = "fail"
    #: What it does when well positions tell treatments: many screens have one fixed layout.
    on_position: Literal["fail", "warn"] = "warn"
    #: p-value (0..1) at or below which positions tell treatments.
    position_max_p_value: float = 0.001
    #: Shuffled layouts that the p-value is made from.
    permutations: int = 1999
    #: Seed of the shuffling.
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.position_max_p_value < 1:
            raise ConfigError(
                f"position_max_p_value must lie in 0..1, below 1; got {self.position_max_p_value}"
            )
        if self.permutations < 1:
            raise ConfigError(f"permutations must be at least 1; got {self.permutations}")
        smallest = 1 / (self.permutations + 1)
        if 0 < self.position_max_p_value < smallest:
            raise ConfigError(
                f"{self.permutations} permutations give no p-value below {smallest:.2g}, so "
                f"position_max_p_value = {self.position_max_p_value:g} could never be met; give "
                f"{round(1 / self.position_max_p_value)} or more"
            )
        if not 0 <= self.seed < 2**31:
            raise ConfigError(f"seed must lie in 0..{2**31 - 1}; got {self.seed}")
