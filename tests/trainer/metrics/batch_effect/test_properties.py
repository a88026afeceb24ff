"""What must hold whatever the data: ideal and worst cases, invariances, bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.metrics import silhouette_samples as sklearn_silhouettes

from trainer.metrics import batch_effect as ours
from trainer.metrics.batch_effect import pairs, replicates
from trainer.metrics.batch_effect.average_precision import (
    expected_average_precision,
    null_distributions,
)
from trainer.strict import ConfigError

FEW = ours.BatchEffectConfig(n_permutations=200, lisi_neighbors=30, kbet_neighbors=15)


def _draw(seed: int, n: int = 150, d: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    label, experiment = rng.integers(0, 6, n), rng.integers(0, 3, n)
    embedding = rng.normal(size=(n, d)) + rng.normal(size=(6, d))[label]
    return embedding + rng.normal(size=(3, d))[experiment], label, experiment


def _values(result: ours.BatchEffectResult) -> dict[str, float | None]:
    return {f"{row.scope} {row.metric}": row.value for row in result.rows}


DETERMINISTIC = tuple(
    name for name in ours.METRIC_NAMES if name not in ("batch_probe", "percent_replicating")
)


@settings(max_examples=4)
@given(seed=st.integers(0, 2**20))
def test_order_and_rotation_of_the_rows_change_nothing(seed: int) -> None:
    """Cosine and Euclidean metrics survive a rotation; correlation knows the axes."""
    embedding, label, experiment = _draw(seed)
    rng = np.random.default_rng(seed + 1)
    order = rng.permutation(len(label))
    rotation = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    config = ours.BatchEffectConfig(metrics=DETERMINISTIC, n_permutations=50)
    first = _values(ours.batch_effect_metrics(embedding, label, experiment, config=config))
    mixed = ours.batch_effect_metrics(
        embedding[order], label[order], experiment[order], config=config
    )
    assert _values(mixed) == pytest.approx(first, abs=1e-9)
    turned = _values(
        ours.batch_effect_metrics(embedding @ rotation, label, experiment, config=config)
    )
    first.pop("all replicate_correlation"), turned.pop("all replicate_correlation")
    assert turned == pytest.approx(first, abs=1e-7)


def test_names_of_experiments_and_labels_change_nothing_but_names() -> None:
    embedding, label, experiment = _draw(4)
    config = ours.BatchEffectConfig(metrics=DETERMINISTIC, n_permutations=50)
    first = ours.batch_effect_metrics(embedding, label, experiment, config=config)
    other = ours.batch_effect_metrics(embedding, 9 - label, 5 - experiment, config=config)
    assert _values(other) == pytest.approx(_values(first), abs=1e-9)


def test_where_labels_are_all_the_biology_metrics_are_ideal() -> None:
    rng = np.random.default_rng(0)
    label, experiment = np.arange(240) % 3, np.arange(240) // 3 % 4
    embedding = 50 * np.eye(3)[label] + 1e-3 * rng.normal(size=(240, 3))
    result = ours.batch_effect_metrics(embedding, label, experiment, config=FEW)
    values = {row.metric: row.value for row in result.rows}
    assert values["label_asw"] == pytest.approx(1, abs=1e-3)
    assert values["clisi"] == values["map"] == values["map_significant"] == 1
    assert values["graph_connectivity"] > 0.9
    assert values["pcr"] < 0.001 and values["batch_asw"] > 0.9
    assert values["kbet"] == pytest.approx(0.95, abs=0.06)
    assert values["batch_probe"] < 0.4
    assert values["variance_treatment"] > 0.999


def test_where_experiments_are_all_the_batch_metrics_are_at_their_worst() -> None:
    rng = np.random.default_rng(0)
    label, experiment = np.arange(240) % 6, np.arange(240) // 6 % 3
    embedding = 50 * np.eye(3)[experiment] + 1e-3 * rng.normal(size=(240, 3))
    result = ours.batch_effect_metrics(embedding, label, experiment, config=FEW)
    values = {row.metric: row.value for row in result.rows}
    assert values["batch_probe"] == 1 and values["kbet"] == 0
    assert values["ilisi"] == pytest.approx(0, abs=1e-6)
    assert values["pcr"] == pytest.approx(1, abs=1e-6)
    assert values["batch_asw"] == pytest.approx(0, abs=1e-3)
    assert values["map"] < 0.3 and values["map_significant"] == 0
    assert values["variance_experiment"] > 0.999


def test_with_neither_every_metric_is_where_its_row_says_nothing_is() -> None:
    rng = np.random.default_rng(1)
    label, experiment = rng.integers(0, 10, 600), rng.integers(0, 4, 600)
    result = ours.batch_effect_metrics(rng.normal(size=(600, 20)), label, experiment, config=FEW)
    probe = result.row("batch_probe")
    assert 0.15 < probe.value < probe.chance + 0.03
    for metric in ("kbet", "label_asw", "map", "variance_experiment", "variance_treatment"):
        row = result.row(metric)
        assert row.value == pytest.approx(row.chance, abs=0.03), metric
    assert result.row("map_significant").value <= 0.1


def test_within_a_cell_type_is_that_cell_type_alone() -> None:
    embedding, label, experiment = _draw(2)
    cell_type = np.where(experiment < 2, "HUVEC", "RPE")
    config = ours.BatchEffectConfig(metrics=("pcr", "label_asw", "map"), n_permutations=50)
    whole = ours.batch_effect_metrics(
        embedding, label, experiment, cell_type_N=cell_type, config=config
    )
    mine = cell_type == "HUVEC"
    alone = ours.batch_effect_metrics(embedding[mine], label[mine], experiment[mine], config=config)
    for metric in config.metrics:
        assert whole.row(metric, "HUVEC").value == alone.row(metric).value
    # RPE has one experiment: nothing can be said of it, and nothing is.
    row = whole.row("pcr", "RPE")
    assert row.value is None and row.note == "not defined: needs two experiments; there is one"
    json.dumps(whole.to_json(), allow_nan=False)


def test_blocks_and_single_precision_change_nothing_that_matters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    embedding, label, experiment = _draw(3, n=700, d=40)
    config = ours.BatchEffectConfig(metrics=DETERMINISTIC, n_permutations=50)
    first = _values(ours.batch_effect_metrics(embedding, label, experiment, config=config))
    monkeypatch.setattr(pairs, "BLOCK_BYTES", 700 * 8 * 13)  # 13 rows a block
    small = _values(ours.batch_effect_metrics(embedding, label, experiment, config=config))
    assert small == pytest.approx(first, abs=1e-12)
    monkeypatch.setattr("trainer.metrics.batch_effect.inputs.MAX_ROWS_FLOAT64", 10)
    single = _values(ours.batch_effect_metrics(embedding, label, experiment, config=config))
    assert single == pytest.approx(first, abs=2e-3)


def test_neighbours_are_those_of_the_whole_distance_matrix() -> None:
    rng = np.random.default_rng(5)
    embedding = rng.normal(size=(3000, 6)) + 100  # enough rows for the bound by groups
    found = ours.nearest_neighbors(embedding, 10)
    distance = cdist(embedding[:200], embedding)
    expected = np.argsort(distance, axis=1, kind="stable")[:, :10]
    np.testing.assert_array_equal(found.index_Nk[:200], expected)
    np.testing.assert_allclose(
        found.distance_Nk[:200], np.take_along_axis(distance, expected, 1), atol=1e-9
    )


def test_equal_rows_are_neighbours_in_their_order() -> None:
    found = ours.nearest_neighbors(np.ones((500, 4)), 5)
    assert found.index_Nk[7].tolist() == [7, 0, 1, 2, 3]
    assert (found.distance_Nk == 0).all()


def test_silhouettes_are_scikit_learns() -> None:
    embedding, label, _ = _draw(6)
    label[0] = 99  # alone with its label
    np.testing.assert_allclose(
        ours.silhouette_samples(embedding, label), sklearn_silhouettes(embedding, label), atol=1e-9
    )


def test_expected_average_precision_is_the_mean_of_the_null() -> None:
    settings_S2 = np.array(
        [[1, 20], [5, 40], [30, 31], [3, 900], [100, 1000]]
    )  # the last two: drawn and in parts
    null = null_distributions(settings_S2, 20_000, 0)
    expected = expected_average_precision(*settings_S2.T)
    np.testing.assert_allclose(null.mean(axis=1), expected, rtol=0.05)


def test_variance_table_is_that_of_least_squares() -> None:
    embedding, label, experiment = _draw(8)
    plate = experiment * 2 + np.arange(len(label)) % 2  # nested in experiments
    names = {"experiment": experiment, "plate": plate, "treatment": label}
    table = ours.variance_table(embedding, names, n_components=3)
    centred = embedding - embedding.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    target = np.column_stack([centred @ axes[:3].T])
    design, left = np.ones((len(label), 1)), np.square(target).sum(axis=0)
    total, shares = left.copy(), []
    for name in names.values():
        design = np.column_stack([design, np.equal.outer(name, np.unique(name))])
        fit = np.linalg.lstsq(design, target, rcond=None)[0]
        residual = np.square(target - design @ fit).sum(axis=0)
        shares.append((left - residual) / total)
        left = residual
    np.testing.assert_allclose(table.share_KF[1:, :3], np.transpose(shares), atol=1e-9)
    np.testing.assert_allclose(table.share_KF.sum(axis=1), 1)
    n = len(label)
    np.testing.assert_allclose(table.chance_F, np.array([2, 3, 5, n - 1 - 10]) / (n - 1))


def test_pcr_is_the_weighted_regression_of_components() -> None:
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LinearRegression

    embedding, _, experiment = _draw(9)
    pca = PCA().fit(embedding)
    scores, design = pca.transform(embedding), np.equal.outer(experiment, np.unique(experiment))
    r2 = [LinearRegression().fit(design, s).score(design, s) for s in scores.T]
    expected = np.average(r2, weights=pca.explained_variance_)
    found = ours.principal_component_regression(embedding, experiment)
    assert found == pytest.approx(expected, abs=1e-10)
    assert ours.pcr_comparison(0.4, 0.1) == pytest.approx(0.75)
    assert ours.pcr_comparison(0.1, 0.4) == 0


def test_probe_holds_out_whole_wells() -> None:
    """Two rows of a well are copies: a probe that saw one would know the other."""
    rng = np.random.default_rng(0)
    experiment, well = np.repeat(np.arange(120) % 2, 2), np.repeat(np.arange(120), 2)
    embedding = np.repeat(rng.normal(size=(120, 300)), 2, axis=0)
    assert ours.batch_probe(embedding, experiment, well).accuracy.value < 0.65
    assert ours.batch_probe(embedding, experiment).accuracy.value > 0.8


def test_probe_draws_whole_wells_evenly_where_there_are_too_many() -> None:
    rng = np.random.default_rng(0)
    experiment, well = np.arange(600) % 3, np.arange(600) // 2
    probe = ours.batch_probe(rng.normal(size=(600, 3)), experiment, well, max_rows=150)
    assert 120 <= probe.n_rows <= 180 and probe.chance == pytest.approx(1 / 3, abs=0.05)


def test_huge_labels_are_sampled_for_replicates(monkeypatch: pytest.MonkeyPatch) -> None:
    embedding, label, experiment = _draw(1, n=600)
    whole = ours.replicate_consistency(embedding, label, experiment)
    monkeypatch.setattr(replicates, "MAX_ROWS_A_LABEL", 50)
    drawn = ours.replicate_consistency(embedding, label, experiment)
    for name, value in whole.median_by_label.items():
        assert drawn.median_by_label[name] == pytest.approx(value, abs=0.15)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_no_number_is_named(bad: float) -> None:
    embedding, label, experiment = _draw(0)
    embedding[17, 3] = bad
    with pytest.raises(ValueError, match=r"column 3 has 1 of 150 values .* in row 17"):
        ours.batch_effect_metrics(embedding, label, experiment)


def test_names_must_fit_the_rows() -> None:
    embedding, label, experiment = _draw(0)
    with pytest.raises(ValueError, match="label must name each of the 150 rows; got shape"):
        ours.batch_effect_metrics(embedding, label[1:], experiment)
    with pytest.raises(ValueError, match=r"must be \[rows, dimensions\]"):
        ours.batch_effect_metrics(embedding[0], label, experiment)


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_a_handful_of_rows_says_what_cannot_be_said(rows: int) -> None:
    rng = np.random.default_rng(0)
    result = ours.batch_effect_metrics(
        rng.normal(size=(rows, 4)), np.arange(rows) % 2, np.arange(rows) % 3, config=FEW
    )
    assert [row.metric for row in result.rows] == list(ours.METRIC_NAMES)
    for row in result.rows:
        assert row.value is not None or row.note


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="'nothing' is none of batch_probe"):
        ours.BatchEffectConfig(metrics=("nothing",))
    with pytest.raises(ConfigError, match="kbet_neighbors must be at least 2"):
        ours.BatchEffectConfig(kbet_neighbors=1)
