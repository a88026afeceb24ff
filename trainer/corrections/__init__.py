"""Corrections of batch effects after the network: fitted once, saved, applied the same way.

``fit_correction("tvn", embedding, experiment, control)`` gives a fitted correction; its ``apply``
corrects rows, its ``save`` writes a folder that :func:`load_correction` reads. What uses several
plates is fitted on training experiments alone and applied to held-out ones.
"""

from __future__ import annotations

import os

from numpy.typing import ArrayLike

from trainer.corrections.base import FITTED, GLOBAL_ONLY, OWN, Correction, read_saved
from trainer.corrections.centring import ExperimentCentring
from trainer.corrections.harmony import Harmony
from trainer.corrections.sphering import Sphering, SpheringOAS
from trainer.corrections.tvn import TVN
from trainer.errors import PlatewiseError

_CORRECTIONS = (ExperimentCentring, TVN, Sphering, SpheringOAS, Harmony)
CORRECTION_NAMES = tuple(correction.name for correction in _CORRECTIONS)
#: Those that need nothing that is not installed.
DEFAULT_CORRECTIONS = tuple(name for name in CORRECTION_NAMES if name != Harmony.name)
#: Those that are fitted on controls.
CORRECTIONS_ON_CONTROLS = (TVN.name, Sphering.name, SpheringOAS.name)


def fit_correction(
    name: str,
    embedding_ND: ArrayLike,
    experiment_N: ArrayLike,
    control_N: ArrayLike | None = None,
) -> Correction:
    """Fit the correction called ``name``.

    Parameters
    ----------
    embedding_ND
        Rows of the training experiments, [N, D].
    control_N
        Which rows are controls; those that :data:`CORRECTIONS_ON_CONTROLS` names need it.

    Raises
    ------
    ValueError
        An unknown name, shapes that do not fit, or too few controls.
    PlatewiseError
        Harmony is asked for and harmonypy is not installed.
    """
    for correction in _CORRECTIONS:
        if correction.name == name:
            return correction.fit(embedding_ND, experiment_N, control_N)
    raise ValueError(f"unknown correction {name!r}; known: {', '.join(CORRECTION_NAMES)}")


def load_correction(folder: str | os.PathLike[str]) -> Correction:
    """Read a saved correction. No code is loaded: arrays and JSON alone.

    Raises
    ------
    PlatewiseError
        The folder is not whole, was changed, or is not known to this version.
    """
    name, arrays, settings, notes = read_saved(folder)
    for correction in _CORRECTIONS:
        if correction.name == name:
            return correction.from_arrays(arrays, settings, notes)
    raise PlatewiseError(
        f"{folder}: unknown correction {name!r}; known: {', '.join(CORRECTION_NAMES)}"
    )


__all__ = [
    "CORRECTIONS_ON_CONTROLS",
    "CORRECTION_NAMES",
    "DEFAULT_CORRECTIONS",
    "FITTED",
    "GLOBAL_ONLY",
    "OWN",
    "TVN",
    "Correction",
    "ExperimentCentring",
    "Harmony",
    "Sphering",
    "SpheringOAS",
    "fit_correction",
    "load_correction",
]
