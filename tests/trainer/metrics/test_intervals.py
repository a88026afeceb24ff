"""Intervals against SciPy, survey formulas and simulated clusters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from trainer.metrics.intervals import (
    accuracy,
    cluster_bootstrap,
    clustered_interval,
    wilson_interval,
)


@given(st.integers(1, 2000), st.floats(0, 1), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_equals_scipy(n, share, confidence):
    n_correct = round(n * share)
    oracle = stats.binomtest(n_correct, n).proportion_ci(confidence, method="wilson")
    assert wilson_interval(n_correct, n, confidence) == pytest.approx(tuple(oracle), abs=1e-12)


def test_wilson_equals_the_closed_form_worked_by_hand():
    # 8 of 10: (0.8 + z^2/20 -+ z sqrt(0.8*0.2/10 + z^2/400)) / (1 + z^2/10), z = 1.959964
    assert wilson_interval(8, 10) == pytest.approx((0.490162, 0.943318), abs=1e-6)


@pytest.mark.parametrize(("n_correct", "n"), [(0, 0), (3, 2), (-1, 5)])
def test_wilson_refuses_impossible_counts(n_correct, n):
    with pytest.raises(ValueError, match=f"got {n_correct} of {n}"):
        wilson_interval(n_correct, n)


def test_no_rows_is_unknown_and_not_zero():
    for result in (accuracy([]), clustered_interval([], [])):
        assert (result.n, result.value, result.low, result.high) == (0, None, None, None)


def test_design_effect_equals_variance_of_cluster_means():
    # Equal clusters: the linearised variance of the share is s^2(means) / clusters.
    generator = np.random.default_rng(0)
    right = generator.random((12, 50)) < generator.beta(2, 3, size=(12, 1))
    result = clustered_interval(right.ravel(), np.repeat(np.arange(12), 50))
    share = right.mean()
    expected = right.mean(axis=1).var(ddof=1) / 12 / (share * (1 - share) / 600)
    assert result.design_effect == pytest.approx(expected)
    shrink = (stats.norm.ppf(0.975) / stats.t.ppf(0.975, 11)) ** 2
    effective = 600 / expected * shrink
    # Wilson's ends solve |p - x| = z sqrt(x (1 - x) / n): checked by substitution.
    for end in (result.low, result.high):
        residual = abs(share - end) - stats.norm.ppf(0.975) * np.sqrt(end * (1 - end) / effective)
        assert residual == pytest.approx(0, abs=1e-12)


def test_strata_remove_differences_between_experiments():
    # Two experiments of very different accuracy, plates inside them alike.
    right = np.concatenate([np.tile([1, 1, 1, 0], 50), np.tile([1, 0, 0, 0], 50)])
    plate = np.repeat(np.arange(8), 50)
    experiment = np.repeat([0, 1], 200)
    stratified = clustered_interval(right, plate, experiment)
    pooled = clustered_interval(right, plate)
    assert stratified.design_effect < 0.1 < 10 < pooled.design_effect
    assert pooled.high - pooled.low > stratified.high - stratified.low


@settings(max_examples=50)
@given(st.integers(2, 8), st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_copying_every_row_teaches_nothing(clusters, copies, seed):
    generator = np.random.default_rng(seed)
    right = generator.random((clusters, 20)) < generator.random((clusters, 1))
    name = np.repeat(np.arange(clusters), 20)
    once = clustered_interval(right.ravel(), name)
    often = clustered_interval(np.repeat(right.ravel(), copies), np.repeat(name, copies))
    z, t = stats.norm.ppf(0.975), stats.t.ppf(0.975, clusters - 1)
    if once.method == "wilson" or once.design_effect <= (z / t) ** 2:
        return  # independent rows are the floor there
    assert (often.low, often.high) == pytest.approx((once.low, once.high), abs=1e-9)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=1, max_size=60))
def test_never_narrower_than_independent_rows(rows):
    right, plate = zip(*rows, strict=True)
    clustered = clustered_interval(right, plate)
    low, high = wilson_interval(sum(right), len(right))
    assert 0 <= clustered.low <= low + 1e-12
    assert high - 1e-12 <= clustered.high <= 1
    assert clustered.low <= clustered.value <= clustered.high


def test_one_plate_in_each_experiment_falls_back_to_experiments():
    right = np.tile([1, 0, 0, 0, 1], 20)
    experiment = np.repeat(np.arange(5), 20)
    with_strata = clustered_interval(right, experiment, experiment)
    assert with_strata == clustered_interval(right, experiment)


def test_single_cluster_is_wilson():
    result = clustered_interval([1, 1, 0, 1], ["p"] * 4)
    assert (result.method, (result.low, result.high)) == ("wilson", wilson_interval(3, 4))


def test_a_plate_in_two_experiments_is_refused():
    with pytest.raises(ValueError, match="two strata"):
        clustered_interval([1, 0], ["p", "p"], ["a", "b"])


def test_coverage_on_plates_that_differ():
    # Four held-out experiments of four plates whose true accuracies scatter: the
    # interval must hold the mean of the four about 95 times in 100; Wilson's does not.
    generator = np.random.default_rng(1)
    experiment_share = np.array([0.15, 0.35, 0.45, 0.6])
    experiment, plate = np.repeat(np.arange(4), 400), np.repeat(np.arange(16), 100)
    inside = inside_wilson = 0
    for _ in range(400):
        mean = np.repeat(experiment_share, 4)
        right = generator.random(1600) < np.repeat(generator.beta(mean * 20, 20 - mean * 20), 100)
        found = clustered_interval(right, plate, experiment)
        low, high = wilson_interval(int(right.sum()), 1600)
        inside += found.low <= experiment_share.mean() <= found.high
        inside_wilson += low <= experiment_share.mean() <= high
    assert 0.92 <= inside / 400 <= 0.99
    assert inside_wilson / 400 < 0.8


def test_bootstrap_of_single_rows_is_near_scipys():
    values = np.random.default_rng(2).normal(3, 1, 80)
    ours = cluster_bootstrap(lambda rows: float(values[rows].mean()), np.arange(80))
    oracle = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=2000, rng=np.random.default_rng(3)
    ).confidence_interval
    assert ours == pytest.approx((oracle.low, oracle.high), abs=0.05)


def test_bootstrap_resamples_whole_clusters():
    # All rows of a cluster are equal: only the number of clusters may count.
    values = np.repeat([0.0, 1.0, 2.0, 3.0], 100)
    low, high = cluster_bootstrap(
        lambda rows: float(values[rows].mean()), np.repeat(np.arange(4), 100)
    )
    assert high - low > 1.5
    with pytest.raises(ValueError, match="at least one row"):
        cluster_bootstrap(lambda rows: 0.0, [])
