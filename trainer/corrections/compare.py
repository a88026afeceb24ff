"""Batch-effect metrics before and after each correction."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from trainer.corrections import fit_correction
from trainer.metrics.batch_effect import BatchEffectConfig, BatchEffectResult, batch_effect_metrics

UNCORRECTED = "uncorrected"


@dataclass(frozen=True)
class CorrectedMetrics:
    """Metrics of the embedding after one correction, or of the embedding as it came."""

    #: A correction, or ``uncorrected``.
    correction: str
    result: BatchEffectResult
    #: Of correcting and of measuring, together.
    seconds: float
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain lists and dictionaries."""
        return {
            "correction": self.correction,
            "seconds": self.seconds,
            "notes": list(self.notes),
            **self.result.to_json(),
        }


def compare_corrections(
    corrections: Sequence[str],
    embedding_ND: ArrayLike,
    label_N: ArrayLike,
    experiment_N: ArrayLike,
    *,
    control_N: ArrayLike | None = None,
    config: BatchEffectConfig | None = None,
    keep_N: ArrayLike | None = None,
    on_start: Callable[[str], None] = lambda name: None,
    **names: ArrayLike | None,
) -> list[CorrectedMetrics]:
    """Measure the embedding as it is, then after each correction fitted on these same rows.

    Parameters
    ----------
    corrections
        Names of :data:`trainer.corrections.CORRECTION_NAMES`.
    control_N
        Which rows are controls.
    keep_N
        Which rows are measured (all): corrections are fitted on and applied to all.
    on_start
        Called with each name before it is computed.
    names
        ``cell_type_N``, ``plate_N``, ``position_N`` and ``well_N`` of
        :func:`~trainer.metrics.batch_effect.batch_effect_metrics`.
    """
    embedding = np.asarray(embedding_ND)
    keep = np.ones(len(embedding), bool) if keep_N is None else np.asarray(keep_N, bool)
    kept = {what: None if name is None else np.asarray(name)[keep] for what, name in names.items()}
    label, experiment = np.asarray(label_N)[keep], np.asarray(experiment_N)[keep]
    done = []
    for name in (UNCORRECTED, *corrections):
        on_start(name)
        start = time.perf_counter()
        corrected, notes = embedding, ()
        if name != UNCORRECTED:
            fitted = fit_correction(name, embedding, experiment_N, control_N)
            corrected, notes = fitted.apply(embedding, experiment_N, control_N), fitted.notes
        result = batch_effect_metrics(corrected[keep], label, experiment, config=config, **kept)
        done.append(CorrectedMetrics(name, result, time.perf_counter() - start, notes))
    return done
