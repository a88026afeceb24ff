"""Rows on their way into TFMA: scores against scikit-learn, damage refused."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from trainer.errors import PlatewiseError


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(2, 12))
def test_scores_of_a_row_are_scikit_learns(seed: int, n_rows: int, n_classes: int) -> None:
    from components.evaluator.metrics import score_rows

    rng = np.random.default_rng(seed)
    probability = rng.dirichlet(np.ones(n_classes), n_rows)
    label = rng.integers(0, n_classes, n_rows)
    mean = score_rows(probability, label).mean(0)
    classes = np.arange(n_classes)
    assert mean[0] == pytest.approx(sk.accuracy_score(label, probability.argmax(1)))
    if n_classes > 5:
        expected = sk.top_k_accuracy_score(label, probability, k=5, labels=classes)
        assert mean[1] == pytest.approx(expected)
    else:
        assert mean[1] == 1.0
    own = np.clip(probability, 1e-7, 1.0)[np.arange(n_rows), label]
    assert mean[2] == pytest.approx(-np.log(own).mean())


def test_a_class_that_was_cut_off_is_no_hit() -> None:
    from components.evaluator.metrics import score_rows

    # Only the two largest of seven probabilities were kept.
    scores = score_rows(np.array([[0.6, 0.3, 0, 0, 0, 0, 0]]), np.array([4]))
    assert scores[0, :2].tolist() == [0, 0]
    assert scores[0, 2] == pytest.approx(-np.log(1e-7))


def table(**columns: list[list[object]]) -> dict[str, object]:
    from components.evaluator.tfma_api import tfma

    arrays = {key: pa.array(values) for key, values in columns.items()}
    return {tfma.ARROW_RECORD_BATCH_KEY: pa.RecordBatch.from_pydict(arrays)}


GOOD = {
    "label": [[1], [-1], [0]],
    "probabilities": [[0.2, 0.8], [0.5, 0.5], [0.1, 0.9]],
    "level": [[b"well"], [b"site"], [b"site"]],
}


def test_only_rows_of_known_label_go_on() -> None:
    from components.evaluator.module import extract_rows
    from components.evaluator.tfma_api import tfma

    out = extract_rows(table(**GOOD), {"": "probabilities"}, ("level",))
    assert out[tfma.LABELS_KEY].tolist() == [1, 0]
    assert out[tfma.FEATURES_KEY]["level"].tolist() == [[b"well"], [b"site"]]
    assert out[tfma.PREDICTIONS_KEY][:, 0].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": [[5], [0], [0]]}, "label 5 and 2 probabilities"),
        ({"probabilities": [[0.2, float("nan")], [0.5, 0.5], [0.1, 0.9]]}, "not finite"),
        ({"probabilities": [[0.2, 0.8], [0.5], [0.1, 0.9]]}, "disagree in the length"),
        ({"level": [[b"well"], None, [b"site"]]}, "disagree in the length of 'level'"),
    ],
)
def test_damaged_rows_are_refused(change: dict[str, list], message: str) -> None:
    from components.evaluator.module import extract_rows

    with pytest.raises(PlatewiseError, match=message):
        extract_rows(table(**{**GOOD, **change}), {"": "probabilities"}, ("level",))


def test_a_missing_column_is_named() -> None:
    from components.evaluator.module import extract_rows

    columns = {"": "probabilities", "baseline": "baseline_probabilities"}
    with pytest.raises(PlatewiseError, match="without column 'baseline_probabilities'"):
        extract_rows(table(**GOOD), columns, ("level",))
