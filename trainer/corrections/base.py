"""What corrections share: the inputs they check, and the folder they are saved in."""

from __future__ import annotations

import hashlib
import io
import json
import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainer.errors import PlatewiseError
from trainer.metrics.batch_effect.inputs import checked_embedding

ARRAYS, DESCRIPTION = "correction.npz", "correction.json"
FORMAT_VERSION = 1

#: How an experiment was corrected, as :meth:`Correction.sources` says it.
FITTED, OWN, GLOBAL_ONLY = "fitted", "own rows", "global part alone"


class Correction(ABC):
    """A fitted correction: applied the same way in training, evaluation and scoring.

    What is fitted over experiments (scales, axes) is kept and applied as it is. What is fitted
    per experiment is looked up for experiments of the fit; an experiment that the fit did not see
    is fitted on its own rows or controls when it is applied, as a new plate would be.
    """

    name: ClassVar[str]
    #: What a reader must know of this fit (a regularisation, controls that were missing).
    notes: tuple[str, ...] = ()

    @abstractmethod
    def apply(
        self, embedding_ND: ArrayLike, experiment_N: ArrayLike, control_N: ArrayLike | None = None
    ) -> NDArray[np.floating]:
        """The corrected embedding, [N, D'] in the precision given (integers become float64).

        ``control_N`` is needed for experiments that the fit did not see, and for no others.
        """

    @abstractmethod
    def sources(
        self, experiment_N: ArrayLike, control_N: ArrayLike | None = None
    ) -> dict[str, str]:
        """How each experiment present is corrected: fitted, own rows, or the global part alone."""

    @abstractmethod
    def arrays(self) -> dict[str, NDArray[Any]]:
        """What the fit found, for saving."""

    @classmethod
    @abstractmethod
    def from_arrays(
        cls, arrays: dict[str, NDArray[Any]], settings: dict[str, Any], notes: tuple[str, ...]
    ) -> Correction:
        """The correction that was saved."""

    def settings(self) -> dict[str, Any]:
        """What the fit was asked for, as JSON holds it."""
        return {}

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write arrays, then their description; a folder without description is not whole."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        (target / DESCRIPTION).unlink(missing_ok=True)
        buffer = io.BytesIO()
        np.savez(buffer, **self.arrays())  # type: ignore[arg-type]  # numpy's stub on **kwargs
        (target / ARRAYS).write_bytes(buffer.getvalue())
        description = {
            "format_version": FORMAT_VERSION,
            "correction": self.name,
            "settings": self.settings(),
            "notes": list(self.notes),
            "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
        }
        temporary = target / (DESCRIPTION + ".tmp")
        temporary.write_text(json.dumps(description, indent=1) + "\n")
        temporary.replace(target / DESCRIPTION)


def read_saved(
    folder: str | os.PathLike[str],
) -> tuple[str, dict[str, NDArray[Any]], dict[str, Any], tuple[str, ...]]:
    """Name, arrays, settings and notes of a saved correction; nothing in it is executed.

    Raises
    ------
    PlatewiseError
        The folder is not whole, was changed, or is of a newer version.
    """
    source = Path(folder)
    try:
        described = json.loads((source / DESCRIPTION).read_text())
        content = (source / ARRAYS).read_bytes()
    except (OSError, ValueError) as error:
        raise PlatewiseError(f"{source} holds no saved correction: {error}") from error
    version = described.get("format_version")
    if version != FORMAT_VERSION:
        raise PlatewiseError(
            f"{source}: correction of format {version}, this version reads {FORMAT_VERSION}; "
            "fit it anew"
        )
    if hashlib.sha256(content).hexdigest() != described["sha256"]:
        raise PlatewiseError(f"{source / ARRAYS} was changed after it was saved; fit it anew")
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return described["correction"], arrays, described["settings"], tuple(described["notes"])


def checked(
    embedding_ND: ArrayLike, experiment_N: ArrayLike, control_N: ArrayLike | None = None
) -> tuple[NDArray[np.floating], NDArray[np.str_], NDArray[np.bool_]]:
    """Embedding, experiments and control mask of equal length; no mask means no controls."""
    embedding = checked_embedding(embedding_ND)
    experiment = np.asarray(experiment_N).astype(str)
    control = (
        np.zeros(len(embedding), dtype=bool) if control_N is None else np.asarray(control_N, bool)
    )
    if experiment.shape != (len(embedding),) or control.shape != (len(embedding),):
        raise ValueError(
            f"experiment and control must say one thing for each of {len(embedding)} rows; "
            f"got shapes {experiment.shape} and {control.shape}"
        )
    return embedding, experiment, control


def same_dimensions(embedding_ND: NDArray[np.floating], n_dimensions: int, name: str) -> None:
    """Refuse an embedding of another width than the fit's."""
    if embedding_ND.shape[1] != n_dimensions:
        raise ValueError(
            f"{name} was fitted on {n_dimensions} dimensions; got {embedding_ND.shape[1]}"
        )


def symmetric_power(matrix_DD: NDArray[np.float64], power: float) -> NDArray[np.float64]:
    """Power of a symmetric positive definite matrix."""
    values, vectors = np.linalg.eigh(matrix_DD)
    return np.asarray((vectors * values**power) @ vectors.T)
