"""The leak through plate groups is found where it is, and only there."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from components.plate_example_gen.plate_groups import find_plate_groups
from components.plate_example_gen.screen import Plate, Screen, Site, Well


def screen_of(plates: dict[tuple[str, str], list[str]]) -> Screen:
    built = [
        Plate(
            experiment,
            number,
            [
                Well(f"A{i}", "X", "treatment", name, [Site(1, "train", 0, 2)])
                for i, name in enumerate(names)
            ],
        )
        for (experiment, number), names in plates.items()
    ]
    return Screen("root", "official", ("t.csv",), "", built, 0)


def fixed(n_groups: int, size: int, orders: list[tuple[int, ...]]):
    """Experiments that lay the same groups out in the given orders."""
    groups = [[str(g * size + i) for i in range(size)] for g in range(n_groups)]
    return {
        (f"E-{e}", str(p + 1)): groups[g]
        for e, order in enumerate(orders)
        for p, g in enumerate(order)
    }


def test_groups_and_what_they_are_worth():
    orders = [(0, 1, 2, 3), (0, 1, 2, 3), (1, 2, 3, 0), (0, 1, 2, 3)]
    found = find_plate_groups(screen_of(fixed(4, 25, orders)))
    assert found is not None
    assert found.sizes == (25, 25, 25, 25)
    assert (found.n_experiments, found.n_plates, found.n_orders) == (4, 16, 2)
    assert found.purity == 1
    assert found.chance == pytest.approx(1 / 100)
    assert found.chance_with_group == pytest.approx(1 / 25)
    assert found.gain == pytest.approx(4)
    # Plates of the three experiments with the common order are told by their number.
    assert found.group_from_plate_number == pytest.approx(12 / 16)
    assert "4 fixed plate groups (25 + 25 + 25 + 25)" in found.text()
    assert "4.00 % instead of 1.00 %" in found.text()


def test_a_few_missing_and_misplaced_wells_hide_nothing():
    plates = fixed(4, 50, list(itertools.permutations(range(4)))[:10])
    rng = np.random.default_rng(0)
    keys = list(plates)
    harmed = {key: [n for n in names if rng.random() > 0.05] for key, names in plates.items()}
    for i in range(10):
        harmed[keys[i]] = [*harmed[keys[i]], plates[keys[(i + 5) % len(keys)]][0]]
    found = find_plate_groups(screen_of(harmed))
    assert found is not None
    assert sorted(found.sizes) == [50, 50, 50, 50]
    assert 0.97 < found.purity < 1


def test_a_random_layout_has_none():
    rng = np.random.default_rng(1)
    plates = {}
    for e in range(12):
        order = rng.permutation(200).astype(str)
        for p in range(4):
            plates[f"E-{e}", str(p)] = list(order[50 * p : 50 * p + 50])
    assert find_plate_groups(screen_of(plates)) is None


def test_treatments_on_every_plate_hide_no_groups():
    """References, as many as a quarter of a plate."""
    plates = fixed(2, 12, [(0, 1), (1, 0), (0, 1)])
    found = find_plate_groups(
        screen_of({key: [*names, "r1", "r2", "r3", "r4"] for key, names in plates.items()})
    )
    assert found is not None
    assert found.sizes == (12, 12)
    assert found.purity == 1
    assert found.chance == pytest.approx(1 / 28)
    assert found.chance_with_group == pytest.approx(1 / 16)


def test_replicate_plates_of_a_group_are_of_it():
    plates = fixed(2, 20, [(0, 0, 1, 1), (1, 1, 0, 0)])
    found = find_plate_groups(screen_of(plates))
    assert found is not None
    assert found.sizes == (20, 20)


def test_replicate_plates_with_every_treatment_reveal_nothing():
    names = [str(i) for i in range(30)]
    plates = {(f"E-{e}", str(p)): names for e in range(3) for p in range(4)}
    assert find_plate_groups(screen_of(plates)) is None


def test_one_experiment_proves_nothing():
    assert find_plate_groups(screen_of(fixed(4, 10, [(0, 1, 2, 3)]))) is None


def test_no_labels_no_groups():
    assert find_plate_groups(screen_of({("E-1", "1"): ["", ""], ("E-2", "1"): [""]})) is None
