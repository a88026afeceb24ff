"""Augmentation: every image op is tried eagerly, in a compiled function and in tf.data."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from trainer import augment
from trainer.config import AugmentConfig
from trainer.strict import ConfigError

SEED = tf.constant([7, 8])


def images(n: int, side_px: int = 8) -> tf.Tensor:
    """Images whose every pixel is different from every other."""
    shape = (n, side_px, side_px, 2)
    return tf.reshape(tf.range(float(np.prod(shape))), shape)


def run_eagerly(function: Callable, *tensors: tf.Tensor) -> list[np.ndarray]:
    return [t.numpy() for t in tf.nest.flatten(function(*tensors))]


def run_compiled(function: Callable, *tensors: tf.Tensor) -> list[np.ndarray]:
    compiled = tf.function(function, jit_compile=True)
    return [t.numpy() for t in tf.nest.flatten(compiled(*tensors))]


def run_in_tf_data(function: Callable, *tensors: tf.Tensor) -> list[np.ndarray]:
    (result,) = tf.data.Dataset.from_tensors(tensors).map(function)
    return [t.numpy() for t in tf.nest.flatten(result)]


ways = pytest.mark.parametrize("run", [run_eagerly, run_compiled, run_in_tf_data])


def poses(image_HWC: np.ndarray) -> list[np.ndarray]:
    """NumPy's eight poses of a square: four turns, then the same mirrored."""
    mirrored = image_HWC[:, ::-1]
    return [np.rot90(start, k) for start in (image_HWC, mirrored) for k in range(4)]


@ways
@pytest.mark.parametrize(
    ("flips", "quarter_turns", "allowed"),
    [
        (True, True, range(8)),
        (False, True, range(4)),
        (True, False, (0, 2, 4, 6)),
        (False, False, (0,)),
    ],
)
def test_geometric_reaches_each_pose_equally_often(run, flips, quarter_turns, allowed) -> None:
    config = AugmentConfig(flips=flips, quarter_turns=quarter_turns)
    before = images(800)
    (after,) = run(lambda x: augment.geometric(x, config, SEED), before)
    counts = np.zeros(8, int)
    for image, moved in zip(before.numpy(), after, strict=True):
        matches = [i for i, pose in enumerate(poses(image)) if np.array_equal(pose, moved)]
        assert len(matches) == 1
        counts[matches[0]] += 1
    assert set(np.flatnonzero(counts)) == set(allowed)
    if len(allowed) > 1:
        assert stats.chisquare(counts[list(allowed)]).pvalue > 1e-3


def test_geometric_says_what_it_needs() -> None:
    with pytest.raises(ValueError, match=r"8 x 6 px.*quarter_turns"):
        augment.geometric(tf.zeros((1, 8, 6, 1)), AugmentConfig(), SEED)
    upright = AugmentConfig(quarter_turns=False)
    assert augment.geometric(tf.zeros((1, 8, 6, 1)), upright, SEED).shape == (1, 8, 6, 1)


@ways
def test_random_crop_takes_every_window_equally_often(run) -> None:
    before = images(900, 7)
    (after,) = run(lambda x: augment.random_crop(x, 5, SEED), before)
    assert after.shape == (900, 5, 5, 2)
    counts = np.zeros((3, 3), int)
    for image, window in zip(before.numpy(), after, strict=True):
        top, left = np.argwhere(image[..., 0] == window[0, 0, 0])[0]
        assert np.array_equal(window, image[top : top + 5, left : left + 5])
        counts[top, left] += 1
    assert stats.chisquare(counts.ravel()).pvalue > 1e-3


@ways
def test_center_crop(run) -> None:
    before = images(2, 9)
    (after,) = run(lambda x: augment.center_crop(x, 4), before)
    np.testing.assert_array_equal(after, before.numpy()[:, 2:6, 2:6])


def test_a_crop_of_the_whole_image_is_the_image() -> None:
    before = images(2)
    assert np.array_equal(augment.random_crop(before, 8, SEED), before)
    assert np.array_equal(augment.center_crop(before, 8), before)


@pytest.mark.parametrize(
    "crop", [augment.center_crop, lambda x, s: augment.random_crop(x, s, SEED)]
)
def test_a_crop_larger_than_the_image_is_refused(crop) -> None:
    with pytest.raises(ValueError, match=r"9 px windows from images of 8 x 8 px"):
        crop(images(1), 9)


