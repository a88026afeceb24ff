"""Groups of treatments that always share a plate, found in layouts alone.

RxRx1's 1,108 treatments stand in four fixed groups of 277; every experiment puts each group on
one plate. Whoever knows a plate's group chooses among 277 treatments instead of 1,108.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Set
from dataclasses import dataclass
from typing import TypeAlias

#: A treatment that stands on more of all plates than this is a reference: of no group.
_REFERENCE = 0.6
#: A plate belongs to a group if it shares at least this part of its treatments with it.
_SHARED = 0.5
#: Wells that must agree with their plate's group before the groups are called fixed.
_FIXED = 0.9
#: A layout with more groups than this is drawn at random, plate by plate.
_MOST_GROUPS = 64

#: Experiment and plate.
PlateKey: TypeAlias = tuple[str, str]


@dataclass(frozen=True)
class FixedGroups:
    """Which plate carries which group, and which treatment stands in it."""

    of_plate: Mapping[PlateKey, int]
    of_treatment: Mapping[Hashable, int]
    #: Treatments that stand on most plates, such as references; they are of no group.
    everywhere: Set[Hashable]
    #: Share of (plate, treatment) pairs that are of their plate's group (0..1).
    purity: float


def fixed_groups(plates: Mapping[PlateKey, Set[Hashable]]) -> FixedGroups | None:
    """Fixed groups in a layout; None where there are none.

    Plates are gathered by the treatments they share, across experiments; a group has to
    appear in at least two experiments, and a plate with all treatments reveals nothing. What
    stands on most plates is left aside first.

    Parameters
    ----------
    plates
        Treatments of each plate; none of them empty.
    """
    everywhere = _references(plates)
    plates = {key: treatments - everywhere for key, treatments in plates.items()}
    if not all(plates.values()):
        return None
    members = _gather(plates)
    if members is None or not 1 < len(members) <= _MOST_GROUPS:
        return None
    if any(len({experiment for experiment, _ in keys}) < 2 for keys in members):
        return None
    of_plate = {key: index for index, keys in enumerate(members) for key in keys}
    of_treatment = _group_of_treatments(plates, of_plate)
    n_wells = sum(len(treatments) for treatments in plates.values())
    agree = sum(
        of_treatment[treatment] == of_plate[key]
        for key, treatments in plates.items()
        for treatment in treatments
    )
    if agree < _FIXED * n_wells:
        return None
    return FixedGroups(of_plate, of_treatment, everywhere, agree / n_wells)


def _references(plates: Mapping[PlateKey, Set[Hashable]]) -> frozenset[Hashable]:
    n_plates = Counter(t for treatments in plates.values() for t in treatments)
    return frozenset(t for t, n in n_plates.items() if n > _REFERENCE * len(plates))


def _gather(plates: Mapping[PlateKey, Set[Hashable]]) -> list[list[PlateKey]] | None:
    """Plates with the same treatments, together; None as soon as they are too many."""
    gathered: list[set[Hashable]] = []
    members: list[list[PlateKey]] = []
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
    plates: Mapping[PlateKey, Set[Hashable]], group_of_plate: Mapping[PlateKey, int]
) -> dict[Hashable, int]:
    """Group in which each treatment stands most often."""
    votes: dict[Hashable, Counter[int]] = defaultdict(Counter)
    for key, treatments in plates.items():
        for treatment in treatments:
            votes[treatment][group_of_plate[key]] += 1
    return {treatment: vote.most_common(1)[0][0] for treatment, vote in votes.items()}
