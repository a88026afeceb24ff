"""The ladder against brute force, and in order on a screen whose truth is known."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from trainer.metrics.ladder import (
    ASSIGNMENT,
    BOTH,
    GROUPS,
    RUNGS,
    SITE,
    USES_LAYOUT,
    WELL,
    LadderCounter,
    from_plain,
)
from trainer.metrics.layout import assign, first_choice, guess_group, learn_layout, restricted

N_CLASSES, N_GROUPS = 24, 4
GROUP_K = np.arange(N_CLASSES) // (N_CLASSES // N_GROUPS)


def softmax(logits: np.ndarray) -> np.ndarray:
    values = np.exp(logits - logits.max(axis=1, keepdims=True))
    return values / values.sum(axis=1, keepdims=True)


def training_plates(n_experiments: int = 3) -> list[tuple[tuple[str, str], np.ndarray]]:
    return [
        ((f"T-{e}", str(p)), np.flatnonzero((p + e) % N_GROUPS == GROUP_K))
        for e in range(n_experiments)
        for p in range(N_GROUPS)
    ]


@pytest.mark.parametrize("n_wells", [3, 5])
def test_assignment_is_the_likeliest_of_all_permutations(n_wells: int) -> None:
    rng = np.random.default_rng(n_wells)
    for _ in range(20):
        p = softmax(rng.normal(0, 2, (n_wells, 5)))
        best = max(
            itertools.permutations(range(5), n_wells),
            key=lambda columns: np.log(p[np.arange(n_wells), columns]).sum(),
        )
        np.testing.assert_array_equal(assign(p, np.ones(5, bool)), best)


def test_assignment_with_two_wells_a_treatment_is_the_likeliest_of_all() -> None:
    rng = np.random.default_rng(3)
    p = softmax(rng.normal(0, 2, (4, 2)))
    answers = [a for a in itertools.product(range(2), repeat=4) if sum(a) == 2]
    best = max(answers, key=lambda a: np.log(p[np.arange(4), a]).sum())
    np.testing.assert_array_equal(assign(p, np.ones(2, bool), copies=2), best)
    # More wells than treatments times copies: every well still gets an answer.
    assert sorted(assign(p, np.ones(2, bool), copies=1)) == [0, 0, 1, 1]


def test_assignment_takes_allowed_classes_alone() -> None:
    p = np.array([[0.9, 0.05, 0.05], [0.8, 0.15, 0.05]])
    np.testing.assert_array_equal(assign(p, [False, True, True]), [2, 1])
    np.testing.assert_array_equal(first_choice(p, [False, True, True]), [1, 1])
    np.testing.assert_array_equal(restricted(p, [False, True, True])[:, 0], 0)
    with pytest.raises(ValueError, match="no class is allowed"):
        assign(p, [False] * 3)


def test_the_group_is_the_one_of_greatest_likelihood() -> None:
    rng = np.random.default_rng(0)
    p = softmax(rng.normal(0, 1, (6, N_CLASSES)))
    likelihood = [np.prod(p[:, g == GROUP_K].sum(axis=1)) for g in range(N_GROUPS)]
    assert guess_group(p, GROUP_K) == int(np.argmax(likelihood))
    # One well that is sure of another group does not outvote five that agree.
    sure = np.full((6, N_CLASSES), 1e-9)
    sure[:5, 13] = 0.7
    sure[:5, 1] = 0.2
    sure[5, 1] = 1.0
    assert guess_group(sure, GROUP_K) == 2


def test_the_layout_is_that_of_the_training_plates() -> None:
    layout = learn_layout(training_plates(), N_CLASSES + 2)
    assert layout is not None and layout.group_K is not None
    assert (layout.sizes, layout.copies, layout.n_plates) == ((6, 6, 6, 6), 1, 12)
    assert not layout.known_K[-2:].any() and layout.known_K[:-2].all()
    assert (layout.group_K[-2:] == -1).all()
    # The same partition, whatever the groups are called.
    pairs = set(zip(layout.group_K[:-2].tolist(), GROUP_K.tolist(), strict=True))
    assert len(pairs) == N_GROUPS
    with pytest.raises(ValueError, match=r"plate \('T-0', '0'\) must lie in 0..3"):
        learn_layout(training_plates(), 4)


def test_layouts_without_groups_or_without_plates() -> None:
    everything = [((f"T-{e}", "1"), np.repeat(np.arange(5), 2)) for e in range(3)]
    layout = learn_layout(everything, 5)
    assert layout is not None and layout.group_K is None
    assert (layout.sizes, layout.copies) == ((), 2)
    assert learn_layout([(("T", "1"), [])], 5) is None


def screen(strength: float, seed: int, n_experiments: int = 12):
    """Plates of held-out experiments: labels and logits of two sites a well."""
    rng = np.random.default_rng(seed)
    for e in range(n_experiments):
        for p in range(N_GROUPS):
            label = rng.permutation(np.flatnonzero((p + e) % N_GROUPS == GROUP_K))
            logits = rng.normal(0, 1, (2, len(label), N_CLASSES))
            logits[:, np.arange(len(label)), label] += strength
            yield f"E-{e}", f"E-{e}_{p}", label, [softmax(x) for x in logits]


def climb(strength: float, seed: int, with_layout: bool = True):
    counter = LadderCounter(learn_layout(training_plates(), N_CLASSES) if with_layout else None)
    hits = {SITE: [], WELL: []}
    for experiment, plate, label, sites in screen(strength, seed):
        wells = [f"{plate}_{k}" for k in label]
        pooled = (sites[0] + sites[1]) / 2
        counter.add(
            experiment,
            plate,
            np.concatenate(sites),
            np.tile(label, 2),
            wells * 2,
            pooled,
            label,
        )
        hits[SITE] += [(k, s.argmax(1)) for s in sites for k in [label]]
        hits[WELL].append((label, pooled.argmax(1)))
    expected = {
        rung: accuracy_score(*(np.concatenate(x) for x in zip(*rows, strict=True)))
        for rung, rows in hits.items()
    }
    return counter.result(), expected


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_each_rung_is_above_the_one_before(seed: int) -> None:
    ladder, expected = climb(2.0, seed)
    value = {rung: ladder.overall[rung].value for rung in RUNGS}
    assert value[SITE] == pytest.approx(expected[SITE])
    assert value[WELL] == pytest.approx(expected[WELL])
    assert value[SITE] < value[WELL] < value[GROUPS] < value[BOTH]
    assert value[WELL] < value[ASSIGNMENT] < value[BOTH]
    assert (ladder.overall[SITE].n, ladder.overall[WELL].n) == (576, 288)
    for score in ladder.overall.values():
        assert score.low < score.value < score.high
    assert ladder.plates_guessed.n == 48 and ladder.plates_guessed.value > 0.9
    assert set(ladder.experiments) == {f"E-{e}" for e in range(12)}
    for rung in RUNGS:  # the parts are the whole
        parts = [part[rung] for part in ladder.experiments.values()]
        assert sum(p.n_correct for p in parts) == ladder.overall[rung].n_correct
    assert from_plain(json.loads(json.dumps(ladder.plain()))) == ladder


def test_without_biology_the_layout_gives_its_chance_and_no_more() -> None:
    ladder, _ = climb(0.0, 0)
    # 1 in 24; knowing the group would give 1 in 6, but it is guessed from nothing (1 in 4).
    for rung, chance in ((SITE, 1 / 24), (WELL, 1 / 24), (GROUPS, 1 / 24)):
        score = ladder.overall[rung]
        assert score.low < chance + 0.03 and score.high > chance - 0.03, rung
    assert ladder.plates_guessed.value < 0.5


def test_without_training_plates_the_upper_rungs_are_empty() -> None:
    ladder, expected = climb(2.0, 0, with_layout=False)
    assert ladder.overall[WELL].value == pytest.approx(expected[WELL])
    for rung in USES_LAYOUT:
        assert ladder.overall[rung].n == 0 and ladder.overall[rung].value is None
        assert ladder.experiments["E-0"][rung].value is None
    assert from_plain(json.loads(json.dumps(ladder.plain()))) == ladder


def test_a_reference_on_every_plate_may_be_answered_within_any_group() -> None:
    reference = N_CLASSES
    plates = [(key, np.append(label, reference)) for key, label in training_plates()]
    layout = learn_layout(plates, N_CLASSES + 1)
    assert layout is not None and layout.group_K is not None
    assert layout.sizes == (6, 6, 6, 6) and layout.group_K[reference] == -1
    label = np.append(np.flatnonzero(GROUP_K == 1), reference)
    sure = softmax(10.0 * np.eye(N_CLASSES + 1)[label])
    counter = LadderCounter(layout)
    counter.add("E", "E_1", sure, label, [f"w{k}" for k in label], sure, label)
    assert [counter.result().overall[rung].value for rung in (GROUPS, BOTH)] == [1.0, 1.0]