@ways
def test_intensity_moves_clean_and_noisy_alike_within_its_range(run) -> None:
    config = AugmentConfig(gain_jitter=0.2, offset_jitter=0.5)
    clean = tf.random.stateless_normal((300, 6, 6, 2), SEED)
    noisy = clean + 3.0
    new_clean, new_noisy = run(lambda x, y: augment.intensity(x, y, config, SEED), clean, noisy)
    gain = (new_noisy - new_clean) / 3.0  # a*(x+3)+b - (a*x+b) = 3a
    assert np.ptp(gain, axis=(1, 2)).max() < 1e-5  # one gain an image and channel
    offset = new_clean - gain * clean.numpy()
    assert np.ptp(offset, axis=(1, 2)).max() < 1e-4
    gain, offset = gain[:, 0, 0].ravel(), offset[:, 0, 0].ravel()
    assert stats.kstest((gain - 0.8) / 0.4, "uniform").pvalue > 1e-3
    assert stats.kstest(offset + 0.5, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(gain, offset)[0, 1]) < 0.15


def test_intensity_without_jitter_changes_nothing() -> None:
    config = AugmentConfig(gain_jitter=0.0, offset_jitter=0.0)
    before = images(2)
    clean, noisy = augment.intensity(before, before + 1, config, SEED)
    assert clean is before
    assert np.array_equal(noisy, before + 1)


def constant_images(n: int, side_px: int = 16) -> tf.Tensor:
    """Image i is i everywhere, so that a pixel tells where it came from."""
    return tf.tile(tf.reshape(tf.range(float(n)), (n, 1, 1, 1)), (1, side_px, side_px, 2))


@ways
@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_cutmix_targets_are_exactly_proportional_to_pixels(run, alpha) -> None:
    n = 32
    config = AugmentConfig(cutmix_probability=1.0, cutmix_alpha=alpha)
    clean = constant_images(n)
    new_clean, new_noisy, target = run(
        lambda x, y, t: augment.cutmix(x, y, t, config, SEED), clean, clean + 100, tf.eye(n)
    )
    np.testing.assert_array_equal(new_noisy, new_clean + 100)  # the same windows
    np.testing.assert_array_equal(new_clean[..., 0], new_clean[..., 1])  # whole pixels
    pixels = new_clean[..., 0].reshape(n, -1).astype(int)
    counted = np.stack([np.bincount(row, minlength=n) / row.size for row in pixels])
    np.testing.assert_allclose(target, counted, atol=1e-7)
    assert (np.count_nonzero(counted, axis=1) <= 2).all()
    assert (np.diag(counted) < 1).any()
    # What was pasted is one rectangle.
    for i, image in enumerate(new_clean[..., 0]):
        rows, columns = np.nonzero(image != i)
        if rows.size:
            assert rows.size == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)


def test_cutmix_mixes_the_configured_share_of_minibatches() -> None:
    config = AugmentConfig(cutmix_probability=0.3)
    clean, target = constant_images(4), tf.eye(4)
    mix = tf.function(lambda seed: augment.cutmix(clean, clean, target, config, seed)[2])
    mixed = [not np.array_equal(mix(tf.constant([0, i])), target) for i in range(300)]
    assert np.mean(mixed) == pytest.approx(0.3, abs=0.08)


def test_cutmix_never_pairs_an_image_with_itself_and_uses_all_partners() -> None:
    config = AugmentConfig(cutmix_probability=1.0)
    clean, target = constant_images(4), tf.eye(4)
    mix = tf.function(lambda seed: augment.cutmix(clean, clean, target, config, seed)[2])
    summed = sum(mix(tf.constant([0, i])).numpy() for i in range(100))
    assert (summed > 0).all()


def test_cutmix_of_a_single_image_or_with_probability_zero_changes_nothing() -> None:
    one = augment.cutmix(
        constant_images(1),
        constant_images(1),
        tf.eye(1),
        AugmentConfig(cutmix_probability=1.0),
        SEED,
    )
    assert np.array_equal(one[2], tf.eye(1))
    off = AugmentConfig(cutmix_probability=0.0)
    many = augment.cutmix(constant_images(3), constant_images(3), tf.eye(3), off, SEED)
    assert np.array_equal(many[0], constant_images(3))


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0, 3.0, 20.0])
def test_symmetric_beta_has_scipys_distribution(alpha: float) -> None:
    draws = augment.symmetric_beta((20_000,), alpha, SEED).numpy().astype(np.float64)
    assert ((draws >= 0) & (draws <= 1)).all()
    # float32 cannot tell values this near 0 or 1 apart; alpha 0.1 has a fifth of its mass there.
    draws = np.clip(draws, 1e-6, 1 - 1e-6)
    grid = np.linspace(1e-4, 1 - 1e-4, 201)
    observed = np.searchsorted(np.sort(draws), grid) / draws.size
    assert np.abs(observed - stats.beta.cdf(grid, alpha, alpha)).max() < 1.95 / np.sqrt(draws.size)


@pytest.mark.parametrize(
    "fields",
    [
        {"gain_jitter": 1.5},
        {"offset_jitter": -0.1},
        {"cutmix_probability": 1.2},
        {"cutmix_alpha": 0.0},
    ],
)
def test_ranges_that_make_no_sense_are_refused(fields: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(fields))):
        AugmentConfig(**fields)
