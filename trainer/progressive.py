"""Smaller images first: which side the network sees at which step.

Networks here are fully convolutional up to a mean over the image, so weights fit every size; a
step is compiled once for each. It follows from the step alone, so a resumed run takes the size
that the killed one had. (Progressive resizing as in fast.ai's DAWNBench entry, 2018; a team of
the RxRx1 competition, eleventh place, reports half the time at no loss.)
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from trainer.config import TrainerConfig


@dataclass(frozen=True)
class ImageSizes:
    """Side of the image at each step, px."""

    #: Side and the first step that no longer has it, in turn.
    ends: tuple[tuple[int, int], ...]

    @property
    def all_px(self) -> tuple[int, ...]:
        """Every side that occurs."""
        return tuple(dict.fromkeys(side_px for side_px, _ in self.ends))

    def at(self, step: int) -> int:
        """Side at a step (0 is the first), px."""
        for side_px, end in self.ends:
            if step < end:
                return side_px
        return self.ends[-1][0]


def image_sizes(config: TrainerConfig, steps_per_epoch: int) -> ImageSizes:
    """Sizes of a run; they change between epochs, at the nearest to the configured shares."""
    stages = config.progressive.stages or ((1.0, config.model.image_size_px),)
    ends = itertools.accumulate(share for share, _ in stages)
    epochs = [round(config.loop.epochs * end) for end in ends]
    return ImageSizes(
        tuple(
            (int(side_px), epoch * steps_per_epoch)
            for (_, side_px), epoch in zip(stages, epochs, strict=True)
        )
    )
