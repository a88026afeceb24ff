"""How surely a share of rows is known.

Two intervals are offered. :func:`wilson_interval` takes rows as independent: right for
the wells of one experiment. :func:`clustered_interval` does not: rows of one cluster
(the wells of a plate, the sites of a well) tend to be right or wrong together, and it
widens the interval by what the rows themselves show of that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Proportion:
    """A share of rows with its interval.

    ``value``, ``low`` and ``high`` are None where there are no rows: nothing is known,
    which is not the same as zero.
    """

    n: int
    n_correct: int
    value: float | None
    low: float | None
    high: float | None
    #: ``"wilson"`` or ``"wilson, design effect"``; empty without rows.
    method: str = ""
    #: Variance over that of independent rows; 1 where rows are taken as independent.
    design_effect: float = 1.0
    n_clusters: int = 0


def normal_quantile(confidence: float) -> float:
    """Two-sided standard normal quantile: 1.96 for 0.95."""
    from scipy.stats import norm

    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1; got {confidence}")
    return float(norm.ppf(0.5 + confidence / 2))


def _wilson(share: float, n: float, z: float) -> tuple[float, float]:
    shrunk = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # The ends are exactly 0 and 1 at the borders; rounding must not say otherwise.
    low = 0.0 if share == 0 else max(0.0, (shrunk - half) / scale)
    high = 1.0 if share == 1 else min(1.0, (shrunk + half) / scale)
    return low, high


def wilson_interval(n_correct: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of a proportion of ``n`` independent rows (Wilson, 1927).

    Unlike the textbook normal interval it stays within 0..1 and holds its level for
    small ``n`` and for shares near 0 and 1 (Brown, Cai and DasGupta, 2001).

    Raises
    ------
    ValueError
        No rows, or more correct ones than rows.
    """
    if n < 1 or not 0 <= n_correct <= n:
        raise ValueError(f"0 <= n_correct <= n and n >= 1 must hold; got {n_correct} of {n}")
    return _wilson(n_correct / n, n, normal_quantile(confidence))


def accuracy(correct_N: ArrayLike, confidence: float = 0.95) -> Proportion:
    """Share of correct rows with Wilson's interval, rows taken as independent."""
    correct = np.asarray(correct_N, dtype=bool)
    n, n_correct = int(correct.size), int(correct.sum())
    if n == 0:
        return Proportion(0, 0, None, None, None)
    low, high = wilson_interval(n_correct, n, confidence)
    return Proportion(n, n_correct, n_correct / n, low, high, "wilson", 1.0, n)


def clustered_interval(
    correct_N: ArrayLike,
    cluster_N: ArrayLike,
    stratum_N: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Proportion:
    """Share of correct rows with an interval that allows for clusters of like rows.

    The variance of the share is the between-cluster one (Taylor linearisation of a
    ratio, clusters drawn with replacement within each stratum). Its ratio to the
    variance of independent rows is the design effect; Wilson's interval is then taken
    at the effective number of rows n / deff * (z / t)^2, t being Student's quantile at
    (clusters - strata) degrees of freedom, and never at more than n rows
    (Korn and Graubard, Survey Methodology 24, 1998; the Wilson form holds its level
    best in the comparison of Dean and Pagano, J. Surv. Stat. Methodol. 3, 2015).

    Why this and not a bootstrap over experiments: with the handful of experiments that
    a screen holds out, resampling them gives a degenerate interval. The headline takes
    plates as clusters within experiments as strata, so it says how well the accuracy
    *on these experiments* is known. What another experiment may do is told by the
    spread of the experiments, which no interval replaces.

    Parameters
    ----------
    correct_N
        Whether each row is right.
    cluster_N
        Cluster of each row, such as its plate.
    stratum_N
        Stratum of each row, such as its experiment; a cluster lies in one stratum.
        Where no stratum holds two clusters, strata are ignored, because there is
        nothing to estimate a variance from.

    Notes
    -----
    With a single cluster, or with all rows right or all wrong, the design effect is
    unknown and the interval is Wilson's for independent rows.
    """
    correct = np.asarray(correct_N, dtype=np.float64)
    n, n_correct = int(correct.size), int(correct.sum())
    if n == 0:
        return Proportion(0, 0, None, None, None)
    share = n_correct / n
    cluster = np.unique(np.asarray(cluster_N).astype(str), return_inverse=True)[1]
    n_clusters = int(cluster.max()) + 1
    totals = np.bincount(cluster, weights=correct - share) / n
    strata = _stratum_of_cluster(cluster, stratum_N, n_clusters)
    variance, freedom = _between_clusters(totals, strata)
    independent = share * (1 - share) / n
    z = normal_quantile(confidence)
    if freedom == 0 or independent == 0:
        low, high = _wilson(share, n, z)
        return Proportion(n, n_correct, share, low, high, "wilson", 1.0, n_clusters)
    from scipy.stats import t as student

    design_effect = variance / independent
    shrink = (z / float(student.ppf(0.5 + confidence / 2, freedom))) ** 2
    effective = n * shrink / design_effect if design_effect > shrink else float(n)
    low, high = _wilson(share, effective, z)
    method = "wilson, design effect"
    return Proportion(n, n_correct, share, low, high, method, design_effect, n_clusters)


def _stratum_of_cluster(
    cluster_N: NDArray[np.int64], stratum_N: ArrayLike | None, n_clusters: int
) -> NDArray[np.int64]:
    strata = np.zeros(n_clusters, dtype=np.int64)
    if stratum_N is None:
        return strata
    codes = np.unique(np.asarray(stratum_N).astype(str), return_inverse=True)[1]
    strata[cluster_N] = codes
    if not np.array_equal(strata[cluster_N], codes):
        raise ValueError("a cluster lies in two strata: a plate belongs to one experiment")
    return strata if np.bincount(strata).max() > 1 else np.zeros(n_clusters, dtype=np.int64)


def _between_clusters(totals: NDArray[Any], strata: NDArray[np.int64]) -> tuple[float, int]:
    variance, freedom = 0.0, 0
    for stratum in np.unique(strata):
        inside = totals[strata == stratum]
        if (m := inside.size) > 1:
            variance += m / (m - 1) * float(((inside - inside.mean()) ** 2).sum())
            freedom += m - 1
    return variance, freedom


def cluster_bootstrap(
    statistic: Callable[[NDArray[np.int64]], float],
    cluster_N: ArrayLike,
    *,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of any statistic, whole clusters resampled (Field and Welsh, 2007).

    Meant for statistics without a closed form (a mean PSNR gain). With fewer than about
    ten clusters it is too narrow: use :func:`clustered_interval` for a proportion.

    Parameters
    ----------
    statistic
        Takes the row indices of one resample, with repetition; gives a number.
    cluster_N
        Cluster of each row.

    Raises
    ------
    ValueError
        No rows.
    """
    cluster = np.unique(np.asarray(cluster_N).astype(str), return_inverse=True)[1]
    if cluster.size == 0:
        raise ValueError("a bootstrap needs at least one row")
    rows = [np.flatnonzero(cluster == c) for c in range(int(cluster.max()) + 1)]
    generator = np.random.default_rng(seed)
    draws = generator.integers(len(rows), size=(n_resamples, len(rows)))
    values = [statistic(np.concatenate([rows[c] for c in draw])) for draw in draws]
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
