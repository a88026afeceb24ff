"""Corrections against scikit-learn and SciPy, saved and applied as they were fitted."""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import fractional_matrix_power
from sklearn.covariance import oas
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from trainer.corrections import (
    CORRECTION_NAMES,
    FITTED,
    GLOBAL_ONLY,
    OWN,
    TVN,
    ExperimentCentring,
    Sphering,
    SpheringOAS,
    fit_correction,
    load_correction,
)
from trainer.corrections.compare import UNCORRECTED, compare_corrections
from trainer.errors import PlatewiseError
from trainer.metrics.batch_effect import BatchEffectConfig

RNG = np.random.default_rng(0)
N, D = 400, 12
EXPERIMENT = np.array([f"e{i % 4}" for i in range(N)])
CONTROL = RNG.random(N) < 0.4
SHIFT = {name: RNG.normal(size=D) for name in np.unique(EXPERIMENT)}
EMBEDDING = RNG.normal(size=(N, D)) @ RNG.normal(size=(D, D)) + np.stack(
    [SHIFT[name] for name in EXPERIMENT]
)


def test_centring_leaves_no_experiment_mean() -> None:
    corrected = ExperimentCentring.fit(EMBEDDING, EXPERIMENT).apply(EMBEDDING, EXPERIMENT)
    for name in SHIFT:
        mine = name == EXPERIMENT
        np.testing.assert_allclose(corrected[mine].mean(axis=0), 0, atol=1e-12)
        expected = StandardScaler(with_std=False).fit_transform(EMBEDDING[mine])
        np.testing.assert_allclose(corrected[mine], expected, atol=1e-12)


def test_sphering_whitens_the_controls() -> None:
    corrected = Sphering.fit(EMBEDDING, EXPERIMENT, CONTROL).apply(EMBEDDING, EXPERIMENT)
    np.testing.assert_allclose(np.cov(corrected[CONTROL], rowvar=False), np.eye(D), atol=1e-8)
    # The same up to a rotation as scikit-learn's whitening: distances agree.
    theirs = PCA(whiten=True).fit(EMBEDDING[CONTROL]).transform(EMBEDDING)
    np.testing.assert_allclose(
        np.linalg.norm(corrected[:50, None] - corrected[50:100], axis=2),
        np.linalg.norm(theirs[:50, None] - theirs[50:100], axis=2),
        rtol=1e-8,
    )
    covariance = np.cov(EMBEDDING[CONTROL], rowvar=False)
    expected = (EMBEDDING - EMBEDDING[CONTROL].mean(axis=0)) @ fractional_matrix_power(
        covariance, -0.5
    )
    np.testing.assert_allclose(corrected, expected, atol=1e-8)


def test_sphering_on_float32_whitens_to_a_ten_thousandth() -> None:
    embedding = (1000 * EMBEDDING + 500).astype(np.float32)
    corrected = Sphering.fit(embedding, EXPERIMENT, CONTROL).apply(embedding, EXPERIMENT)
    assert corrected.dtype == np.float32
    np.testing.assert_allclose(np.cov(corrected[CONTROL], rowvar=False), np.eye(D), atol=1e-4)


def test_sphering_on_few_controls_says_that_it_is_shrunk() -> None:
    few = np.arange(N) < 6
    fitted = Sphering.fit(EMBEDDING, EXPERIMENT, few)
    assert "6 controls span 5 of 12 dimensions" in fitted.notes[0]
    corrected = fitted.apply(EMBEDDING, EXPERIMENT)
    assert np.isfinite(corrected).all()
    covariance = np.cov(EMBEDDING[few], rowvar=False)
    shrunk = 0.9 * covariance + 0.1 * np.trace(covariance) / D * np.eye(D)
    expected = (EMBEDDING - EMBEDDING[few].mean(axis=0)) @ fractional_matrix_power(shrunk, -0.5)
    np.testing.assert_allclose(corrected, expected, rtol=1e-6, atol=1e-8)


def test_exact_sphering_says_when_controls_are_few_for_it() -> None:
    for n, told in ((30, 1), (80, 0)):
        fitted = Sphering.fit(EMBEDDING, EXPERIMENT, np.arange(N) < n)
        assert len(fitted.notes) == told
        assert all("sphering_oas is steadier" in note for note in fitted.notes)


@pytest.mark.parametrize("n", [6, 13, 40, 400])
def test_shrunk_sphering_is_by_scikit_learns_covariance(n: int) -> None:
    controls = np.arange(N) < n
    fitted = SpheringOAS.fit(EMBEDDING, EXPERIMENT, controls)
    covariance, share = oas(EMBEDDING[controls])
    assert f"shrunk by {share:.3f}" in fitted.notes[0]
    centred = EMBEDDING - EMBEDDING[controls].mean(axis=0)
    # Ours divides by n - 1, as sphering does: the same share of a covariance n / (n - 1) larger.
    expected = centred @ fractional_matrix_power(covariance * n / (n - 1), -0.5)
    np.testing.assert_allclose(fitted.apply(EMBEDDING, EXPERIMENT), expected, rtol=1e-6, atol=1e-8)


