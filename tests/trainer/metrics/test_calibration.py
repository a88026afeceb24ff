"""Calibration against TensorFlow Probability and scikit-learn, and on rows of known truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

from trainer.metrics.calibrated import (
    CROSS_FITTED,
    NOT_FITTED,
    WellTable,
    calibration,
    from_plain,
)
from trainer.metrics.calibration import (
    brier_score,
    expected_calibration_error,
    filled,
    fit_temperature,
    negative_log_likelihood,
    reliability,
    tempered,
)

GOLDEN = json.loads((Path(__file__).parent / "golden/calibration.json").read_text())


def rows(seed: int, n: int, n_classes: int, sharpness: float) -> tuple[np.ndarray, np.ndarray]:
    """As golden/make_calibration.py makes them: logits too sure by ``sharpness``, and labels."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, n_classes))
    truth = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    label = (truth.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    return logits * sharpness, label


@pytest.mark.parametrize("golden", GOLDEN["cases"], ids=lambda g: str(g["case"]))
def test_the_numbers_of_tensorflow_probability(golden: dict) -> None:
    logits, label = rows(*golden["case"])
    p = softmax(logits, axis=1)
    confidence, right = p.max(axis=1), p.argmax(axis=1) == label
    for n_bins in (10, 15):
        found = expected_calibration_error(confidence, right, n_bins)
        assert found == pytest.approx(golden[f"ece_{n_bins}"], abs=1e-6)
    assert brier_score(p, label) == pytest.approx(golden["brier_minus_1"] + 1, abs=1e-6)
    assert negative_log_likelihood(p, label) == pytest.approx(golden["nll"], rel=1e-5)
    assert golden["nll"] == pytest.approx(
        log_loss(label, p, labels=np.arange(p.shape[1])), rel=1e-5
    )


def test_bins_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.random(900)
    right = rng.random(900) < confidence**2
    for binning, strategy in (("width", "uniform"), ("mass", "quantile")):
        share, mean = calibration_curve(right, confidence, n_bins=15, strategy=strategy)
        bins = reliability(confidence, right, 15, binning)
        np.testing.assert_allclose([b.accuracy for b in bins], share)
        np.testing.assert_allclose([b.confidence for b in bins], mean)
    # 900 rows in 15 bins of equal mass: the mean of the differences.
    found = expected_calibration_error(confidence, right, 15, "mass")
    assert found == pytest.approx(np.abs(share - mean).mean())


def test_by_hand() -> None:
    # Two rows at 0.9, one right; two at 0.6, both right: (2 * 0.4 + 2 * 0.4) / 4.
    assert expected_calibration_error([0.9, 0.9, 0.6, 0.6], [1, 0, 1, 1]) == pytest.approx(0.4)
    # The upper end of a bin is in it: 0.2 of five bins is the first's.
    assert [b.n for b in reliability([0.2, 0.2001, 1.0, 0.0], [1, 1, 1, 0], 5)] == [2, 1, 1]
    assert brier_score([[0.5, 0.5], [1.0, 0.0]], [0, 0]) == pytest.approx(0.25)
    assert expected_calibration_error([], []) is None
    assert brier_score(np.zeros((0, 3)), []) is None


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_was_put_in_comes_out(temperature: float) -> None:
    logits, label = rows(5, 20_000, 12, temperature)
    p = softmax(logits, axis=1)
    found = fit_temperature(p, label)
    assert found == pytest.approx(temperature, rel=0.05)
    np.testing.assert_allclose(tempered(p, found), softmax(logits / found, axis=1), atol=1e-9)
    # No other temperature is likelier.
    grid = np.geomspace(0.1, 10, 200)
    losses = [-log_softmax(logits / t, axis=1)[np.arange(len(label)), label].mean() for t in grid]
    own = -log_softmax(logits / found, axis=1)[np.arange(len(label)), label].mean()
    assert own <= min(losses) + 1e-9
    assert (tempered(p, found).argmax(axis=1) == p.argmax(axis=1)).all()


def test_what_was_cut_off_is_shared() -> None:
    p = np.array([[0.6, 0.3, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]])
    np.testing.assert_allclose(filled(p), [[0.6, 0.3, 0.05, 0.05], [0.25] * 4])


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="must be positive"):
        tempered([[0.5, 0.5]], 0.0)
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.1"):
        brier_score([[0.5, 0.5]], [2])
    with pytest.raises(ValueError, match=r"probabilities must lie in 0\.\.1"):
        expected_calibration_error([1.5], [1])
    with pytest.raises(ValueError, match="without rows"):
        fit_temperature(np.zeros((0, 3)), [])


def table(sharpness: dict[str, float], n: int = 600, seed: int = 0) -> WellTable:
    parts = [rows(seed + i, n, 10, s) for i, s in enumerate(sharpness.values())]
    names = np.repeat(list(sharpness), n).astype(object)
    plates = np.array([f"{e}_{i % 4}" for i, e in enumerate(names)], object)
    p = softmax(np.concatenate([logits for logits, _ in parts]), axis=1)
    return WellTable(p, np.concatenate([label for _, label in parts]), names, plates)


def test_an_experiment_is_never_fitted_on_itself() -> None:
    # E-2 alone is far surer than it should be: its own temperature comes from the others.
    wells = table({"E-1": 2.0, "E-2": 6.0, "E-3": 2.0})
    found = calibration(wells, None)
    assert found.fitted_on == CROSS_FITTED
    assert found.temperatures["E-2"] == pytest.approx(2.0, rel=0.15)
    assert found.temperatures["E-1"] > 2.5
    for name in found.temperatures:
        others = wells.experiment_N != name
        assert found.temperatures[name] == fit_temperature(
            wells.probabilities_NK[others], wells.label_N[others]
        )
    assert (
        found.before.n == 1800 and found.before.ece_low < found.before.ece < found.before.ece_high
    )
    assert found.after.ece < found.before.ece
    assert found.after.accuracy == found.before.accuracy
    assert found.after_by_experiment["E-2"].ece > 0.05  # honest: it stays too sure
    assert from_plain(json.loads(json.dumps(found.plain()))) == found


def test_one_experiment_takes_the_split_apart_or_none() -> None:
    wells = table({"E-1": 3.0})
    alone = calibration(wells, None)
    assert (alone.after, alone.temperature, alone.fitted_on) == (None, None, NOT_FITTED)
    assert alone.before.ece is not None and not alone.temperatures
    helped = calibration(wells, table({"T-1": 3.0}, n=3000, seed=9), "id_test")
    assert helped.temperature == pytest.approx(3.0, rel=0.15)
    assert "id_test" in helped.fitted_on
    assert helped.after.ece < alone.before.ece
    assert from_plain(json.loads(json.dumps(alone.plain()))) == alone


def test_no_wells_no_numbers() -> None:
    empty = WellTable(np.zeros((0, 3)), np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
    found = calibration(empty, None)
    assert found.before.n == 0 and found.before.ece is None and found.after is None
