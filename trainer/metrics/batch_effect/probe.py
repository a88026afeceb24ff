"""Batch probe: how well can a linear classifier guess the experiment of wells it has not seen?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainer.metrics.batch_effect.inputs import checked_embedding, codes, working
from trainer.metrics.intervals import Proportion, clustered_interval


@dataclass(frozen=True)
class Probe:
    """Accuracy of the probe; lower is better, ``chance`` is as good as it gets."""

    accuracy: Proportion
    #: Share of the largest experiment: what naming it every time would score.
    chance: float
    #: Rows seen of all.
    n_rows: int
    n_folds: int


def batch_probe(
    embedding_ND: ArrayLike,
    experiment_N: ArrayLike,
    well_N: ArrayLike | None = None,
    *,
    n_folds: int = 5,
    inverse_penalty: float = 1.0,
    max_rows: int = 20_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Probe:
    """Cross-validated accuracy of multinomial logistic regression of the experiment.

    Features are standardised on the training folds; the fit is scikit-learn's
    ``LogisticRegression(C=inverse_penalty)``, to convergence. Rows of a well are in one fold, and
    each experiment's wells are spread evenly over the folds. Of more than ``max_rows`` rows,
    whole wells are drawn, evenly from the experiments.

    Parameters
    ----------
    well_N
        Name of each row's well, unique within its experiment; rows are wells if absent.

    Raises
    ------
    ValueError
        Fewer than two experiments, or no experiment with two wells.
    """
    embedding = checked_embedding(embedding_ND)
    experiment, names = codes(experiment_N, len(embedding), "experiment")
    if len(names) < 2:
        raise ValueError(f"a probe needs two experiments or more; got {', '.join(names)}")
    well = _wells(experiment, well_N, len(embedding))
    asked = ask_held_out(
        embedding,
        experiment,
        well,
        n_folds=n_folds,
        inverse_penalty=inverse_penalty,
        max_rows=max_rows,
        seed=seed,
    )
    if not len(asked.row_M):
        raise ValueError("a probe needs an experiment with two wells or more: none can be held out")
    accuracy = clustered_interval(asked.correct_M, well[asked.row_M], confidence=confidence)
    seen = experiment[asked.row_M]
    chance = float(np.bincount(seen).max() / len(seen))
    return Probe(accuracy, chance, len(seen), asked.n_folds)


@dataclass(frozen=True)
class Asked:
    """Rows whose experiment was asked of a classifier that had not seen their fold, [M]."""

    row_M: NDArray[np.int64]
    correct_M: NDArray[np.bool_]
    n_folds: int


def ask_held_out(
    embedding_ND: NDArray[np.floating],
    experiment_N: NDArray[np.int64],
    well_N: NDArray[np.int64],
    *,
    n_folds: int,
    inverse_penalty: float,
    max_rows: int,
    seed: int,
) -> Asked:
    """The probe row by row, as described at :func:`batch_probe`; no row where none can be held out.

    Parameters
    ----------
    experiment_N, well_N
        Codes from 0 on.
    """
    fold, place = folds_of(experiment_N, well_N, n_folds, np.random.default_rng(seed))
    kept = np.flatnonzero(place <= max(1.0, max_rows) / len(embedding_ND))
    experiment, fold = experiment_N[kept], fold[kept]
    folds = np.unique(fold)
    if len(folds) < 2:
        return Asked(kept[:0], np.zeros(0, dtype=bool), len(folds))
    correct = np.zeros(len(kept), dtype=bool)
    data = working(embedding_ND[kept])
    for held_out in folds:
        train = fold != held_out
        model = LogisticModel.fit(data[train], experiment[train], inverse_penalty)
        correct[~train] = model.predict(data[~train]) == experiment[~train]
    return Asked(kept, correct, len(folds))


def _wells(experiment: NDArray[np.int64], well_N: ArrayLike | None, n: int) -> NDArray[np.int64]:
    """Code of each row's well; equal names in two experiments are two wells."""
    if well_N is None:
        return np.arange(n)
    well, _ = codes(well_N, n, "well")
    return np.unique(experiment * (well.max() + 1) + well, return_inverse=True)[1]