def _tvn_by_others() -> np.ndarray:
    """EFAAR's steps with scikit-learn and SciPy."""
    scaled = StandardScaler().fit(EMBEDDING[CONTROL]).transform(EMBEDDING)
    turned = PCA().fit(scaled[CONTROL]).transform(scaled)
    result = np.empty_like(turned)
    for name in SHIFT:
        mine = name == EXPERIMENT
        own = StandardScaler().fit(turned[mine & CONTROL])
        rows, controls = own.transform(turned[mine]), own.transform(turned[mine & CONTROL])
        covariance = np.cov(controls, rowvar=False, ddof=1) + 0.5 * np.eye(turned.shape[1])
        result[mine] = rows @ fractional_matrix_power(covariance, -0.5)
    return result


def test_tvn_is_efaars() -> None:
    """Axes have no sign of their own, so inner products are compared."""
    corrected = TVN.fit(EMBEDDING, EXPERIMENT, CONTROL).apply(EMBEDDING, EXPERIMENT, CONTROL)
    theirs = _tvn_by_others()
    np.testing.assert_allclose(np.abs(corrected), np.abs(theirs), atol=1e-8)
    np.testing.assert_allclose(corrected @ corrected.T, theirs @ theirs.T, atol=1e-7)


def test_tvn_fits_an_unseen_experiment_on_its_own_controls() -> None:
    seen = EXPERIMENT != "e3"
    fitted = TVN.fit(EMBEDDING[seen], EXPERIMENT[seen], CONTROL[seen])
    assert fitted.sources(EXPERIMENT, CONTROL) == {
        "e0": FITTED,
        "e1": FITTED,
        "e2": FITTED,
        "e3": OWN,
    }
    corrected = fitted.apply(EMBEDDING[~seen], EXPERIMENT[~seen], CONTROL[~seen])
    own = corrected[CONTROL[~seen]]
    np.testing.assert_allclose(own.mean(axis=0), 0, atol=1e-10)
    # (cov + I / 2)^(-1/2) on covariances around 1 leaves variances around 2 / 3.
    assert 0.4 < np.diag(np.cov(own, rowvar=False)).mean() < 0.8


def test_tvn_without_controls_says_so_and_uses_the_spread_of_all() -> None:
    seen = EXPERIMENT != "e3"
    fitted = TVN.fit(EMBEDDING[seen], EXPERIMENT[seen], CONTROL[seen])
    assert fitted.sources(EXPERIMENT[~seen]) == {"e3": GLOBAL_ONLY}
    corrected = fitted.apply(EMBEDDING[~seen], EXPERIMENT[~seen])
    scaled = StandardScaler().fit(EMBEDDING[seen & CONTROL]).transform(EMBEDDING)
    pca = PCA(whiten=True).fit(scaled[seen & CONTROL])
    n = int((seen & CONTROL).sum())
    theirs = pca.transform(scaled[~seen]) * np.sqrt(n / (n - 1)) / np.sqrt(1.5)
    np.testing.assert_allclose(np.abs(corrected), np.abs(theirs), atol=1e-8)


def test_tvn_names_experiments_with_too_few_controls() -> None:
    control = CONTROL & (EXPERIMENT != "e1")
    control[np.flatnonzero(EXPERIMENT == "e1")[:2]] = True
    fitted = TVN.fit(EMBEDDING, EXPERIMENT, control)
    assert fitted.notes[0].startswith("1 of 4 experiments have fewer than 3 controls")
    assert "e1" in fitted.notes[0]
    corrected = fitted.apply(EMBEDDING, EXPERIMENT, control)
    np.testing.assert_allclose(
        corrected[control & (EXPERIMENT == "e1")].mean(axis=0), 0, atol=1e-10
    )


def test_tvn_says_where_controls_are_fewer_than_axes() -> None:
    assert not TVN.fit(EMBEDDING, EXPERIMENT, CONTROL).notes
    control = CONTROL & (EXPERIMENT != "e1")
    control[np.flatnonzero(EXPERIMENT == "e1")[:4]] = True
    (note,) = TVN.fit(EMBEDDING, EXPERIMENT, control).notes
    assert note.startswith("1 of 4 experiments have no more controls (4 at least) than there are")


