"""Accuracy metrics against scikit-learn and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as oracle

from trainer.metrics.classification import (
    accuracy_by,
    chance_level,
    commonest_share,
    confusion_counts,
    macro_accuracy,
    ranks,
    top_k_correct,
)
from trainer.metrics.intervals import clustered_interval, wilson_interval


@given(st.integers(2, 9), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_top_k_equals_scikit_learn(n_classes, n, seed):
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.ones(n_classes), size=n)
    label = generator.integers(n_classes, size=n)
    for k in (1, 2, 5):
        expected = (
            oracle.top_k_accuracy_score(label, probabilities, k=k, labels=np.arange(n_classes))
            if n_classes > 2 and k < n_classes
            else np.mean(
                [y in np.argsort(-p)[:k] for p, y in zip(probabilities, label, strict=True)]
            )
        )
        assert top_k_correct(probabilities, label, k).mean() == pytest.approx(expected)


def test_top_1_is_argmax_with_equal_probabilities_too():
    probabilities = np.array([[0.5, 0.5, 0.0], [0.2, 0.4, 0.4], [1 / 3, 1 / 3, 1 / 3]])
    label = np.array([1, 1, 0])
    assert top_k_correct(probabilities, label).tolist() == [False, True, True]
    assert (probabilities.argmax(axis=1) == label).tolist() == [False, True, True]


def test_a_class_that_was_cut_off_is_no_hit():
    # Only the two largest of seven probabilities were kept.
    assert ranks([[0, 0, 0, 0, 0, 0.6, 0.3]], [0]).tolist() == [7]
    assert top_k_correct([[0, 0, 0, 0, 0, 0.6, 0.3]], [0], k=5).tolist() == [False]
    assert ranks([[0, 0, 0, 0, 0, 0.6, 0.3]], [6]).tolist() == [1]


def test_a_model_without_an_opinion_scores_chance():
    label = np.arange(50)
    assert top_k_correct(np.full((50, 50), 0.02), label).mean() == chance_level(50)
    assert ranks(np.full((50, 50), 0.02), label).tolist() == label.tolist()


@pytest.mark.parametrize(
    ("probabilities", "label", "message"),
    [
        ([[0.5, np.nan]], [0], "row 0"),
        ([[0.5, 0.5]], [2], r"0\.\.1; got 2\.\.2"),
        ([[0.5, 0.5]], [-1], "got -1"),
        ([0.5, 0.5], [0, 1], r"\[N, K\]"),
    ],
)
def test_bad_rows_are_named(probabilities, label, message):
    with pytest.raises(ValueError, match=message):
        ranks(probabilities, label)


def test_k_below_one_is_refused():
    with pytest.raises(ValueError, match="at least 1; got 0"):
        top_k_correct([[1.0]], [0], 0)


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=80))
def test_macro_accuracy_equals_balanced_accuracy(rows):
    label, right = (np.array(c) for c in zip(*rows, strict=True))
    predicted = np.where(right, label, label + 10)
    present = np.unique(label)
    expected = oracle.recall_score(label, predicted, labels=present, average="macro")
    assert macro_accuracy(right, label) == pytest.approx(expected)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=50))
def test_confusion_equals_scikit_learn(rows):
    label, predicted = np.array(rows, dtype=int).reshape(-1, 2).T
    expected = (
        oracle.confusion_matrix(label, predicted, labels=range(4))
        if rows
        else np.zeros((4, 4), dtype=int)
    )
    assert (confusion_counts(label, predicted, 4) == expected).all()


def test_confusion_refuses_a_label_out_of_range():
    with pytest.raises(ValueError, match=r"predicted must lie in 0\.\.1"):
        confusion_counts([0], [2], 2)


def test_groups_keep_the_expected_order_and_the_empty_ones():
    table = accuracy_by([1, 0, 1], ["b", "b", "c"], expected=["a", "b"])
    assert list(table) == ["a", "b", "c"]
    assert (table["a"].n, table["a"].value) == (0, None)
    assert (table["b"].n, table["b"].n_correct, table["b"].value) == (2, 1, 0.5)
    assert (table["c"].low, table["c"].high) == wilson_interval(1, 1)
    with pytest.raises(ValueError, match="2 rows and 1 groups"):
        accuracy_by([1, 0], ["a"])


def test_groups_take_clusters_into_account():
    right = [1, 1, 0, 0, 1, 1, 0, 0]
    well = ["w1", "w1", "w2", "w2", "w3", "w3", "w4", "w4"]
    assert accuracy_by(right, ["e"] * 8, cluster_N=well)["e"] == clustered_interval(right, well)


def test_baselines():
    assert commonest_share([3, 3, 1, 2]) == 0.5
    assert commonest_share([]) is None
    assert macro_accuracy([], []) is None
    with pytest.raises(ValueError, match="at least one class"):
        chance_level(0)
