"""How often the right treatment is named.

Every accuracy is a share of rows (0..1, higher is better) and travels with its number
of rows and an interval (:mod:`trainer.metrics.intervals`). Sums are divided once;
averages are never averaged unless the name says so (``macro``).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainer.metrics.intervals import Proportion, accuracy, clustered_interval


def ranks(probabilities_NK: ArrayLike, label_N: ArrayLike) -> NDArray[np.int64]:
    """Place of the true class among the predicted ones, 0 being the top, shape [N].

    Equal probabilities rank by class index, as ``argmax`` does, so that a model which
    gives every class the same probability scores chance, not 100 %. A true class of
    probability 0 was not predicted at all (only the largest were kept): it ranks K, behind
    all classes.

    Raises
    ------
    ValueError
        A label outside 0..K-1, or a probability that is not a number.
    """
    probabilities = np.asarray(probabilities_NK)
    label = np.asarray(label_N, dtype=np.int64)
    if probabilities.ndim != 2 or label.shape != probabilities.shape[:1]:
        raise ValueError(
            f"probabilities must be [N, K] and labels [N]; "
            f"got {probabilities.shape} and {label.shape}"
        )
    if np.isnan(probabilities).any():
        row = int(np.argwhere(np.isnan(probabilities))[0, 0])
        raise ValueError(f"row {row} holds a probability that is not a number")
    n_classes = probabilities.shape[1]
    if label.size and not ((label >= 0) & (label < n_classes)).all():
        raise ValueError(f"labels must lie in 0..{n_classes - 1}; got {label.min()}..{label.max()}")
    own = np.take_along_axis(probabilities, label[:, None], axis=1)
    above = (probabilities > own).sum(axis=1)
    earlier = np.arange(n_classes)[None, :] < label[:, None]
    place = above + ((probabilities == own) & earlier).sum(axis=1)
    return np.where(own[:, 0] > 0, place, n_classes).astype(np.int64)


def top_k_correct(probabilities_NK: ArrayLike, label_N: ArrayLike, k: int = 1) -> NDArray[np.bool_]:
    """Whether the true class is among the ``k`` most probable ones, shape [N]."""
    if k < 1:
        raise ValueError(f"k must be at least 1; got {k}")
    return ranks(probabilities_NK, label_N) < k


def chance_level(n_classes: int) -> float:
    """Expected accuracy of guessing every class alike: 1 / K."""
    if n_classes < 1:
        raise ValueError(f"there must be at least one class; got {n_classes}")
    return 1.0 / n_classes


def commonest_share(label_N: ArrayLike) -> float | None:
    """Accuracy of always naming the commonest label; None without rows."""
    label = np.asarray(label_N)
    if label.size == 0:
        return None
    return float(np.unique(label, return_counts=True)[1].max() / label.size)


def accuracy_by(
    correct_N: ArrayLike,
    group_N: Sequence[Hashable],
    expected: Iterable[Hashable] = (),
    cluster_N: ArrayLike | None = None,
    confidence: float = 0.95,
) -> dict[Hashable, Proportion]:
    """Accuracy of each group, groups in the order of ``expected``, then as they appear.

    Parameters
    ----------
    expected
        Groups that must be in the answer; one without rows has ``n = 0`` and no value,
        so that an experiment which lost every site is seen, not forgotten.
    cluster_N
        Where given, intervals allow for these clusters (the wells of sites).
    """
    correct = np.asarray(correct_N, dtype=bool)
    if len(group_N) != correct.size:
        raise ValueError(f"got {correct.size} rows and {len(group_N)} groups")
    clusters = None if cluster_N is None else np.asarray(cluster_N)
    members: dict[Hashable, list[int]] = {group: [] for group in expected}
    for row, group in enumerate(group_N):
        members.setdefault(group, []).append(row)
    table: dict[Hashable, Proportion] = {}
    for group, found in members.items():
        rows = np.asarray(found, dtype=np.int64)
        if clusters is None:
            table[group] = accuracy(correct[rows], confidence)
        else:
            table[group] = clustered_interval(correct[rows], clusters[rows], confidence=confidence)
    return table


def macro_accuracy(correct_N: ArrayLike, group_N: ArrayLike) -> float | None:
    """Mean over groups of each group's accuracy; None without rows.

    With the label as group this is balanced accuracy; with the experiment as group, the
    accuracy of the average experiment, whatever their sizes.
    """
    correct = np.asarray(correct_N, dtype=np.float64)
    if correct.size == 0:
        return None
    group = np.unique(np.asarray(group_N), return_inverse=True)[1]
    return float((np.bincount(group, weights=correct) / np.bincount(group)).mean())


def confusion_counts(
    label_N: ArrayLike, predicted_N: ArrayLike, n_classes: int
) -> NDArray[np.int64]:
    """Rows of each true class (axis 0) by predicted class (axis 1), shape [K, K]."""
    label = np.asarray(label_N, dtype=np.int64)
    predicted = np.asarray(predicted_N, dtype=np.int64)
    for name, values in (("label", label), ("predicted", predicted)):
        if values.size and not ((values >= 0) & (values < n_classes)).all():
            raise ValueError(f"{name} must lie in 0..{n_classes - 1}")
    flat = np.bincount(label * n_classes + predicted, minlength=n_classes * n_classes)
    return flat.reshape(n_classes, n_classes)
