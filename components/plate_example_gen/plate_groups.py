"""Finds the leak through plate layout: groups of treatments that always share a plate.

RxRx1's 1,108 treatments stand in four fixed groups of 277; every experiment puts each group
on one plate, in one of a few orders. Whoever knows the plate then knows the group, and needs
to choose among 277 instead of 1,108. Kaggle's winners used it (0.97325 -> 0.99303 in the
discussion of the competition). It is a property of the layout, not of the biology, so a
headline must not use it. Only the tables are needed to see it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from components.plate_example_gen.screen import Screen
from trainer import schema

#: A plate belongs to a group if it shares at least this part of its treatments with it.
_SHARED = 0.5
#: Wells that must agree with their plate's group before the groups are called fixed.
_FIXED = 0.9
#: A layout with more groups than this is drawn at random, plate by plate.
_MOST_GROUPS = 64


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

    Plates are gathered by the treatments they share, across experiments; a group has to
    appear in at least two experiments, and a plate with all treatments reveals nothing.
    """
    plates: dict[tuple[str, str], set[str]] = {}
    for plate in screen.plates:
        treatments = {
            well.treatment
            for well in plate.wells
            if well.well_type == schema.WELL_TREATMENT and well.treatment
        }
        if treatments:
            plates[plate.experiment, plate.plate] = treatments
    members = _gather(plates)
    if members is None or not 1 < len(members) <= _MOST_GROUPS:
        return None
    if any(len({experiment for experiment, _ in keys}) < 2 for keys in members):
        return None
    group_of_plate = {key: index for index, keys in enumerate(members) for key in keys}
    group_of = _group_of_treatments(plates, group_of_plate)
    n_wells = sum(len(treatments) for treatments in plates.values())
    agree = sum(
        group_of[treatment] == group_of_plate[key]
        for key, treatments in plates.items()
        for treatment in treatments
    )
    if agree < _FIXED * n_wells:
        return None
    sizes = Counter(group_of.values())
    known = sum(len(t) / sizes[group_of_plate[key]] for key, t in plates.items()) / n_wells
    return PlateGroups(
        sizes=tuple(sorted(sizes.values(), reverse=True)),
        n_experiments=len({experiment for experiment, _ in plates}),
        n_plates=len(plates),
        n_orders=_n_orders(group_of_plate),
        purity=agree / n_wells,
        chance=1 / len(group_of),
        chance_with_group=known,
        group_from_plate_number=_told_by_number(group_of_plate),
    )


def _gather(plates: dict[tuple[str, str], set[str]]) -> list[list[tuple[str, str]]] | None:
    """Plates with the same treatments, together; None as soon as they are too many."""
    gathered: list[set[str]] = []
    members: list[list[tuple[str, str]]] = []
    for key, treatments in plates.items():
        shared = [len(treatments & group) / len(treatments) for group in gathered]
        best = max(range(len(shared)), key=shared.__getitem__, default=-1)
        if best >= 0 and shared[best] >= _SHARED:
            gathered[best] |= treatments
            members[best].append(key)
        else:
            gathered.append(set(treatments))
            members.append([key])
        if len(gathered) > _MOST_GROUPS:
            return None
    return members


def _group_of_treatments(
    plates: dict[tuple[str, str], set[str]], group_of_plate: dict[tuple[str, str], int]
) -> dict[str, int]:
    """Group in which each treatment stands most often."""
    votes: dict[str, Counter[int]] = defaultdict(Counter)
    for key, treatments in plates.items():
        for treatment in treatments:
            votes[treatment][group_of_plate[key]] += 1
    return {treatment: vote.most_common(1)[0][0] for treatment, vote in votes.items()}


def _n_orders(group_of_plate: dict[tuple[str, str], int]) -> int:
    orders: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for (experiment, plate), group in group_of_plate.items():
        orders[experiment].append((plate, group))
    return len({tuple(sorted(order)) for order in orders.values()})


def _told_by_number(group_of_plate: dict[tuple[str, str], int]) -> float:
    """Share of plates that the plates of the same number elsewhere vote right."""
    votes: dict[str, Counter[int]] = defaultdict(Counter)
    for (_, plate), group in group_of_plate.items():
        votes[plate][group] += 1
    right = 0
    for (_, plate), group in group_of_plate.items():
        others = votes[plate] - Counter([group])
        right += bool(others) and others.most_common(1)[0][0] == group
    return right / len(group_of_plate)
