"""Minibatches of a plate for BatchNorm's statistics, with the plate's controls as in training.

Control sites are on every plate and are not what is asked about, so they steady the statistics
where the other wells of a plate differ from those of training plates (CS-ARM-BN: control-
stabilised adaptive risk minimisation via batch normalisation). In training they stand in each
minibatch beside the labelled sites and no loss sees them; here the plate's other sites are
taken in minibatches of the same make-up, each with as many controls.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from trainer import schema
from trainer.config import TrainerConfig
from trainer.plates import Plate

_LOG = logging.getLogger(__name__)


def statistics_minibatches(
    plate: Plate, minibatch_size: int, features: Callable, config: TrainerConfig
) -> Iterator[tuple[Any, int]]:
    """Elements of a plate with their weights in sites, for :func:`plate_statistics`.

    Parameters
    ----------
    plate
        Its records.
    minibatch_size
        Sites in an element where the model knows no context.
    features
        From serialised records to an element.
    config
        What the model was trained with: its context, and with it the size of a minibatch.
    """
    n_controls = config.context.control_sites
    groups = _groups(plate, config) if n_controls > 0 else None
    if groups is None:
        for element in plate.minibatches(minibatch_size, features):
            yield element, len(element[schema.LABEL])
        return
    others, controls = groups
    n_minibatches = -(-len(others) // config.data.minibatch_size)
    for i, chunk in enumerate(np.array_split(others, n_minibatches)):
        share = len(chunk) / config.data.minibatch_size
        n_drawn = max(1, round(n_controls * share))
        # In turn, so that every control of the plate has its say.
        drawn = np.resize(np.roll(controls, -i * n_drawn), n_drawn)
        rows = [plate.records[row] for row in (*chunk, *drawn)]
        yield features(tf.constant(rows)), len(chunk)


def _groups(plate: Plate, config: TrainerConfig) -> tuple[np.ndarray, np.ndarray] | None:
    """Rows that are not controls, and those that are; ``None`` where either is missing."""
    spec = {schema.WELL_TYPE: tf.io.FixedLenFeature([], tf.string)}
    found = tf.io.parse_example(plate.records, spec)[schema.WELL_TYPE].numpy()
    is_control = np.array([name.decode() in config.context.well_types for name in found])
    if is_control.all() or not is_control.any():
        _LOG.warning(
            "plate %s has %s: BatchNorm's statistics come from all its sites, without the "
            "controls in each minibatch that training had",
            plate.site_ids[0].rsplit("_", 2)[0],
            "controls alone"
            if is_control.all()
            else f"no {' or '.join(config.context.well_types)}",
        )
        return None
    return np.flatnonzero(~is_control), np.flatnonzero(is_control)
