"""Against scib-metrics, copairs and scikit-learn (tests/oracles/make_batch_effect_golden.py)."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.metrics import batch_effect as ours

ORACLES = Path(__file__).parents[3] / "oracles"
GOLDEN = json.loads((ORACLES / "batch_effect_golden.json").read_text())


def _profiles() -> dict[str, Any]:
    path = ORACLES / "batch_effect_profiles.py"
    spec = importlib.util.spec_from_file_location("batch_effect_profiles", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return {name: make() for name, make in module.PROFILES.items()}


PROFILES = _profiles()
everywhere = pytest.mark.parametrize("name", PROFILES)


@everywhere
@pytest.mark.parametrize("metric", ["label_asw", "batch_asw", "pcr"])
def test_whole_set_metrics_match_scib(name: str, metric: str) -> None:
    p = PROFILES[name]
    value = {
        "label_asw": lambda: ours.label_asw(p.features_ND, p.label_N),
        "batch_asw": lambda: ours.batch_asw(p.features_ND, p.label_N, p.experiment_N),
        "pcr": lambda: ours.principal_component_regression(p.features_ND, p.experiment_N),
    }[metric]()
    assert value == pytest.approx(GOLDEN[name]["scib"][metric], abs=1e-5)


@everywhere
def test_silhouettes_match_scib_row_by_row(name: str) -> None:
    p = PROFILES[name]
    theirs = GOLDEN[name]["scib"]["silhouette_samples"]
    np.testing.assert_allclose(ours.silhouette_samples(p.features_ND, p.label_N), theirs, atol=1e-4)


@pytest.mark.parametrize("name", ["screen", "small"])
@pytest.mark.parametrize("search", ["", "_own_search"])
def test_neighbourhood_metrics_match_scib(name: str, search: str) -> None:
    """On the lattice ties decide who is a neighbour: see below."""
    p, theirs = PROFILES[name], GOLDEN[name]["scib"]
    if f"kbet{search}" not in theirs:
        pytest.skip("scib-metrics' own search needs more rows than neighbours")
    near = ours.nearest_neighbors(p.features_ND, 90)
    values = {
        "kbet": ours.kbet(near.first(50), p.experiment_N),
        "ilisi": ours.ilisi(near, p.experiment_N),
        "clisi": ours.clisi(near, p.label_N),
        "graph_connectivity": ours.graph_connectivity(near.first(15), p.label_N),
    }
    expected = {metric: theirs[metric + search] for metric in values}
    # The ten copied wells are at the same distance as their originals; where one of the two is the
    # last neighbour, scib-metrics' own search takes the other one: one neighbourhood of 632.
    atol = 1e-4 if not search else 1.01 / len(p.label_N)
    assert values == pytest.approx(expected, abs=atol)


@pytest.mark.parametrize("name", ["screen", "small"])
def test_lisi_matches_scib_row_by_row(name: str) -> None:
    p = PROFILES[name]
    found = ours.lisi(ours.nearest_neighbors(p.features_ND, 90), p.experiment_N)
    beyond = ours.nearest_neighbors(p.features_ND, 91).distance_Nk
    tied = np.isclose(beyond[:, -2], beyond[:, -1], rtol=1e-9) & (len(p.label_N) > 90)
    assert tied.mean() < 0.02
    theirs = np.array(GOLDEN[name]["scib"]["lisi_experiment"])
    np.testing.assert_allclose(found[~tied], theirs[~tied], rtol=1e-4)


def test_ties_move_neighbourhood_metrics_no_further_than_their_choice() -> None:
    """With most distances tied, scib-metrics' two searches differ from each other too."""
    p, theirs = PROFILES["grid"], GOLDEN["grid"]["scib"]
    near = ours.nearest_neighbors(p.features_ND, 90)
    apart = abs(theirs["kbet"] - theirs["kbet_own_search"])
    value = ours.kbet(near.first(50), p.experiment_N)
    assert abs(value - theirs["kbet"]) <= max(0.1, 2 * apart)
    assert ours.ilisi(near, p.experiment_N) == pytest.approx(theirs["ilisi"], abs=0.03)


@everywhere
def test_average_precision_matches_copairs_row_by_row(name: str) -> None:
    p, theirs = PROFILES[name], GOLDEN[name]["copairs"]
    found = ours.average_precision(p.features_ND, p.label_N, p.experiment_N)
    assert found.n_positives_N.tolist() == theirs["n_positives"]
    usable = found.n_positives_N > 0
    assert found.n_pairs_N[usable].tolist() == np.array(theirs["n_pairs"])[usable].tolist()
    scores = np.array([np.nan if v is None else v for v in theirs["average_precision"]])
    # Similarities that are equal but for rounding stand in another order on the lattice.
    atol = 1e-6 if name != "grid" else 0.05
    np.testing.assert_allclose(found.score_N[usable], scores[usable], atol=atol)
    assert np.isnan(found.score_N[~usable]).all()


@pytest.mark.parametrize("name", ["screen", "small"])
def test_map_and_its_p_values_match_copairs(name: str) -> None:
    p, theirs = PROFILES[name], GOLDEN[name]["copairs"]
    found = ours.mean_average_precision(
        ours.average_precision(p.features_ND, p.label_N, p.experiment_N),
        p.label_N,
        GOLDEN["n_permutations"],
        GOLDEN["seed"],
    )
    assert [row.label for row in found] == theirs["label"]
    for ours_name in ("mean_average_precision", "p_value", "corrected_p_value"):
        values = [getattr(row, ours_name) for row in found]
        np.testing.assert_allclose(values, theirs[ours_name], atol=1e-6, err_msg=ours_name)


@everywhere
def test_replicate_correlation_matches_copairs(name: str) -> None:
    p, theirs = PROFILES[name], GOLDEN[name]["copairs"]
    found = ours.replicate_consistency(p.features_ND, p.label_N, p.experiment_N)
    assert found.median_by_label.keys() == theirs["median_correlation"].keys()
    for label, value in theirs["median_correlation"].items():
        assert found.median_by_label[label] == pytest.approx(value, abs=1e-5)
    assert found.threshold == pytest.approx(theirs["threshold"], abs=0.05)  # of other draws


def test_probe_is_scikit_learns_logistic_regression() -> None:
    from trainer.metrics.batch_effect.probe import LogisticModel
    from trainer.metrics.batch_effect.threads import blas_threads

    p, theirs = PROFILES["screen"], GOLDEN["screen"]["sklearn"]
    names, code = np.unique(p.experiment_N, return_inverse=True)
    with blas_threads(len(code)):
        model = LogisticModel.fit(p.features_ND[::2], code[::2], 1.0)
    odd = p.features_ND[1::2]
    assert names[model.classes_K].tolist() == theirs["classes"]
    assert names[model.predict(odd)].tolist() == theirs["predicted"]
    score = (odd[:40] - model.center_D) @ model.weight_DK + model.bias_K
    probability = np.exp(score - score.max(axis=1, keepdims=True))
    probability /= probability.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probability, theirs["probability"], atol=1e-4)
