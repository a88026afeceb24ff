"""Names that determine others, so that their shares of the variance cannot be told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from trainer.corrections.compare import CorrectedMetrics
from trainer.metrics.batch_effect import SCOPE_ALL

#: Below so much of its degrees of freedom the treatment's share is called small.
_MOST_TAKEN = 0.5


def treatment_notes(
    compared: Sequence[CorrectedMetrics],
    label_N: NDArray[np.str_],
    places: Mapping[str, NDArray[np.str_] | None],
    cell_type_N: NDArray[np.str_] | None,
) -> list[str]:
    """Where places settle the label, or most of it: each sentence with the scopes it is of.

    Parameters
    ----------
    places
        Names of each measured row by what they are called (``"the well position (--well)"``);
        None where there are none.
    """
    scopes: dict[str, list[str]] = {}
    for scope in dict.fromkeys(row.scope for row in compared[0].result.rows):
        inside_N = np.ones(len(label_N), bool)
        if scope != SCOPE_ALL and cell_type_N is not None:
            inside_N = cell_type_N == scope
        inside = {what: None if p is None else p[inside_N] for what, p in places.items()}
        sentence = _sentence(label_N[inside_N], inside, _free_share(compared[0], scope))
        if sentence:
            scopes.setdefault(sentence, []).append(scope)
    return [
        text if SCOPE_ALL in found else f"within {', '.join(found)}: {text}"
        for text, found in scopes.items()
    ]


def _free_share(uncorrected: CorrectedMetrics, scope: str) -> float | None:
    """Degrees of freedom of the treatment after all places / (rows - 1); None if not computed."""
    for row in uncorrected.result.variance:
        if row.scope == scope and row.component == 0:
            return row.chance["treatment"]
    return None


def _sentence(
    label_N: NDArray[np.str_],
    places: Mapping[str, NDArray[np.str_] | None],
    free_share: float | None,
) -> str | None:
    n_labels = len(np.unique(label_N))
    if n_labels < 2:
        return None  # the metrics' own notes say so
    by = _determining(label_N, places)
    free = None if free_share is None else round(free_share * (len(label_N) - 1))
    if by or free == 0:
        return (
            f"{by or 'experiment, plate and position together determine'} the label: what the "
            "treatment does cannot be told from what the place does. The variance of the "
            "treatment is 0 whatever it does, and other metrics may show the place"
        )
    if free is not None and free < _MOST_TAKEN * (n_labels - 1):
        return (
            f"experiment, plate and position settle most of the label ({free} of {n_labels - 1} "
            "degrees of freedom are left): the variance of the treatment is what they leave of "
            "it, not all that it does"
        )
    return None


def _determining(
    label_N: NDArray[np.str_], places: Mapping[str, NDArray[np.str_] | None]
) -> str | None:
    """The first places that have one label each, as the beginning of a sentence."""
    for what, place_N in places.items():
        if place_N is not None and _one_each(place_N, label_N):
            return f"{what} determines"
    return None


def _one_each(place_N: NDArray[np.str_], label_N: NDArray[np.str_]) -> bool:
    pairs = set(zip(place_N.tolist(), label_N.tolist(), strict=True))
    return len(pairs) == len({place for place, _ in pairs})
