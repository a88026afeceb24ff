"""kBET: are experiments mixed in every neighbourhood as they are overall?"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainer.metrics.batch_effect.inputs import codes
from trainer.metrics.batch_effect.neighbors import Neighbors


def kbet_p_values(neighbors: Neighbors, experiment_N: ArrayLike) -> NDArray[np.float64]:
    """p-value of Pearson's chi-squared test of each neighbourhood, [N].

    The neighbourhood's counts of experiments (the row itself included) against the shares of
    the experiments among all rows, with experiments - 1 degrees of freedom.
    """
    from scipy.stats import chi2

    n, k = neighbors.index_Nk.shape
    experiment, names = codes(experiment_N, n, "experiment")
    n_experiments = len(names)
    expected = np.bincount(experiment, minlength=n_experiments) * (k / n)
    place = np.arange(n)[:, None] * n_experiments + experiment[neighbors.index_Nk]
    observed = np.bincount(place.ravel(), minlength=n * n_experiments).reshape(n, n_experiments)
    statistic = (np.square(observed - expected) / expected).sum(axis=1)
    return np.asarray(chi2.sf(statistic, n_experiments - 1))


def kbet(neighbors: Neighbors, experiment_N: ArrayLike, alpha: float = 0.05) -> float:
    """Share of neighbourhoods whose mixing is not rejected at ``alpha``: 0..1, higher is better.

    scib-metrics' ``kbet`` (Buettner et al., 2019), which has 1 - alpha as its value where
    experiments are exchangeable. NaN for fewer than two experiments.
    """
    if np.unique(np.asarray(experiment_N).astype(str)).size < 2:
        return float("nan")
    return float(np.mean(kbet_p_values(neighbors, experiment_N) >= alpha))
