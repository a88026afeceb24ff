"""Knobs of the denoiser: how it looks at an image, and how it is trained before the classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainer.input_config import require


@dataclass(frozen=True)
class DenoiserDesign:
    """How the denoiser sees its input, beside its widths in ``ModelConfig``."""

    #: ``joint``: one network sees all channels and lets strong ones help weak ones;
    #: ``channelwise``: one-channel network, applied to each channel, of any number.
    mode: Literal["joint", "channelwise"] = "joint"
    #: ``plain``: the normalised image alone; ``noise_scaled``: pixels at an image's extremes
    #: are told apart, and all is measured in units of the local noise (blindly estimated).
    front: Literal["plain", "noise_scaled"] = "plain"
    #: 3 x 3 convolutions at each resolution on the way down, and as many on the way up.
    convs_per_level: int = 1

    def __post_init__(self) -> None:
        require(
            1 <= self.convs_per_level <= 8,
            f"convs_per_level must lie in 1..8; got {self.convs_per_level}",
        )
