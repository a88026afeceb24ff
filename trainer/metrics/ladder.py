"""The honest ladder: the same predictions, scored with ever more knowledge.

Per site, per well (the headline), and then, apart and marked so, with what the layout of the
plates gives away: the plate's group of treatments, a linear assignment of wells to treatments,
and both. What the last three add is no biology: WILDS rules such answers out, and the Kaggle
competition was decided by them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainer.metrics.intervals import Proportion, accuracy, clustered_interval
from trainer.metrics.layout import Layout, assign, first_choice, guess_group

SITE, WELL = "per_site", "per_well"
GROUPS, ASSIGNMENT, BOTH = "plate_groups", "linear_assignment", "groups_and_assignment"
#: Rungs from the bottom up.
RUNGS = (SITE, WELL, GROUPS, ASSIGNMENT, BOTH)
#: Those that use knowledge of the layout: in no headline and no threshold.
USES_LAYOUT = (GROUPS, ASSIGNMENT, BOTH)


@dataclass(frozen=True)
class Ladder:
    """Accuracy by rung, over all experiments and within each.

    A rung that cannot be climbed (no fixed groups, no training plates) has n = 0.
    """

    #: Rung -> share of rows named right (0..1, higher is better).
    overall: Mapping[str, Proportion]
    experiments: Mapping[str, Mapping[str, Proportion]]
    #: Treatments of each fixed group on training plates; empty where there are none.
    group_sizes: tuple[int, ...] = ()
    #: Plates whose group was guessed right.
    plates_guessed: Proportion = field(default_factory=lambda: Proportion(0, 0, None, None, None))
    #: Most wells of one treatment on a training plate, and the plates learned from.
    copies: int = 0
    n_training_plates: int = 0

    def plain(self) -> dict[str, Any]:
        """For JSON; :func:`from_plain` reads it back."""
        return dataclasses.asdict(self)


def from_plain(plain: Mapping[str, Any]) -> Ladder:
    """Inverse of :meth:`Ladder.plain`."""

    def rungs(found: Mapping[str, Any]) -> dict[str, Proportion]:
        return {name: Proportion(**score) for name, score in found.items()}

    return Ladder(
        overall=rungs(plain["overall"]),
        experiments={name: rungs(found) for name, found in plain["experiments"].items()},
        group_sizes=tuple(plain["group_sizes"]),
        plates_guessed=Proportion(**plain["plates_guessed"]),
        copies=plain["copies"],
        n_training_plates=plain["n_training_plates"],
    )


@dataclass
class LadderCounter:
    """Climbs the ladder plate by plate; a plate's probabilities are dropped as it goes.

    Parameters
    ----------
    layout
        From training plates; None: the rungs that need one stay empty.
    """

    layout: Layout | None
    _rows: dict[str, list[tuple[str, str, NDArray[np.str_], NDArray[np.bool_]]]] = field(
        default_factory=lambda: {rung: [] for rung in RUNGS}
    )
    _guessed: list[bool] = field(default_factory=list)

    def add(
        self,
        experiment: str,
        plate_id: str,
        site_probabilities_NK: ArrayLike,
        site_label_N: ArrayLike,
        site_well_N: ArrayLike,
        well_probabilities_MK: ArrayLike,
        well_label_M: ArrayLike,
    ) -> None:
        """Add the treatment wells of a plate, labels known, and their sites.

        Parameters
        ----------
        site_well_N
            Well of each site: sites of one well are right or wrong together.
        """
        sites, wells = np.asarray(site_probabilities_NK), np.asarray(well_probabilities_MK)
        label = np.asarray(well_label_M, dtype=np.int64)
        if not label.size:
            return
        well_of_site = np.asarray(site_well_N).astype(str)
        right = {SITE: sites.argmax(axis=1) == np.asarray(site_label_N)}
        right[WELL] = wells.argmax(axis=1) == label
        if self.layout is not None:
            right |= self._with_layout(wells, label)
        for rung, hits in right.items():
            # Wells of one plate share what is known of it, so the plate is their cluster.
            cluster = well_of_site if rung == SITE else np.full(label.size, plate_id)
            self._rows[rung].append((experiment, plate_id, cluster, hits))

    def _with_layout(
        self, wells_MK: NDArray[Any], label_M: NDArray[np.int64]
    ) -> dict[str, NDArray[np.bool_]]:
        layout = self.layout
        assert layout is not None
        found = {ASSIGNMENT: assign(wells_MK, layout.known_K, layout.copies) == label_M}
        if layout.group_K is not None:
            group = guess_group(wells_MK, layout.group_K)
            inside = (layout.group_K == group) | (layout.known_K & (layout.group_K < 0))
            found[GROUPS] = first_choice(wells_MK, inside) == label_M
            found[BOTH] = assign(wells_MK, inside, layout.copies) == label_M
            own = layout.group_K[label_M]
            own = own[own >= 0]
            if own.size:
                self._guessed.append(int(np.bincount(own).argmax()) == group)
        return found

    def result(self, confidence: float = 0.95) -> Ladder:
        """The ladder of all plates added.

        Intervals over all experiments take plates as clusters within experiments; within one
        experiment, sites are clustered by well and layout rungs by plate, while wells count as
        independent (Wilson), as everywhere else.
        """
        names = sorted({row[0] for rows in self._rows.values() for row in rows})
        layout = self.layout
        return Ladder(
            overall={rung: self._overall(rung, confidence) for rung in RUNGS},
            experiments={
                name: {rung: self._within(rung, name, confidence) for rung in RUNGS}
                for name in names
            },
            group_sizes=layout.sizes if layout else (),
            plates_guessed=accuracy(self._guessed, confidence),
            copies=layout.copies if layout else 0,
            n_training_plates=layout.n_plates if layout else 0,
        )

    def _overall(self, rung: str, confidence: float) -> Proportion:
        rows = self._rows[rung]
        hits = _joined([row[3] for row in rows])
        plates = np.repeat([row[1] for row in rows], [row[3].size for row in rows])
        experiments = np.repeat([row[0] for row in rows], [row[3].size for row in rows])
        return clustered_interval(hits, plates, experiments, confidence)

    def _within(self, rung: str, experiment: str, confidence: float) -> Proportion:
        rows = [row for row in self._rows[rung] if row[0] == experiment]
        hits = _joined([row[3] for row in rows])
        if rung == WELL or not rows:
            return accuracy(hits, confidence)
        clusters = np.concatenate([row[2] for row in rows])
        return clustered_interval(hits, clusters, confidence=confidence)


def _joined(parts: list[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=bool)
