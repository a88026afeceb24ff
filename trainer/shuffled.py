"""Labels dealt out anew among wells: what can be learnt from them is a leak.

A network trained on them must sit at chance on every held-out experiment (Zhang et al.,
"Understanding deep learning requires rethinking generalization", 2017, for the training side).
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

import numpy as np

from trainer.scan import PlateRecords

_LOG = logging.getLogger(__name__)

#: Keeps these draws apart from those of the feed, which start from the same seed.
_STREAM = 0x5AFF1E


def shuffle_labels(plates: Sequence[PlateRecords], seed: int) -> list[PlateRecords]:
    """The same plates with the labels of all labelled wells permuted.

    Sites of one well keep one label, every class keeps its number of wells, and unlabelled
    wells stay unlabelled. Wells are taken across plates and experiments.

    Parameters
    ----------
    plates
        All plates of the training split.
    seed
        Decides the permutation, whatever the order of the plates.
    """
    label_of: dict[str, int] = {}
    for plate in plates:
        for well, label in zip(plate.wells, plate.labels, strict=True):
            if label >= 0:
                label_of.setdefault(well, int(label))
    wells = sorted(label_of)
    order = np.random.default_rng([seed, _STREAM]).permutation(len(wells))
    dealt = {well: label_of[wells[i]] for well, i in zip(wells, order, strict=True)}
    moved = sum(dealt[well] != label_of[well] for well in wells)
    _LOG.warning(
        "data.shuffle_labels: the labels of %d wells were dealt out anew (%d changed); this model "
        "is for the leak audit and must sit at chance",
        len(wells),
        moved,
    )
    return [
        dataclasses.replace(
            plate,
            labels=np.array(
                [
                    dealt[well] if label >= 0 else label
                    for well, label in zip(plate.wells, plate.labels, strict=True)
                ],
                plate.labels.dtype,
            ),
        )
        for plate in plates
    ]
