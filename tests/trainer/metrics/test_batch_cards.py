"""Cards against scikit-learn's classifier on the same folds, and on planted effects."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trainer.metrics.batch_cards import batch_cards, by_experiment
from trainer.metrics.batch_effect import batch_probe
from trainer.metrics.batch_effect.probe import folds_of

N_LABELS, N_DIMENSIONS = 12, 8


def wells(shift: float, seed: int = 0, biology: float = 2.0):
    """Two cell types of three experiments; in A-3 alone everything is shifted."""
    rng = np.random.default_rng(seed)
    experiment = np.repeat(["A-1", "A-2", "A-3", "B-1", "B-2", "B-3"], N_LABELS * 2)
    label = np.tile(np.arange(N_LABELS), 12).astype(str)
    centre = rng.normal(0, biology, (N_LABELS, N_DIMENSIONS))
    embedding = centre[label.astype(int)] + rng.normal(0, 1, (len(label), N_DIMENSIONS))
    embedding[experiment == "A-3", 0] += shift
    return embedding, label, experiment, np.array([name[0] for name in experiment])


def test_answers_are_those_of_scikit_learn() -> None:
    embedding, label, experiment, cell_type = wells(3.0)
    found = by_experiment(batch_cards(embedding, label, experiment, cell_type))
    for kind in "AB":
        rows = np.flatnonzero(cell_type == kind)
        code = np.unique(experiment[rows], return_inverse=True)[1]
        fold, _ = folds_of(code, np.arange(len(code)), 5, np.random.default_rng(0))
        answer = np.empty(len(code), int)
        for held_out in np.unique(fold):
            train = fold != held_out
            model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, tol=1e-8))
            model.fit(embedding[rows][train], code[train])
            answer[~train] = model.predict(embedding[rows][~train])
        for i, name in enumerate(np.unique(experiment[rows])):
            recall = (answer[code == i] == i).mean()
            assert found[name].guessed.value == pytest.approx(recall)
            assert found[name].chance == pytest.approx(1 / 3)


def test_the_shifted_experiment_stands_out_and_the_whole_is_the_probe() -> None:
    embedding, label, experiment, cell_type = wells(6.0)
    cards = batch_cards(embedding, label, experiment, cell_type)
    found = by_experiment(cards)
    assert found["A-3"].guessed.low > 0.6 > found["B-3"].guessed.value
    assert found["A-3"].found_again < found["B-3"].found_again
    assert found["B-1"].found_again > 3 * found["B-1"].found_again_chance
    probes = [
        batch_probe(embedding[rows], experiment[rows]).accuracy
        for rows in (cell_type == "A", cell_type == "B")
    ]
    assert cards.guessed.n_correct == sum(p.n_correct for p in probes)
    assert cards.guessed.n == len(label) and cards.chance == pytest.approx(1 / 3)


def test_a_lone_experiment_and_unknown_labels_are_not_judged() -> None:
    embedding, _, experiment, cell_type = wells(0.0)
    lone = np.where(experiment == "B-1", "C", cell_type)
    found = by_experiment(batch_cards(embedding, None, experiment, lone))
    assert (found["B-1"].guessed.n, found["B-1"].chance) == (0, None)
    assert found["B-1"].found_again is None and found["A-1"].found_again is None
    assert found["B-2"].chance == pytest.approx(1 / 2)