def folds_of(
    experiment: NDArray[np.int64], well: NDArray[np.int64], n_folds: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Fold of each row, and its well's place within its experiment (0..1, in random order).

    Rows whose place is at most s are a sample of share s, even over experiments.
    """
    first = np.unique(well, return_index=True)[1]
    experiment_of_well = experiment[first]
    fold, place = np.empty(len(first), dtype=np.int64), np.empty(len(first))
    for code in np.unique(experiment_of_well):
        mine = rng.permutation(np.flatnonzero(experiment_of_well == code))
        # Starting at another fold each time keeps the folds of tiny experiments equally large.
        fold[mine] = (np.arange(len(mine)) + code) % n_folds
        place[mine] = np.arange(len(mine)) / len(mine)
    return fold[well], place[well]


@dataclass(frozen=True)
class LogisticModel:
    """Multinomial logistic regression on standardised features."""

    center_D: NDArray[np.floating]
    weight_DK: NDArray[np.floating]
    bias_K: NDArray[np.floating]
    classes_K: NDArray[np.int64]

    @classmethod
    def fit(
        cls, data_ND: NDArray[np.floating], code_N: NDArray[np.int64], inverse_penalty: float
    ) -> LogisticModel:
        """Minimise the summed log loss + |weights|^2 / (2 inverse_penalty).

        The problem is convex: the basis it is solved in changes the number of steps and nothing
        else. In principal components, each scaled to unit curvature, it takes some thirty.
        """
        from scipy.optimize import minimize

        classes, code = np.unique(code_N, return_inverse=True)
        n, n_classes = len(data_ND), len(classes)
        center = data_ND.mean(axis=0)
        spread = data_ND.std(axis=0)
        scale = np.where(spread > 0, spread, 1)
        standard = (data_ND - center) / scale
        variance, basis = np.linalg.eigh((standard.T @ standard).astype(np.float64) / n)
        kept = variance > max(float(variance[-1]), 1e-300) * 1e-10
        step = 1 / np.sqrt(variance[kept] * n / n_classes + 1 / inverse_penalty)
        turn = (basis[:, kept] * step).astype(data_ND.dtype)
        turned = standard @ turn
        penalty = (step**2 / inverse_penalty)[:, None]
        level = np.sqrt(n_classes / n)  # the same scaling for the bias, which has no penalty

        def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            weight, bias = np.split(flat.reshape(-1, n_classes), [turned.shape[1]])
            score = turned @ weight.astype(turned.dtype) + (level * bias[0]).astype(turned.dtype)
            score -= score.max(axis=1, keepdims=True)
            own = score[np.arange(n), code]
            np.exp(score, out=score)
            total = score.sum(axis=1)
            value = float((np.log(total) - own).sum(dtype=np.float64))
            score /= total[:, None]
            score[np.arange(n), code] -= 1
            gradient = np.concatenate(
                [turned.T @ score + penalty * weight, level * score.sum(axis=0)[None]]
            )
            return value + 0.5 * float((penalty * weight**2).sum()), gradient.ravel().astype(float)

        start = np.zeros((turned.shape[1] + 1) * n_classes)
        options = {"maxiter": 1000, "maxfun": 2000, "ftol": 1e-12, "gtol": 1e-6}
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x
        weight, bias = np.split(found.reshape(-1, n_classes), [turned.shape[1]])
        weight = (basis[:, kept] * step) @ weight / scale[:, None]
        return cls(center, weight, level * bias[0], classes)

    def predict(self, data_ND: NDArray[np.floating]) -> NDArray[np.int64]:
        """Most probable class of each row."""
        score = (data_ND - self.center_D) @ self.weight_DK + self.bias_K
        return np.asarray(self.classes_K[score.argmax(axis=1)])
