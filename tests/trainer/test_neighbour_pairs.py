"""Learning from noisy images alone: pairs of neighbours, against noise that NumPy made."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from trainer.losses import log_mse_db
from trainer.neighbour_pairs import neighbour_pair

RNG = np.random.default_rng(0)


def clean(side_px: int = 128) -> np.ndarray:
    noise = RNG.normal(size=(2, side_px, side_px, 3))
    image = ndimage.gaussian_filter(noise, (0, 6, 6, 0))
    return (60 + 25 * image / image.std()).clip(5, 250)


def pair(noisy: np.ndarray, seed: int = 3) -> list[np.ndarray]:
    return [
        x.numpy() for x in neighbour_pair(tf.constant(noisy, tf.float32), tf.constant([seed, 4]))
    ]


def test_both_come_from_one_cell_and_touch() -> None:
    y, x = np.mgrid[:32, :48]
    places = np.stack([y, x], -1)[None].astype(np.float32)
    target, seen = pair(places)
    assert target.shape == seen.shape == (1, 16, 24, 2)
    # Pixels at the edge are the extremes of an image without noise.
    target, seen = target[:, 1:-1, 1:-1], seen[:, 1:-1, 1:-1]
    np.testing.assert_array_equal(target // 2, seen // 2)
    np.testing.assert_array_equal(np.abs(target - seen).sum(-1), 1)


def test_every_pair_is_drawn_as_often() -> None:
    cells = np.tile([[0.0, 1.0], [2.0, 3.0]], (100, 100))[None, ..., None]
    cells[0, :2, :2], cells[0, -2:, -2:] = -50, 50  # extremes that are not drawn below
    target, seen = pair(cells)
    drawn = np.stack([target.ravel(), seen.ravel()])[:, 1:-1]
    drawn, counts = np.unique(drawn, axis=1, return_counts=True)
    expected = {(0, 1), (1, 0), (0, 2), (2, 0), (3, 1), (1, 3), (3, 2), (2, 3)}
    assert {tuple(p) for p in drawn.T} == expected
    assert np.abs(counts / counts.sum() - 1 / 8).max() < 0.015


@pytest.mark.parametrize("photon", [2.0, 60.0])
def test_noise_of_any_distribution_is_independent(photon: float) -> None:
    """At 60 grey levels a photon, most pixels have one or none: nothing about it is Gaussian."""
    image = np.full((4, 128, 128, 1), 60.0)
    noisy = photon * RNG.poisson(image / photon)
    target, seen = pair(noisy)
    counts = np.isfinite(target)
    assert counts.mean() > 0.99
    of_target, of_input = target[counts] - 60, seen[counts] - 60
    assert abs(np.corrcoef(of_target, of_input)[0, 1]) < 0.02
    # What a network would learn: the mean of the target, whatever the input says.
    levels, n = np.unique(seen[counts], return_counts=True)
    for level in levels[n > 1000]:
        assert abs(of_target[seen[counts] == level].mean()) < 0.12 * of_target.std()


@pytest.mark.parametrize("photons", [0.1, 0.3, 0.6, 1.0, 3.0])
def test_the_mean_of_weak_light_stays(photons: float) -> None:
    """A pixel without a photon is not an impulse, be it rare or the rule."""
    noisy = 40.0 * RNG.poisson(photons, (4, 128, 128, 1))
    target, _ = pair(noisy)
    assert np.nanmean(target) == pytest.approx(noisy.mean(), rel=0.05)
    assert np.isfinite(target).mean() > 0.99


def test_salt_on_a_dark_background_does_not_count() -> None:
    noisy = RNG.poisson(0.3, (1, 128, 128, 1)).astype(float)
    struck = RNG.random(noisy.shape) < 0.05
    target, _ = pair(np.where(struck, 255.0, noisy))
    assert np.isnan(target).mean() == pytest.approx(0.05, abs=0.01)
    assert np.nanmean(target) == pytest.approx(0.3, abs=0.03)


def test_impulses_do_not_count_but_dark_pixels_do() -> None:
    noisy = (clean() + 3 * RNG.normal(size=(2, 128, 128, 3))).clip(1, 254)
    struck = RNG.random(noisy.shape) < 0.1
    noisy[struck] = np.where(RNG.random(noisy.shape) < 0.5, 0, 255)[struck]
    noisy[:, 32:96, 32:96, 1] = 0.0  # black, and no impulse
    struck[:, 32:96, 32:96, 1] = False
    target, seen = pair(noisy)
    black = np.zeros(target.shape, bool)
    black[:, 16:48, 16:48, 1] = True
    assert np.isfinite(target[black]).mean() > 0.99
    assert np.isin(target[~black], (0, 255)).mean() < 0.01
    target = np.where(black, 1.0, target)
    assert np.isnan(target).mean() == pytest.approx(struck.mean(), abs=0.01)
    assert np.isfinite(seen).all()


def test_the_loss_leaves_out_what_does_not_count() -> None:
    image, reference = RNG.normal(size=(2, 3, 16, 16, 2)).astype(np.float32)
    counts = RNG.random(reference.shape) < 0.7
    squares = np.where(counts, np.square(image - reference), 0.0).sum((1, 2)) / counts.sum((1, 2))
    with tf.GradientTape() as tape:
        x = tf.constant(image)
        tape.watch(x)
        loss = log_mse_db(x, np.where(counts, reference, np.nan), floor=0.01)
    assert float(loss) == pytest.approx(10 * np.log10(squares + 0.01).mean(), rel=1e-5)
    gradient = tape.gradient(loss, x).numpy()
    assert (gradient[~counts] == 0).all()
    assert (gradient[counts] != 0).all()


def test_a_channel_without_a_reference_does_not_count() -> None:
    image, reference = RNG.normal(size=(2, 2, 8, 8, 3)).astype(np.float32)
    reference[:, ..., 2] = np.nan
    loss = float(log_mse_db(image, reference, floor=1e-6))
    assert loss == pytest.approx(float(log_mse_db(image[..., :2], reference[..., :2], floor=1e-6)))
