"""Harmony, where its user has installed it: harmonypy is GPL and no part of this product."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainer.corrections.base import OWN, Correction, checked, same_dimensions
from trainer.errors import PlatewiseError


class Harmony(Correction):
    """Harmony (Korsunsky et al., 2019) through harmonypy, with its default settings.

    Harmony corrects the rows that it is given and learns nothing that carries over to others:
    what is kept is the seed and the width, and ``apply`` runs it on the rows at hand. So a row's
    value depends on the rows beside it, and every experiment counts as its own.
    """

    name = "harmony"

    def __init__(self, n_dimensions: int, seed: int = 0) -> None:
        self._n_dimensions, self._seed = n_dimensions, seed

    @classmethod
    def fit(
        cls,
        embedding_ND: ArrayLike,
        experiment_N: ArrayLike,
        control_N: ArrayLike | None = None,
        seed: int = 0,
    ) -> Harmony:
        """Check that harmonypy is there; nothing is fitted, and controls are not used."""
        _harmonypy()
        embedding, _, _ = checked(embedding_ND, experiment_N, control_N)
        return cls(embedding.shape[1], seed)

    def apply(
        self, embedding_ND: ArrayLike, experiment_N: ArrayLike, control_N: ArrayLike | None = None
    ) -> NDArray[np.floating]:
        """Run Harmony over the experiments; rows of one experiment come back as they were.

        Raises
        ------
        PlatewiseError
            harmonypy is not installed.
        """
        import pandas as pd

        embedding, experiment, _ = checked(embedding_ND, experiment_N, control_N)
        same_dimensions(embedding, self._n_dimensions, self.name)
        if np.unique(experiment).size < 2:
            return embedding
        meta = pd.DataFrame({"experiment": experiment})
        run = _harmonypy().run_harmony
        found = run(embedding, meta, "experiment", random_state=self._seed, verbose=False)
        corrected = np.asarray(found.Z_corr)
        # harmonypy returned dimensions x rows up to 0.0.10 and rows x dimensions since.
        if corrected.shape != embedding.shape:
            corrected = corrected.T
        return corrected.astype(embedding.dtype, copy=False)

    def sources(
        self, experiment_N: ArrayLike, control_N: ArrayLike | None = None
    ) -> dict[str, str]:
        """Always the rows at hand."""
        return dict.fromkeys(np.unique(np.asarray(experiment_N).astype(str)).tolist(), OWN)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The width alone."""
        return {"n_dimensions": np.array(self._n_dimensions)}

    def settings(self) -> dict[str, Any]:
        """The seed."""
        return {"seed": self._seed}

    @classmethod
    def from_arrays(
        cls, arrays: dict[str, NDArray[Any]], settings: dict[str, Any], notes: tuple[str, ...]
    ) -> Harmony:
        """The correction that was saved."""
        return cls(int(arrays["n_dimensions"]), int(settings["seed"]))


def _harmonypy() -> Any:
    try:
        import harmonypy
    except ImportError as error:
        raise PlatewiseError(
            "the correction harmony needs the package harmonypy, which is not installed. It is "
            "under the GPL, so it does not come with platewise; to use it, install it yourself: "
            "pip install harmonypy"
        ) from error
    return harmonypy
