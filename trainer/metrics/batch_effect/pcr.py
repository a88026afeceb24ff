"""Principal component regression: the share of variance that the experiment explains."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from trainer.metrics.batch_effect.inputs import checked_embedding, codes


def principal_component_regression(embedding_ND: ArrayLike, experiment_N: ArrayLike) -> float:
    """R^2 of the components on the experiment, weighted by variance: 0..1, lower is better.

    With all components the weighted mean is the between-experiment sum of squares over the
    total one, whatever the basis, so no component has to be computed. scib-metrics'
    ``principal_component_regression`` with ``categorical=True`` (Buettner et al., 2019).
    NaN where nothing varies.
    """
    embedding = checked_embedding(embedding_ND)
    experiment, names = codes(experiment_N, len(embedding), "experiment")
    mean_D = embedding.mean(axis=0, dtype=np.float64)
    between, total = 0.0, 0.0
    for code in range(len(names)):
        centred = embedding[experiment == code].astype(np.float64) - mean_D
        total += float(np.square(centred).sum())
        between += len(centred) * float(np.square(centred.mean(axis=0)).sum())
    return between / total if total > 0 else float("nan")


def pcr_comparison(pcr_before: float, pcr_after: float) -> float:
    """Share of the experiment's variance that a correction removed: 0..1, higher is better.

    scib-metrics' ``pcr_comparison``: (before - after) / before, and 0 where it grew.
    """
    return max(0.0, (pcr_before - pcr_after) / pcr_before) if pcr_before > 0 else float("nan")
