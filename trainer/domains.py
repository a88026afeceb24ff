"""Which experiment and cell type a training plate belongs to, as numbers.

Axis letter E: experiments that train. Each has one cell type, so what is asked of an experiment
is asked within its cell type: else the answer would be the cell type.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from trainer.errors import PlatewiseError
from trainer.scan import PlateRecords


@dataclass(frozen=True, eq=False)
class Domains:
    """Experiments of the training plates."""

    experiments: tuple[str, ...]
    #: Position of each plate's experiment, int32 [P].
    experiment_of_plate: np.ndarray
    #: Number of each experiment's cell type, int32 [E].
    cell_type_of_experiment: np.ndarray

    def shares(self, plate: tf.Tensor, n_sites: int | tf.Tensor) -> tf.Tensor:
        """One-hot experiment of each site, float32 [B, E], of a plate or a plate a site."""
        plate_B = tf.broadcast_to(plate, [n_sites])
        experiment_B = tf.gather(tf.constant(self.experiment_of_plate), plate_B)
        return tf.one_hot(experiment_B, len(self.experiments))

    def same_cell_type(self) -> np.ndarray:
        """Which experiments share a cell type, bool [E, E]."""
        cell_type_E = self.cell_type_of_experiment
        return cell_type_E[:, None] == cell_type_E[None, :]


def domains_of(plates: Sequence[PlateRecords]) -> Domains:
    """Domains of the plates of a feed, in their order.

    Raises
    ------
    PlatewiseError
        No cell type has two experiments: there is nothing to tell apart or to align.
    """
    cell_type_of = {plate.experiment: plate.cell_type for plate in plates}
    experiments = tuple(sorted(cell_type_of))
    cell_types = sorted(set(cell_type_of.values()))
    if len(experiments) == len(cell_types):
        raise PlatewiseError(
            f"each of {len(cell_types)} cell types has one training experiment "
            f"({', '.join(experiments)}): adversary and alignment compare experiments within a "
            "cell type; set their weights to 0, or train on more experiments"
        )
    return Domains(
        experiments,
        np.array([experiments.index(plate.experiment) for plate in plates], np.int32),
        np.array([cell_types.index(cell_type_of[name]) for name in experiments], np.int32),
    )