@pytest.mark.parametrize("name", ["centring", "tvn", "sphering"])
def test_saved_and_read_back_it_does_the_same(name: str, tmp_path: Path) -> None:
    fitted = fit_correction(name, EMBEDDING, EXPERIMENT, CONTROL)
    fitted.save(tmp_path / "c")
    read = load_correction(tmp_path / "c")
    unseen = np.where(EXPERIMENT == "e0", "new", EXPERIMENT)
    for experiment in (EXPERIMENT, unseen):
        np.testing.assert_array_equal(
            read.apply(EMBEDDING, experiment, CONTROL),
            fitted.apply(EMBEDDING, experiment, CONTROL),
        )
    assert read.notes == fitted.notes
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == [
        "correction.json",
        "correction.npz",
    ]


def test_a_changed_or_newer_artifact_is_refused(tmp_path: Path) -> None:
    fit_correction("centring", EMBEDDING, EXPERIMENT).save(tmp_path)
    described = json.loads((tmp_path / "correction.json").read_text())
    arrays = (tmp_path / "correction.npz").read_bytes()
    (tmp_path / "correction.npz").write_bytes(arrays[:-1] + b"x")
    with pytest.raises(PlatewiseError, match="was changed after it was saved"):
        load_correction(tmp_path)
    (tmp_path / "correction.json").write_text(json.dumps(described | {"format_version": 2}))
    with pytest.raises(PlatewiseError, match="format 2"):
        load_correction(tmp_path)
    with pytest.raises(PlatewiseError, match="holds no saved correction"):
        load_correction(tmp_path / "nowhere")


def test_order_of_rows_does_not_matter() -> None:
    order = np.random.default_rng(1).permutation(N)
    for name in ("centring", "tvn", "sphering"):
        whole = fit_correction(name, EMBEDDING, EXPERIMENT, CONTROL)
        mixed = fit_correction(name, EMBEDDING[order], EXPERIMENT[order], CONTROL[order])
        ours = whole.apply(EMBEDDING, EXPERIMENT, CONTROL)[order]
        theirs = mixed.apply(EMBEDDING[order], EXPERIMENT[order], CONTROL[order])
        np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-7)


@pytest.mark.parametrize(
    ("name", "control", "message"),
    [
        ("tvn", None, "TVN needs 3 controls or more; got 0"),
        ("sphering", np.arange(N) == 3, "sphering needs two controls or more; got 1"),
        ("nothing", None, "unknown correction 'nothing'; known: centring, tvn"),
    ],
)
def test_what_cannot_be_fitted_is_refused(
    name: str, control: np.ndarray | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        fit_correction(name, EMBEDDING, EXPERIMENT, control)


def test_another_width_is_refused() -> None:
    fitted = ExperimentCentring.fit(EMBEDDING, EXPERIMENT)
    with pytest.raises(ValueError, match="fitted on 12 dimensions; got 5"):
        fitted.apply(EMBEDDING[:, :5], EXPERIMENT)


@pytest.mark.skipif(
    importlib.util.find_spec("harmonypy") is not None, reason="harmonypy is installed"
)
def test_harmony_is_not_there_unless_its_user_installs_it() -> None:
    with pytest.raises(PlatewiseError, match=r"GPL.*pip install harmonypy"):
        fit_correction("harmony", EMBEDDING, EXPERIMENT)
    assert "harmony" in CORRECTION_NAMES


def test_harmony_is_handed_rows_and_experiments(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call and both layouts of its answer; its numbers are harmonypy's own."""
    calls = []

    def run_harmony(data: np.ndarray, meta: object, column: str, **options: object) -> object:
        calls.append((data.shape, list(meta[column][:2]), options))  # type: ignore[index]
        return types.SimpleNamespace(Z_corr=(data + 1).T)

    fake = types.ModuleType("harmonypy")
    fake.run_harmony = run_harmony  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "harmonypy", fake)
    corrected = fit_correction("harmony", EMBEDDING, EXPERIMENT).apply(EMBEDDING, EXPERIMENT)
    np.testing.assert_array_equal(corrected, EMBEDDING + 1)
    assert calls == [((N, D), ["e0", "e1"], {"random_state": 0, "verbose": False})]


def test_comparison_shows_the_experiment_going_and_the_label_staying() -> None:
    rng = np.random.default_rng(2)
    label = np.arange(N) % 7
    embedding = rng.normal(size=(N, D)) + 2 * rng.normal(size=(7, D))[label]
    embedding += 3 * np.stack([SHIFT[name] for name in EXPERIMENT])
    config = BatchEffectConfig(metrics=("batch_probe", "pcr", "map"), n_permutations=100)
    compared = compare_corrections(
        ["centring", "tvn"], embedding, label, EXPERIMENT, control_N=label == 0, config=config
    )
    assert [one.correction for one in compared] == [UNCORRECTED, "centring", "tvn"]
    before, *after = [one.result for one in compared]
    for result in after:
        assert result.row("batch_probe").value < before.row("batch_probe").value
        assert result.row("pcr").value < before.row("pcr").value
        assert result.row("map").value > before.row("map").value
    assert after[0].row("batch_probe").value <= 0.3  # centred on all rows: nothing linear is left
