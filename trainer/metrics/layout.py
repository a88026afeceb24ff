"""What the layout of the plates gives away, and answers that use it.

Every function here knows something about layouts that no new screen has to obey, so no
headline and no threshold may read what they give. What is known is learned from the layout of
training plates alone: which treatments share a plate (:mod:`trainer.plate_groups`), and how
often one stands on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainer.plate_groups import PlateKey, fixed_groups

#: Smallest probability in a logarithm, for what was cut off or rounded to 0.
_FLOOR = 1e-6
#: A well speaks against a group with odds of a hundred at most: one that the network is wrong
#: and sure about does not decide a whole plate.
_LEAST_MASS = 0.01


@dataclass(frozen=True, eq=False)
class Layout:
    """What training plates tell of layouts."""

    #: Fixed group of each class, int64 [K], -1 where it stands on no training plate or on most
    #: of them; None where the treatments stand in no fixed groups.
    group_K: NDArray[np.int64] | None
    #: Whether a class is a treatment on any training plate, bool [K]: controls are not.
    known_K: NDArray[np.bool_]
    #: Most wells that one treatment has on one training plate.
    copies: int
    n_plates: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """Treatments of each group, in the order of the groups; empty without groups."""
        if self.group_K is None:
            return ()
        return tuple(np.bincount(self.group_K[self.group_K >= 0]).tolist())


def learn_layout(plates: Iterable[tuple[PlateKey, ArrayLike]], n_classes: int) -> Layout | None:
    """The layout of training plates; None without one.

    Parameters
    ----------
    plates
        Experiment and plate, with the labels [N] of the plate's treatment wells (0..K-1).
    n_classes
        Classes K.

    Raises
    ------
    ValueError
        A label outside 0..K-1.
    """
    treatments: dict[PlateKey, set[int]] = {}
    known_K, copies = np.zeros(n_classes, dtype=bool), 1
    for key, labels in plates:
        label = np.asarray(labels, dtype=np.int64)
        if not label.size:
            continue
        if label.min() < 0 or label.max() >= n_classes:
            raise ValueError(
                f"labels of plate {key} must lie in 0..{n_classes - 1}; "
                f"got {label.min()}..{label.max()}"
            )
        counts = np.bincount(label, minlength=n_classes)
        copies = max(copies, int(counts.max()))
        known_K |= counts > 0
        treatments.setdefault(key, set()).update(label.tolist())
    if not treatments:
        return None
    groups = fixed_groups(treatments)
    group_K = None
    if groups is not None:
        group_K = np.full(n_classes, -1, dtype=np.int64)
        for treatment, group in groups.of_treatment.items():
            group_K[int(str(treatment))] = group
    return Layout(group_K, known_K, copies, len(treatments))


def guess_group(probabilities_NK: ArrayLike, group_K: ArrayLike) -> int:
    """The likeliest group of a plate, from what was predicted of its wells.

    The group g that maximises sum over wells of log(sum of p over the classes of g): the
    likelihood that all wells are of g. The first of equals.
    """
    probabilities = np.asarray(probabilities_NK, dtype=np.float64)
    group = np.asarray(group_K, dtype=np.int64)
    mass_NG = np.stack(
        [probabilities[:, group == g].sum(axis=1) for g in range(int(group.max()) + 1)], axis=1
    )
    return int(np.log(np.maximum(mass_NG, _LEAST_MASS)).sum(axis=0).argmax())


def restricted(probabilities_NK: ArrayLike, allowed_K: ArrayLike) -> NDArray[np.float64]:
    """Probabilities [N, K] with those of other classes at 0; not brought back to a sum of 1."""
    return np.where(np.asarray(allowed_K, dtype=bool)[None, :], np.asarray(probabilities_NK), 0.0)


def first_choice(probabilities_NK: ArrayLike, allowed_K: ArrayLike) -> NDArray[np.int64]:
    """The likeliest allowed class of each row, int64 [N]; the first of equals."""
    masked = np.where(np.asarray(allowed_K, dtype=bool), np.asarray(probabilities_NK), -1.0)
    return masked.argmax(axis=1).astype(np.int64)


def assign(probabilities_NK: ArrayLike, allowed_K: ArrayLike, copies: int = 1) -> NDArray[np.int64]:
    """One class a well, so that all of a plate together are likeliest, int64 [N].

    Linear assignment (scipy.optimize.linear_sum_assignment) of wells to classes at the cost
    -log(p); each allowed class is taken by at most ``copies`` wells, by more only where the
    plate holds more wells than that allows.

    Raises
    ------
    ValueError
        No class is allowed.
    """
    from scipy.optimize import linear_sum_assignment

    probabilities = np.asarray(probabilities_NK, dtype=np.float64)
    classes = np.flatnonzero(np.asarray(allowed_K, dtype=bool))
    if not classes.size:
        raise ValueError("no class is allowed, so nothing can be assigned")
    n_wells = len(probabilities)
    columns = np.tile(classes, max(copies, -(-n_wells // classes.size)))
    cost = -np.log(np.maximum(probabilities[:, columns], _FLOOR))
    rows, taken = linear_sum_assignment(cost)
    answer = np.empty(n_wells, dtype=np.int64)
    answer[rows] = columns[taken]
    return answer
