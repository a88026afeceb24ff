"""Cross-experiment mAP: are a well's replicates of OTHER experiments its nearest of kin?

For each row the other rows are ranked by cosine similarity. Positives are rows of the same label
from another experiment, negatives all rows of other labels; rows of the same label and the same
experiment are in neither, because they share their batch effect. This is copairs'
``average_precision`` with ``pos_sameby=[label], pos_diffby=[experiment], neg_diffby=[label]``.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainer.metrics.batch_effect.inputs import checked_embedding, codes
from trainer.metrics.batch_effect.pairs import PairBlock, scan_pairs

#: Numbers drawn at once for the null distribution.
_DRAWS_AT_ONCE = 2**24


@dataclass(frozen=True)
class AveragePrecision:
    """Average precision of every row."""

    #: 0..1, higher is better; NaN for a row without positives or without negatives.
    score_N: NDArray[np.float64]
    n_positives_N: NDArray[np.int64]
    #: Positives and negatives.
    n_pairs_N: NDArray[np.int64]


class AveragePrecisionReducer:
    """Average precision of rows that are sorted by their label."""

    def __init__(self, sorted_code_N: NDArray[np.int64], experiment_N: NDArray[np.int64]) -> None:
        n = len(sorted_code_N)
        self._experiment = experiment_N
        count = np.bincount(sorted_code_N)
        stops = np.cumsum(count)
        self._start, self._stop = (stops - count)[sorted_code_N], stops[sorted_code_N]
        self._score = np.full(n, np.nan)
        self._n_positives = np.zeros(n, dtype=np.int64)
        self._n_pairs = np.zeros(n, dtype=np.int64)

    def consume(self, block: PairBlock) -> None:
        """Rank the block's rows."""
        # In float32, so that two similarities are tied here where they are tied in copairs.
        distance = 1 - block.cosines().astype(np.float32, copy=False)
        positives = []
        for i, row in enumerate(range(block.start, block.stop)):
            same = slice(self._start[row], self._stop[row])
            other_experiment = self._experiment[same] != self._experiment[row]
            positives.append(np.sort(distance[i, same][other_experiment]))
            distance[i, same] = np.inf
        distance.sort(axis=1)
        for i, row in enumerate(range(block.start, block.stop)):
            n_positives = len(positives[i])
            n_negatives = distance.shape[1] - (self._stop[row] - self._start[row])
            self._n_positives[row] = n_positives
            self._n_pairs[row] = n_positives + n_negatives
            if n_positives and n_negatives:
                # Of equals a positive comes first, as in copairs.
                nearer = np.searchsorted(distance[i], positives[i], side="left")
                place = np.arange(1, n_positives + 1)
                self._score[row] = np.mean(place / (nearer + place))

    def result(self) -> AveragePrecision:
        """Scores in the sorted order, once every block was seen."""
        return AveragePrecision(self._score, self._n_positives, self._n_pairs)


def average_precision(
    embedding_ND: ArrayLike, label_N: ArrayLike, experiment_N: ArrayLike
) -> AveragePrecision:
    """Average precision of every row, as the module says; exact at any size."""
    embedding = checked_embedding(embedding_ND)
    code, _ = codes(label_N, len(embedding), "label")
    experiment, _ = codes(experiment_N, len(embedding), "experiment")
    order = np.argsort(code, kind="stable")
    reducer = AveragePrecisionReducer(code[order], experiment[order])
    scan_pairs(embedding[order], [reducer])
    back = np.argsort(order)
    found = reducer.result()
    return AveragePrecision(found.score_N[back], found.n_positives_N[back], found.n_pairs_N[back])


