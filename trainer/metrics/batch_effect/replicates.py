"""Replicate consistency: are a label's wells alike across experiments?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainer.metrics.batch_effect.inputs import checked_embedding, codes

#: Rows of one label that are compared; of more, as many are drawn.
MAX_ROWS_A_LABEL = 2000
#: Pairs in a random group at most, and draws at once.
_MAX_NULL_PAIRS, _GROUPS_AT_ONCE = 50, 256


@dataclass(frozen=True)
class ReplicateConsistency:
    """Correlation of replicates across experiments, by label."""

    #: Median Pearson correlation over pairs of a label's rows from different experiments.
    median_by_label: dict[str, float]
    #: 95th percentile of random groups.
    threshold: float
    #: Median of random groups: what labels without any effect score.
    null_median: float

    @property
    def replicating(self) -> int:
        """Labels above the threshold."""
        return sum(value > self.threshold for value in self.median_by_label.values())


def replicate_consistency(
    embedding_ND: ArrayLike,
    label_N: ArrayLike,
    experiment_N: ArrayLike,
    n_permutations: int = 1000,
    seed: int = 0,
) -> ReplicateConsistency:
    """Median replicate correlation by label, against random groups of non-replicates.

    A random group holds as many pairs as the median label has rows (at most 50), each of two
    rows that differ in label and experiment; its median correlation is one draw of the null.
    This is copairs' ``correlation_test`` ("percent replicating"), whose null is drawn anew.
    Labels within one experiment are absent.
    """
    embedding = checked_embedding(embedding_ND)
    code, names = codes(label_N, len(embedding), "label")
    experiment, _ = codes(experiment_N, len(embedding), "experiment")
    rng = np.random.default_rng(seed)
    medians, sizes = {}, []
    order = np.argsort(code, kind="stable")
    for name, rows in zip(names, np.split(order, np.cumsum(np.bincount(code))[:-1]), strict=True):
        if rows.size > MAX_ROWS_A_LABEL:
            rows = np.sort(rng.choice(rows, MAX_ROWS_A_LABEL, replace=False))
        apart = experiment[rows][:, None] != experiment[rows]
        if not apart.any():
            continue
        unit = _unit(embedding[rows])
        correlation = (unit @ unit.T)[np.triu(apart)]
        medians[str(name)] = float(np.median(correlation))
        sizes.append(int(apart.any(axis=1).sum()))
    if not medians:
        return ReplicateConsistency({}, float("nan"), float("nan"))
    n_pairs = min(_MAX_NULL_PAIRS, max(1, int(np.median(sizes))))
    null = _null(embedding, code, experiment, n_pairs, n_permutations, rng)
    if not null.size:
        return ReplicateConsistency(medians, float("nan"), float("nan"))
    return ReplicateConsistency(medians, float(np.percentile(null, 95)), float(np.median(null)))


def _unit(embedding_ND: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rows with mean 0 and length 1; a constant row becomes 0 (it correlates with nothing)."""
    centred = embedding_ND.astype(np.float64)
    centred -= centred.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.divide(centred, length, out=np.zeros_like(centred), where=length > 1e-12)


def _null(
    embedding: NDArray[np.floating],
    code: NDArray[np.int64],
    experiment: NDArray[np.int64],
    n_pairs: int,
    n_groups: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Median correlation of random groups; empty where no two rows differ in both names."""
    n = len(code)
    medians: list[NDArray[np.float64]] = []
    tries = 0
    while sum(len(part) for part in medians) < n_groups and tries < 100:
        tries += 1
        first, second = rng.integers(n, size=(2, 4 * _GROUPS_AT_ONCE * n_pairs))
        good = (code[first] != code[second]) & (experiment[first] != experiment[second])
        first, second = first[good], second[good]
        groups = min(_GROUPS_AT_ONCE, len(first) // n_pairs)
        if not groups:
            continue
        used = slice(0, groups * n_pairs)
        pairs = np.einsum("pd,pd->p", _unit(embedding[first[used]]), _unit(embedding[second[used]]))
        medians.append(np.median(pairs.reshape(groups, n_pairs), axis=1))
    return np.concatenate(medians)[:n_groups] if medians else np.empty(0)
