"""Finds the leak through plate layout: groups of treatments that always share a plate.

RxRx1's 1,108 treatments stand in four fixed groups of 277; every experiment puts each group
on one plate, in one of a few orders. Whoever knows the plate then knows the group, and needs
to choose among 277 instead of 1,108. Kaggle's winners used it (0.97325 -> 0.99303 in the
discussion of the competition). It is a property of the layout, not of the biology, so a
headline must not use it. Only the tables are needed to see it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from components.plate_example_gen.screen import Screen
from trainer import schema
from trainer.plate_groups import fixed_groups


@dataclass(frozen=True)
class PlateGroups:
    """Fixed groups of treatments, and what knowing the plate is worth."""

    #: Treatments of each group, largest group first.
    sizes: tuple[int, ...]
    n_experiments: int
    n_plates: int
    #: Distinct ways in which experiments lay groups out on their plates.
    n_orders: int
    #: Share of wells whose treatment is of their plate's group.
    purity: float
    #: Accuracy of guessing a treatment at random, without and with the plate's group.
    chance: float
    chance_with_group: float
    #: Share of plates whose group the plate number alone tells: the commonest group of that
    #: number in all other experiments.
    group_from_plate_number: float

    @property
    def gain(self) -> float:
        """How many times the chance level a cheater starts from."""
        return self.chance_with_group / self.chance

    def text(self) -> str:
        """One sentence for a person."""
        sizes = " + ".join(str(size) for size in self.sizes[:8])
        return (
            f"the treatments stand in {len(self.sizes)} fixed plate groups ({sizes}) over "
            f"{self.n_experiments} experiments, in {self.n_orders} orders: whoever knows the "
            f"plate guesses a treatment in {100 * self.chance_with_group:.2f} % instead of "
            f"{100 * self.chance:.2f} % of wells ({self.gain:.1f} x); the plate number alone "
            f"tells the group of {100 * self.group_from_plate_number:.0f} % of plates"
        )


def find_plate_groups(screen: Screen) -> PlateGroups | None:
    """Fixed groups in the labelled plates of a screen; None where there are none.

    How they are found: :func:`trainer.plate_groups.fixed_groups`.
    """
    plates: dict[tuple[str, str], set[Hashable]] = {}
    for plate in screen.plates:
        treatments: set[Hashable] = {
            well.treatment
            for well in plate.wells
            if well.well_type == schema.WELL_TREATMENT and well.treatment
        }
        if treatments:
            plates[plate.experiment, plate.plate] = treatments
    groups = fixed_groups(plates)
    if groups is None:
        return None
    group_of, group_of_plate = groups.of_treatment, groups.of_plate
    n_wells = sum(len(treatments) for treatments in plates.values())
    sizes, n_everywhere = Counter(group_of.values()), len(groups.everywhere)
    known = (
        sum(len(t) / (sizes[group_of_plate[key]] + n_everywhere) for key, t in plates.items())
        / n_wells
    )
    return PlateGroups(
        sizes=tuple(sorted(sizes.values(), reverse=True)),
        n_experiments=len({experiment for experiment, _ in plates}),
        n_plates=len(plates),
        n_orders=_n_orders(group_of_plate),
        purity=groups.purity,
        chance=1 / (len(group_of) + n_everywhere),
        chance_with_group=known,
        group_from_plate_number=_told_by_number(group_of_plate),
    )


def _n_orders(group_of_plate: Mapping[tuple[str, str], int]) -> int:
    orders: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for (experiment, plate), group in group_of_plate.items():
        orders[experiment].append((plate, group))
    return len({tuple(sorted(order)) for order in orders.values()})


def _told_by_number(group_of_plate: Mapping[tuple[str, str], int]) -> float:
    """Share of plates that the plates of the same number elsewhere vote right."""
    votes: dict[str, Counter[int]] = defaultdict(Counter)
    for (_, plate), group in group_of_plate.items():
        votes[plate][group] += 1
    right = 0
    for (_, plate), group in group_of_plate.items():
        others = votes[plate] - Counter([group])
        right += bool(others) and others.most_common(1)[0][0] == group
    return right / len(group_of_plate)
