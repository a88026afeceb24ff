"""Labels dealt out anew among wells."""

from __future__ import annotations

import logging
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trainer.scan import PlateRecords
from trainer.shuffled import shuffle_labels


def plates(n_wells: list[int]) -> list[PlateRecords]:
    made = []
    for i, n in enumerate(n_wells):
        wells = np.array([f"e_{i}_w{w // 2}" for w in range(2 * n)], object)
        labels = np.array([-1 if w // 2 % 6 == 5 else (w // 2) % 4 for w in range(2 * n)])
        empty = np.zeros((2 * n, 1), np.float32)
        made.append(PlateRecords(f"e_{i}", ("f",), labels, empty, empty, wells=wells))
    return made


def by_well(made: list[PlateRecords]) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for plate in made:
        for well, label in zip(plate.wells, plate.labels, strict=True):
            found.setdefault(well, set()).add(int(label))
    return found


@given(st.lists(st.integers(1, 20), min_size=1, max_size=5), st.integers(0, 9))
def test_wells_keep_one_label_and_classes_their_number_of_wells(n_wells, seed) -> None:
    before = plates(n_wells)
    after = shuffle_labels(before, seed)
    was, now = by_well(before), by_well(after)
    assert all(len(labels) == 1 for labels in now.values())
    assert Counter(map(min, was.values())) == Counter(map(min, now.values()))
    assert {w for w in was if was[w] == {-1}} == {w for w in now if now[w] == {-1}}
    again = shuffle_labels(before[::-1], seed)[::-1]
    for a, b in zip(after, again, strict=True):
        np.testing.assert_array_equal(a.labels, b.labels)


def test_little_is_left_of_the_true_labels_and_it_says_so(caplog) -> None:
    before = plates([200, 200])
    with caplog.at_level(logging.WARNING):
        after = shuffle_labels(before, 0)
    assert "labels of 334 wells were dealt out anew" in caplog.text
    kept = np.mean(
        [np.mean((a.labels == b.labels)[a.labels >= 0]) for a, b in zip(before, after, strict=True)]
    )
    assert abs(kept - 0.25) < 0.08  # four classes, about equally many wells each
    assert not np.array_equal(after[0].labels, shuffle_labels(before, 1)[0].labels)
