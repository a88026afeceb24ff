"""Sphering on controls: after it, their covariance is the identity, or nearly so and steadier."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainer.corrections.base import GLOBAL_ONLY, Correction, checked, same_dimensions

#: Share of the mean variance that replaces a share of the controls' own where they do not span
#: the dimensions.
SHRINKAGE = 0.1
#: With fewer controls than so many for each dimension, the smallest of their variances are less
#: than a third of the true ones (Marchenko and Pastur).
FEW_CONTROLS = 5
#: Eigenvalues below this share of the largest are zero but for rounding.
_RANK_TOLERANCE = 1e-10


class Sphering(Correction):
    """Centre on the mean of all controls and multiply by cov(controls)^(-1/2) (ZCA).

    Directions in which controls vary, by batch or by noise, shrink; what treatments add to them
    stands out. With controls that span all dimensions, cov(controls) afterwards is the identity to
    rounding. With fewer, a covariance of full rank does not exist: the estimate is then shrunk
    towards the mean variance, (1 - s) cov + s mean(variance) I with s = 0.1, and the notes say so.

    It is one transformation for all experiments, so an unseen one is treated like the others.
    """

    name = "sphering"

    def __init__(
        self,
        mean_D: NDArray[np.float64],
        whitening_DD: NDArray[np.float64],
        notes: tuple[str, ...] = (),
    ) -> None:
        self._mean, self._whitening, self.notes = mean_D, whitening_DD, notes

    @classmethod
    def fit(
        cls, embedding_ND: ArrayLike, experiment_N: ArrayLike, control_N: ArrayLike | None = None
    ) -> Sphering:
        """Mean and covariance of the controls of all experiments.

        Raises
        ------
        ValueError
            Fewer than two controls.
        """
        embedding, _, control = checked(embedding_ND, experiment_N, control_N)
        controls = embedding[control].astype(np.float64)
        if len(controls) < 2:
            raise ValueError(f"{cls.name} needs two controls or more; got {len(controls)}")
        mean = controls.mean(axis=0)
        covariance = (controls - mean).T @ (controls - mean) / (len(controls) - 1)
        values, vectors = np.linalg.eigh(covariance)
        rank = int((values > _RANK_TOLERANCE * values[-1]).sum())
        if rank == 0:
            raise ValueError(f"the {len(controls)} controls are all the same: nothing to sphere on")
        share, notes = cls._shrinkage(np.maximum(values, 0), rank, len(controls))
        values = (1 - share) * np.maximum(values, 0) + share * values.mean()
        return cls(mean, (vectors / np.sqrt(values)) @ vectors.T, notes)

    @classmethod
    def _shrinkage(
        cls, values_D: NDArray[np.float64], rank: int, n_controls: int
    ) -> tuple[float, tuple[str, ...]]:
        """Share of the mean variance, and what there is to say about it."""
        n_dimensions = len(values_D)
        if rank < n_dimensions:
            return SHRINKAGE, (
                f"{n_controls} controls span {rank} of {n_dimensions} dimensions: covariance "
                f"shrunk by {SHRINKAGE:g} towards the mean variance, so it is not whitened exactly",
            )
        if n_controls < FEW_CONTROLS * n_dimensions:
            return 0.0, (
                f"{n_controls} controls for {n_dimensions} dimensions: whitened exactly, which "
                "raises the directions that few controls happen not to vary in; sphering_oas is "
                "steadier",
            )
        return 0.0, ()

    def apply(
        self, embedding_ND: ArrayLike, experiment_N: ArrayLike, control_N: ArrayLike | None = None
    ) -> NDArray[np.floating]:
        """Centre and multiply."""
        embedding, _, _ = checked(embedding_ND, experiment_N, control_N)
        same_dimensions(embedding, len(self._mean), self.name)
        corrected = (embedding - self._mean) @ self._whitening
        return corrected.astype(embedding.dtype, copy=False)

    def sources(
        self, experiment_N: ArrayLike, control_N: ArrayLike | None = None
    ) -> dict[str, str]:
        """The global part alone, which is all there is."""
        names = np.unique(np.asarray(experiment_N).astype(str)).tolist()
        return dict.fromkeys(names, GLOBAL_ONLY)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Mean and whitening matrix."""
        return {"mean": self._mean, "whitening": self._whitening}

    @classmethod
    def from_arrays(
        cls, arrays: dict[str, NDArray[Any]], settings: dict[str, Any], notes: tuple[str, ...]
    ) -> Sphering:
        """The correction that was saved."""
        return cls(arrays["mean"], arrays["whitening"], notes)


class SpheringOAS(Sphering):
    """Sphering by a covariance that is shrunk towards the mean variance as far as it is uncertain.

    The share is the oracle approximating shrinkage of Chen et al., "Shrinkage algorithms for MMSE
    covariance estimation" (IEEE TSP 58, 2010), eq. 23, as ``sklearn.covariance.oas`` has it: the
    larger, the fewer the controls and the more alike the variances of all directions. Exact
    whitening divides by the smallest variances, which are far too small where controls are few.
    """

    name = "sphering_oas"

    @classmethod
    def _shrinkage(
        cls, values_D: NDArray[np.float64], rank: int, n_controls: int
    ) -> tuple[float, tuple[str, ...]]:
        share = _oas(values_D * (n_controls - 1) / n_controls, n_controls)
        return share, (f"covariance of {n_controls} controls shrunk by {share:.3f}",)


def _oas(values_D: NDArray[np.float64], n_rows: int) -> float:
    """Share (0..1) from the eigenvalues of the covariance that divides by the number of rows."""
    mean, square = values_D.mean(), np.square(values_D).mean() / len(values_D)
    excess = square - mean**2 / len(values_D)
    if excess <= 0:
        return 1.0
    return float(min(1.0, (square + mean**2) / ((n_rows + 1) * excess)))
