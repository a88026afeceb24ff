"""Which corrections are tried, on which controls they are fitted, what is measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from trainer import schema
from trainer.corrections import CORRECTION_NAMES, DEFAULT_CORRECTIONS
from trainer.metrics.batch_effect import BatchEffectConfig
from trainer.strict import ConfigError


@dataclass(frozen=True)
class BatchEffectsConfig:
    """What the BatchEffectEvaluator does."""

    #: Corrections after the network that are fitted on training experiments and tried on all;
    #: ``centring``, ``tvn``, ``sphering``, ``sphering_oas``, and ``harmony`` where harmonypy is
    #: installed.
    corrections: tuple[str, ...] = DEFAULT_CORRECTIONS
    #: Wells that corrections take as controls: ``negative`` (untreated ones alone), or ``all``
    #: (positive ones too: there are more of them, but what they do is taken for batch effect).
    controls: Literal["negative", "all"] = "negative"
    #: Metrics and their settings.
    metrics: BatchEffectConfig = field(
        default_factory=lambda: BatchEffectConfig(n_permutations=1000)
    )

    def __post_init__(self) -> None:
        for name in self.corrections:
            if name not in CORRECTION_NAMES:
                raise ConfigError(
                    f"corrections: unknown {name!r}; known: {', '.join(CORRECTION_NAMES)}"
                )
        if len(set(self.corrections)) < len(self.corrections):
            raise ConfigError("corrections names one of them twice")

    def control_types(self) -> tuple[str, ...]:
        """Values of ``well_type`` that are controls."""
        negative = (schema.WELL_NEGATIVE,)
        return negative if self.controls == "negative" else (*negative, schema.WELL_POSITIVE)