def expected_average_precision(
    n_positives_N: NDArray[np.int64], n_pairs_N: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Mean average precision of a random ranking, exactly.

    With M positives among L, (H_L + (L - H_L)(M - 1)/(L - 1)) / L, H_L being the harmonic number.
    """
    from scipy.special import digamma

    length = n_pairs_N.astype(np.float64)
    harmonic = digamma(length + 1) + np.euler_gamma
    slope = (n_positives_N - 1) / np.maximum(length - 1, 1)
    return np.asarray((harmonic + (length - harmonic) * slope) / length)


@dataclass(frozen=True)
class LabelPrecision:
    """Mean average precision of a label's rows."""

    label: str
    n_rows: int
    mean_average_precision: float
    #: Mean of its rows under a random ranking.
    expected: float
    #: (draws above the mean + 1) / (draws + 1).
    p_value: float
    #: After Benjamini-Hochberg over all labels.
    corrected_p_value: float


def mean_average_precision(
    found: AveragePrecision, label_N: ArrayLike, n_permutations: int = 10_000, seed: int = 0
) -> list[LabelPrecision]:
    """mAP by label with permutation p-values, labels in their order.

    The null draws random rankings with as many positives and pairs as a row has, and averages
    them over the label's rows. Rows with the same two numbers share their draws, as in copairs:
    that leaves the null as wide as that of one row, so the p-values are conservative. p-values
    are corrected over labels (Benjamini and Hochberg, 1995). Labels without positives are absent.
    """
    from scipy.stats import false_discovery_control

    code, names = codes(label_N, len(found.score_N), "label")
    usable = ~np.isnan(found.score_N)
    if not usable.any():
        return []
    setting = np.stack([found.n_positives_N, found.n_pairs_N], axis=1)[usable]
    settings, which = np.unique(setting, axis=0, return_inverse=True)
    null_SP = null_distributions(settings, n_permutations, seed)
    expected = expected_average_precision(found.n_positives_N, found.n_pairs_N)
    results = []
    for label in np.unique(code[usable]):
        mine = code[usable] == label
        score = float(found.score_N[usable][mine].mean())
        null = null_SP[which[mine]].mean(axis=0)
        p_value = (int((null > np.float64(score)).sum()) + 1) / (n_permutations + 1)
        chance = float(expected[usable][mine].mean())
        results.append((str(names[label]), int(mine.sum()), score, chance, p_value))
    corrected = false_discovery_control([row[-1] for row in results], method="bh")
    return [LabelPrecision(*row, float(q)) for row, q in zip(results, corrected, strict=True)]


def null_distributions(
    settings_S2: NDArray[np.int64], n_permutations: int, seed: int
) -> NDArray[np.float32]:
    """Average precision of random rankings, [S, permutations], by (positives, pairs).

    The draws are those of copairs for the same settings and seed, as far as they fit into memory
    at once; beyond, they have the same distribution.
    """
    seeds = np.random.default_rng(seed).integers(8096, size=len(settings_S2))
    null = np.empty((len(settings_S2), n_permutations), dtype=np.float32)
    for i, (n_positives, n_pairs) in enumerate(settings_S2):
        null[i] = _null_distribution(int(n_positives), int(n_pairs), n_permutations, int(seeds[i]))
    return null


# The same rows are measured before and after each correction, against the same null.
@functools.lru_cache(maxsize=1024)
def _null_distribution(
    n_positives: int, n_pairs: int, n_permutations: int, seed: int
) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    place = _random_places(rng, n_permutations, n_positives, n_pairs)
    precision = np.arange(1, n_positives + 1, dtype=np.float32) / (place + 1)
    return np.asarray(precision.sum(axis=1) / n_positives, dtype=np.float32)


def _random_places(
    rng: np.random.Generator, n_draws: int, n_positives: int, n_pairs: int
) -> NDArray[np.integer]:
    """Sorted places (from 0) of the positives in random rankings, [draws, positives]."""
    if n_draws * n_pairs <= _DRAWS_AT_ONCE:
        return _shuffled(rng, n_draws, n_positives, n_pairs)
    if (
        n_positives**2 < n_pairs
    ):  # few enough to be distinct by luck: redraw whole rows that are not
        place = np.sort(rng.integers(n_pairs, size=(n_draws, n_positives)), axis=1)
        while (again := (np.diff(place, axis=1) == 0).any(axis=1)).any():
            fresh = rng.integers(n_pairs, size=(int(again.sum()), n_positives))
            place[again] = np.sort(fresh, axis=1)
        return place
    step = max(1, _DRAWS_AT_ONCE // n_pairs)
    parts = [
        _shuffled(rng, min(step, n_draws - start), n_positives, n_pairs)
        for start in range(0, n_draws, step)
    ]
    return np.concatenate(parts)


def _shuffled(
    rng: np.random.Generator, n_draws: int, n_positives: int, n_pairs: int
) -> NDArray[np.integer]:
    places = np.tile(
        np.arange(n_pairs, dtype=np.uint16 if n_pairs < 2**16 else np.uint32), (n_draws, 1)
    )
    rng.permuted(places, axis=1, out=places)
    return np.sort(places[:, :n_positives], axis=1)
