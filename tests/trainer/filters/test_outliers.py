"""The LOF family against scikit-learn and plain loops, window by window."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

from trainer.filters import apply
from trainer.filters import windows as batches
from trainer.filters.outliers import dense_cells, kde_factor, lof_factor
from trainer.filters.settings import GridOutlierSettings, OutlierSettings

K = 12


def image(side_px: int = 48, whole: bool = False, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(side_px, side_px)), 2) * 150 + 60
    noisy = smooth + rng.normal(size=smooth.shape) * 4
    hit = rng.random(smooth.shape) < 0.02
    noisy[hit] = rng.uniform(200, 255, hit.sum())
    return (np.round(noisy) if whole else noisy).astype(np.float32)


def interior(side_px: int, n: int, seed: int) -> np.ndarray:
    """Pixels whose windows hold no reflected pixel: those have no two of one grey level."""
    places = np.arange(side_px**2).reshape(side_px, side_px)[2:-2, 2:-2].ravel()
    return np.random.default_rng(seed).choice(places, n, replace=False)


def windows(image_HW: np.ndarray) -> np.ndarray:
    padded = np.pad(image_HW, 2, mode="reflect").astype(np.float64)
    view = np.lib.stride_tricks.sliding_window_view(padded, (5, 5))
    return view.reshape(image_HW.size, 25)


def scikit_learn_lof(window: np.ndarray, floor: float = 0.0) -> float:
    """Factor of the middle pixel; ``floor`` is added to the distances to the k-th neighbour."""
    model = LocalOutlierFactor(K, algorithm="brute").fit(window[:, None])
    if floor == 0:
        return float(-model.negative_outlier_factor_[12])
    distance, index = model.kneighbors()
    model._distances_fit_X_ = distance.copy()
    model._distances_fit_X_[:, -1] += floor
    density = model._local_reachability_density(distance, index)
    return float(density[index[12]].mean() / density[12])


def test_lof_is_scikit_learns() -> None:
    grey = image()
    ours = lof_factor(grey, K, floor_grey_levels=0.0).ravel()
    chosen = interior(48, 300, seed=1)
    theirs = [scikit_learn_lof(window) for window in windows(grey)[chosen]]
    np.testing.assert_allclose(ours[chosen], theirs, rtol=2e-3, atol=2e-3)
    assert max(theirs) > 5  # there are outliers among them


def test_lof_with_the_floor_of_a_grey_level() -> None:
    grey = image(seed=3)
    ours = lof_factor(grey, K).ravel()
    chosen = interior(48, 300, seed=2)
    theirs = [scikit_learn_lof(window, 1.0) for window in windows(grey)[chosen]]
    np.testing.assert_allclose(ours[chosen], theirs, atol=0.013)


def test_lof_with_equal_pixels() -> None:
    """Of pixels equally far, which are neighbours is a matter of choice, and matters little."""
    grey = image(whole=True, seed=4)
    ours = lof_factor(grey, K).ravel()
    chosen = np.random.default_rng(3).choice(grey.size, 300, replace=False)
    theirs = np.array([scikit_learn_lof(window, 1.0) for window in windows(grey)[chosen]])
    difference = np.abs(ours[chosen] - theirs)
    assert np.mean(difference <= 0.013) > 0.5
    assert np.median(difference) < 0.013
    assert ((ours[chosen] > 2) == (theirs > 2)).mean() > 0.99


def test_kde_lof_is_its_formula() -> None:
    grey = image(24, seed=5)
    ours = kde_factor(grey, K, bandwidth=1.3, c=0.1).ravel()
    chosen = interior(24, 100, seed=4)
    for place, window in zip(chosen, windows(grey)[chosen], strict=True):
        finder = NearestNeighbors(n_neighbors=K).fit(window[:, None])
        distance, index = finder.kneighbors()
        kth = distance[:, -1] + 1.0
        width = 1.3 * kth[index]
        reach = np.maximum(kth[index], distance)
        kernel = np.exp(-(reach**2) / (2 * width**2)) / (np.sqrt(2 * np.pi) * width)
        density = kernel.mean(axis=1)
        around = density[index[12]].mean()
        expected = around / (density[12] + 0.1 * around)
        assert ours[place] == pytest.approx(expected, rel=2e-3)


def test_dense_cells_are_counted_as_in_a_plain_loop() -> None:
    grey = np.clip(image(18, seed=6), 0, 255)
    ours = dense_cells(grey, 4, 16, 0.2)
    cell = np.stack([*np.indices(grey.shape) // 4, (grey // 16).astype(int)], axis=-1).reshape(
        -1, 3
    )
    near = (np.abs(cell[:, None] - cell[None]) <= 1).all(axis=-1).sum(axis=1)
    np.testing.assert_array_equal(ours.ravel(), near > 0.2 * 144)
    assert 0 < ours.mean() < 1


@pytest.mark.parametrize("name", ["lof", "kde-lof", "grid-lof"])
def test_single_impulses_are_mended_and_the_rest_kept(name: str) -> None:
    rng = np.random.default_rng(7)
    clean = ndimage.gaussian_filter(rng.normal(size=(64, 64)), 3) * 200 + 100
    clean = np.round(clean).astype(np.float32)
    noisy = clean.copy()
    noisy[8::12, 8::12] = 255
    noisy[14::12, 14::12] = 0
    mended = apply(name, noisy[..., None])[..., 0]
    struck = noisy != clean
    assert np.abs(mended - clean)[struck].max() < 15
    assert (mended == clean)[~struck].mean() > 0.95


def test_only_wanted_pixels_are_looked_at() -> None:
    grey = image(32)
    wanted = np.zeros(grey.shape, bool)
    wanted[3:9, 4:20] = True
    part = lof_factor(grey, K, wanted_HW=wanted)
    np.testing.assert_array_equal(part[wanted], lof_factor(grey, K)[wanted])
    assert (part[~wanted] == 1).all()


@pytest.mark.parametrize("k", [1, 5, 24])
def test_any_number_of_neighbours(k: int) -> None:
    grey = image(12, seed=8)
    ours = lof_factor(grey, k, floor_grey_levels=0.0).ravel()
    for place in interior(12, 30, seed=5):
        model = LocalOutlierFactor(k, algorithm="brute").fit(windows(grey)[place][:, None])
        expected = -model.negative_outlier_factor_[12]
        assert ours[place] == pytest.approx(expected, rel=5e-3)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (OutlierSettings, {"neighbours": 25}),
        (OutlierSettings, {"threshold": 0.0}),
        (GridOutlierSettings, {"dense_share": 1.0}),
    ],
)
def test_settings_are_checked(kind: type, fields: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        kind(**fields)


def test_how_many_windows_are_worked_on_at_once_changes_nothing(monkeypatch) -> None:
    rng = np.random.default_rng(11)
    image = rng.normal(100, 20, (40, 52)).astype(np.float32)
    wanted = rng.random(image.shape) < 0.3
    whole = kde_factor(image), lof_factor(image), lof_factor(image, wanted_HW=wanted)
    monkeypatch.setattr(batches, "_BLOCK", 700)
    monkeypatch.setattr(batches, "_CHUNK", 64)
    parts = kde_factor(image), lof_factor(image), lof_factor(image, wanted_HW=wanted)
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(whole[2], np.where(wanted, whole[1], 1))
