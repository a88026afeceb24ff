"""Experiment centring: the mean of each experiment is subtracted."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainer.corrections.base import FITTED, OWN, Correction, checked, same_dimensions


class ExperimentCentring(Correction):
    """Subtract the mean over all rows of the experiment (Kaggle's 7th place on RxRx1).

    It takes every experiment to hold the same treatments in the same shares: where an experiment
    holds others, their effect is subtracted too. No controls are needed; an experiment unseen at
    fit has its own mean subtracted.
    """

    name = "centring"

    def __init__(self, experiments: NDArray[np.str_], mean_ED: NDArray[np.float64]) -> None:
        self._mean = dict(zip(experiments.tolist(), mean_ED, strict=True))
        self._n_dimensions = mean_ED.shape[1]

    @classmethod
    def fit(
        cls, embedding_ND: ArrayLike, experiment_N: ArrayLike, control_N: ArrayLike | None = None
    ) -> ExperimentCentring:
        """Means of the experiments; controls are not used."""
        embedding, experiment, _ = checked(embedding_ND, experiment_N, control_N)
        names = np.unique(experiment)
        return cls(names, np.stack([_mean(embedding[experiment == name]) for name in names]))

    def apply(
        self, embedding_ND: ArrayLike, experiment_N: ArrayLike, control_N: ArrayLike | None = None
    ) -> NDArray[np.floating]:
        """Subtract each experiment's mean."""
        embedding, experiment, _ = checked(embedding_ND, experiment_N, control_N)
        same_dimensions(embedding, self._n_dimensions, self.name)
        corrected = embedding.copy()
        for name in np.unique(experiment):
            rows = experiment == name
            mean = self._mean.get(str(name))
            corrected[rows] -= _mean(embedding[rows]) if mean is None else mean
        return corrected

    def sources(
        self, experiment_N: ArrayLike, control_N: ArrayLike | None = None
    ) -> dict[str, str]:
        """Fitted, or the experiment's own rows."""
        names = np.unique(np.asarray(experiment_N).astype(str)).tolist()
        return {name: FITTED if name in self._mean else OWN for name in names}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Experiments and their means."""
        return {"experiment": np.array(list(self._mean)), "mean": np.stack([*self._mean.values()])}

    @classmethod
    def from_arrays(
        cls, arrays: dict[str, NDArray[Any]], settings: dict[str, Any], notes: tuple[str, ...]
    ) -> ExperimentCentring:
        """The correction that was saved."""
        return cls(arrays["experiment"], arrays["mean"])


def _mean(rows_ND: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(rows_ND.mean(axis=0, dtype=np.float64))
