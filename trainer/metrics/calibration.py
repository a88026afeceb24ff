"""Whether a probability means what it says, and one number that mends it.

**Expected calibration error** (Naeini et al., 2015; Guo et al., 2017): rows are put into bins
by the probability of their first choice, and ECE = sum over bins of (rows in the bin / rows) *
|share right - mean probability|; 0..1, lower is better. Bins are of equal width (15 over 0..1,
each open at its lower end, as in Guo et al.) or of equal mass (15 bins of as equal a number of
rows as can be, in the order of the probability).

**Temperature scaling** (Guo et al., 2017): p_T is proportional to p ** (1 / T), which for one
softmax divides its logits by T. A well's probability is the mean over its sites, and its
temperature is that of the mean. First choices never change, so accuracy does not either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

N_BINS = 15
Binning = Literal["width", "mass"]
#: Smallest probability in a logarithm.
_FLOOR = 1e-12
#: Temperatures that are looked at, from sure of everything to sure of nothing.
_LOWEST, _HIGHEST = 0.05, 20.0


@dataclass(frozen=True)
class Bin:
    """Rows of about equal probability."""

    n: int
    #: Mean probability of the first choice, and share of rows in which it is right.
    confidence: float
    accuracy: float


def reliability(
    confidence_N: ArrayLike, correct_N: ArrayLike, n_bins: int = N_BINS, binning: Binning = "width"
) -> tuple[Bin, ...]:
    """The bins that hold rows, from low to high probability.

    Parameters
    ----------
    confidence_N
        Probability of the first choice, 0..1.
    correct_N
        Whether it is right.
    """
    confidence = np.asarray(confidence_N, dtype=np.float64)
    correct = np.asarray(correct_N, dtype=np.float64)
    if confidence.shape != correct.shape or confidence.ndim != 1:
        raise ValueError(f"got {confidence.shape} probabilities and {correct.shape} answers")
    if confidence.size and not (confidence.min() >= 0 and confidence.max() <= 1 + 1e-6):
        raise ValueError(
            f"probabilities must lie in 0..1; got {confidence.min()}..{confidence.max()}"
        )
    if binning == "width":
        of_row = np.clip(np.ceil(confidence * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
        members = [np.flatnonzero(of_row == b) for b in range(n_bins)]
    else:
        members = np.array_split(np.argsort(confidence, kind="stable"), n_bins)
    return tuple(
        Bin(rows.size, float(confidence[rows].mean()), float(correct[rows].mean()))
        for rows in members
        if rows.size
    )


def expected_calibration_error(
    confidence_N: ArrayLike, correct_N: ArrayLike, n_bins: int = N_BINS, binning: Binning = "width"
) -> float | None:
    """ECE, 0..1, lower is better; None without rows. See the module for its definition."""
    bins = reliability(confidence_N, correct_N, n_bins, binning)
    n_rows = sum(b.n for b in bins)
    if not n_rows:
        return None
    return sum(b.n * abs(b.accuracy - b.confidence) for b in bins) / n_rows


def brier_score(probabilities_NK: ArrayLike, label_N: ArrayLike) -> float | None:
    """Mean over rows of the sum over classes of (p - truth) ** 2: 0..2, lower is better."""
    p = np.asarray(probabilities_NK, dtype=np.float64)
    own = _own(p, label_N)
    if not own.size:
        return None
    return float(((p * p).sum(axis=1) - 2 * own + 1).mean())


def negative_log_likelihood(probabilities_NK: ArrayLike, label_N: ArrayLike) -> float | None:
    """Mean of -log(p of the truth), nats: 0 at best, log(K) for guessing; None without rows."""
    own = _own(np.asarray(probabilities_NK, dtype=np.float64), label_N)
    return float(-np.log(np.maximum(own, _FLOOR)).mean()) if own.size else None


def tempered(probabilities_NK: ArrayLike, temperature: float) -> NDArray[np.float64]:
    """Probabilities [N, K] at a temperature: above 1 less sure, below 1 surer.

    Raises
    ------
    ValueError
        A temperature that is not positive.
    """
    if not temperature > 0:
        raise ValueError(f"a temperature must be positive; got {temperature}")
    p = np.asarray(probabilities_NK, dtype=np.float64)
    log = np.log(np.maximum(p, _FLOOR)) / temperature
    log -= log.max(axis=1, keepdims=True)
    scaled = np.exp(log)
    return scaled / scaled.sum(axis=1, keepdims=True)


def fit_temperature(probabilities_NK: ArrayLike, label_N: ArrayLike) -> float:
    """The temperature of smallest negative log-likelihood, 0.05 to 20.

    The likelihood has one minimum in 1 / T (it is convex there), so a bounded search finds it.

    Raises
    ------
    ValueError
        No row.
    """
    from scipy.optimize import minimize_scalar

    p = np.asarray(probabilities_NK, dtype=np.float64)
    label = np.asarray(label_N, dtype=np.int64)
    if not label.size:
        raise ValueError("a temperature cannot be fitted without rows")
    log_NK = np.log(np.maximum(p, _FLOOR))
    own_N = _own(log_NK, label)

    def loss(inverse: float) -> float:
        scaled = inverse * log_NK
        top = scaled.max(axis=1)
        total = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        return float((total - inverse * own_N).mean())

    found = minimize_scalar(
        loss, bounds=(1 / _HIGHEST, 1 / _LOWEST), method="bounded", options={"xatol": 1e-6}
    )
    return float(1 / found.x)


def filled(probabilities_NK: ArrayLike) -> NDArray[np.float64]:
    """Rows that sum to 1: what was cut off of a row is shared equally among its zeros.

    Predictions may keep only the largest probabilities of a row; a truth among the others
    has the little that is left, not nothing. Whole rows stay as they are.
    """
    p = np.asarray(probabilities_NK, dtype=np.float64)
    rest = np.maximum(1.0 - p.sum(axis=1), 0.0)
    zero = p == 0
    n_zero = zero.sum(axis=1)
    share = np.divide(rest, n_zero, out=np.zeros_like(rest), where=n_zero > 0)
    return np.where(zero, share[:, None], p)


def _own(values_NK: NDArray[np.float64], label_N: ArrayLike) -> NDArray[np.float64]:
    label = np.asarray(label_N, dtype=np.int64)
    if values_NK.ndim != 2 or label.shape != values_NK.shape[:1]:
        raise ValueError(
            f"values must be [N, K] and labels [N]; got {values_NK.shape} and {label.shape}"
        )
    if label.size and not (label.min() >= 0 and label.max() < values_NK.shape[1]):
        raise ValueError(
            f"labels must lie in 0..{values_NK.shape[1] - 1}; got {label.min()}..{label.max()}"
        )
    return np.take_along_axis(values_NK, label[:, None], axis=1)[:, 0]
