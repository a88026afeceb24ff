"""Noise: distributions against SciPy, configured shares, determinism, XLA."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from trainer import noise
from trainer.config import NoiseConfig
from trainer.presets import preset
from trainer.strict import ConfigError

SEED = tf.constant([3, 14])
QUIET = NoiseConfig(
    peak_photons_low=1e6,
    peak_photons_high=1e6,
    read_sigma_high_grey_levels=0.0,
    impulse_share=0.0,
    quantise_share=0.0,
    identity_share=0.0,
)


def flat(level: float, n_images: int = 4, side_px: int = 64) -> tf.Tensor:
    return tf.fill((n_images, side_px, side_px, 6), float(level))


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.4, 1.0, 2.9, 3.0, 5.0, 12.0, 60.0, 1000.0])
def test_poisson_has_scipys_distribution(rate: float) -> None:
    n = 400_000
    counts = noise.poisson(tf.fill((n,), rate), SEED).numpy()
    assert np.array_equal(counts, np.round(counts))
    assert counts.min() >= 0
    error = np.sqrt(rate / n)
    assert abs(counts.mean() - rate) <= 5 * error + 1e-3 * rate
    assert counts.var() == pytest.approx(rate, rel=0.01, abs=1e-9)
    observed = np.bincount(counts.astype(int))
    expected = stats.poisson.pmf(np.arange(len(observed)), rate)
    total_variation = abs(observed / n - expected).sum() / 2
    # 0.12 % is what the expansion may be off; the rest is what n draws scatter.
    scatter = np.sqrt(expected * (1 - expected) / n).sum() / 2
    assert total_variation <= 0.0012 + scatter


def test_poisson_grows_with_the_rate_at_every_draw() -> None:
    rates = tf.constant(np.repeat(np.linspace(0, 12, 49)[:, None], 500, 1), tf.float32)
    # One normal draw for all rates: take the same seed row by row.
    counts = tf.map_fn(lambda rate: noise.poisson(rate, SEED), rates).numpy()
    # The two methods meet at rate 3; a seam would show as counts that fall.
    assert (np.diff(counts, axis=0) >= 0).mean() > 0.999
    assert np.diff(counts, axis=0).min() >= -1


@pytest.mark.parametrize(("level", "peak", "sigma"), [(6, 60, 10), (100, 60, 10), (255, 15, 0)])
def test_protocol_noise_has_the_variance_of_its_formula(level, peak, sigma) -> None:
    noisy = noise.protocol_noise(flat(level), peak, sigma, SEED).numpy()
    assert noisy.mean() == pytest.approx(level, rel=0.02)
    assert noisy.var() == pytest.approx(255 / peak * level + sigma**2, rel=0.02)
    if level < 10:
        assert noisy.min() < 0  # unclipped


def test_protocol_noise_is_reproducible_and_seeded() -> None:
    first = noise.protocol_noise(flat(50), 60, 10, SEED)
    assert np.array_equal(first, noise.protocol_noise(flat(50), 60, 10, SEED))
    other = noise.protocol_noise(flat(50), 60, 10, tf.constant([3, 15]))
    assert np.mean(first == other) < 0.05


def test_disabled_noise_returns_the_image() -> None:
    raw = tf.cast(tf.random.stateless_uniform((2, 8, 8, 6), SEED, 0, 256, tf.int32), tf.uint8)
    same = noise.add_noise(raw, NoiseConfig(enabled=False), SEED)
    assert same.dtype == tf.float32
    assert np.array_equal(same, raw)


def test_peak_photons_are_log_uniform() -> None:
    config = dataclasses.replace(QUIET, peak_photons_low=10.0, peak_photons_high=1000.0)
    noisy = noise.add_noise(flat(200, 400, 32), config, SEED).numpy()
    peaks = 255 * 200 / noisy.var(axis=(1, 2, 3))
    # Each variance is estimated from 6,144 values: 2 % scatter, hence the coarse test.
    log_share = (np.log10(peaks) - 1) / 2
    assert stats.kstest(log_share, "uniform").pvalue > 1e-3


def test_read_sigma_is_uniform() -> None:
    config = dataclasses.replace(
        QUIET, read_sigma_low_grey_levels=10.0, read_sigma_high_grey_levels=50.0
    )
    noisy = noise.add_noise(flat(0, 400, 32), config, SEED).numpy()
    sigma_share = (noisy.std(axis=(1, 2, 3)) - 10) / 40
    assert stats.kstest(sigma_share, "uniform").pvalue > 1e-3


def test_impulses_have_density_and_both_polarities() -> None:
    config = dataclasses.replace(
        QUIET, impulse_share=0.5, impulse_density_low=0.1, impulse_density_high=0.1
    )
    noisy = noise.add_noise(flat(100, 400, 16), config, SEED).numpy()
    salt, pepper = noisy == 255, noisy == 0
    density = (salt | pepper).mean(axis=(1, 2, 3))
    hit = density > 0
    assert hit.mean() == pytest.approx(0.5, abs=0.1)
    assert density[hit].mean() == pytest.approx(0.1, rel=0.03)
    salt_share = salt.mean(axis=(1, 2, 3))[hit] / density[hit]
    assert stats.kstest(salt_share, "uniform").pvalue > 1e-3


def test_impulses_strike_channels_independently() -> None:
    config = dataclasses.replace(
        QUIET, impulse_share=1.0, impulse_density_low=0.2, impulse_density_high=0.2
    )
    noisy = noise.add_noise(flat(100, 64, 32), config, SEED).numpy()
    struck = (noisy == 255) | (noisy == 0)
    assert (struck[..., 0] & struck[..., 1]).mean() == pytest.approx(0.04, rel=0.1)


def test_quantise_and_identity_shares() -> None:
    config = NoiseConfig(quantise_share=0.4, identity_share=0.2)
    noisy = noise.add_noise(flat(20.5, 500, 16), config, SEED).numpy()
    identity = (noisy == 20.5).all(axis=(1, 2, 3))
    whole = (noisy == np.round(noisy)).all(axis=(1, 2, 3))
    assert identity.mean() == pytest.approx(0.2, abs=0.06)
    assert whole.mean() == pytest.approx(0.4 * 0.8, abs=0.07)
    assert noisy[whole].min() >= 0
    assert noisy[whole].max() <= 255
    assert noisy[~whole & ~identity].min() < 0


def test_the_same_inside_a_function() -> None:
    config = preset("tiny").noise
    raw = tf.random.stateless_uniform((8, 16, 16, 6), SEED, 0.0, 255.0)
    eager = noise.add_noise(raw, config, SEED).numpy()
    compiled = tf.function(noise.add_noise)(raw, config, SEED).numpy()
    # A count may tip over at a rounding; that moves a pixel by one photon, no further.
    assert np.mean(np.abs(eager - compiled) > 1e-2) < 1e-3


def test_xla_compiles_it_to_the_same_distribution() -> None:
    compiled = tf.function(noise.protocol_noise, jit_compile=True)
    noisy = compiled(flat(40), 15.0, 5.0, SEED).numpy()
    assert noisy.mean() == pytest.approx(40, rel=0.01)
    assert noisy.var() == pytest.approx(255 / 15 * 40 + 25, rel=0.02)
    everything = tf.function(noise.add_noise, jit_compile=True)
    noisy = everything(flat(20.5, 200, 8), NoiseConfig(identity_share=0.2), SEED).numpy()
    assert (noisy == 20.5).all(axis=(1, 2, 3)).mean() == pytest.approx(0.2, abs=0.08)
    counts = tf.function(noise.poisson, jit_compile=True)(tf.fill((100_000,), 1.5), SEED).numpy()
    observed = np.bincount(counts.astype(int)) / counts.size
    expected = stats.poisson.pmf(np.arange(len(observed)), 1.5)
    assert np.abs(observed - expected).max() < 0.006


def test_the_same_in_tf_data() -> None:
    config = preset("tiny").noise
    raw = flat(30, 4, 16)
    dataset = tf.data.Dataset.from_tensors(raw).map(lambda x: noise.add_noise(x, config, SEED))
    (mapped,) = dataset
    assert mapped.shape == raw.shape
    np.testing.assert_allclose(mapped, noise.add_noise(raw, config, SEED), atol=1e-3)


@pytest.mark.parametrize(
    "fields",
    [
        {"impulse_density_low": -0.1},
        {"impulse_density_low": 0.5, "impulse_density_high": 0.1},
        {"impulse_density_high": 1.5},
        {"peak_photons_low": 0.0},
    ],
)
def test_ranges_that_make_no_sense_are_refused(fields: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(fields)).rsplit("_", 1)[0]):
        NoiseConfig(**fields)


def test_impulse_density_may_start_at_zero() -> None:
    config = dataclasses.replace(
        QUIET, impulse_share=1.0, impulse_density_low=0.0, impulse_density_high=0.2
    )
    noisy = noise.add_noise(flat(100, 300, 32), config, SEED).numpy()
    density = ((noisy == 255) | (noisy == 0)).mean(axis=(1, 2, 3))
    assert stats.kstest(density / 0.2, "uniform").pvalue > 1e-3


def test_kinds_of_noise_may_be_missing() -> None:
    flat = tf.fill((400, 16, 16, 1), 100.0)
    config = NoiseConfig(
        peak_photons_low=50.0,
        peak_photons_high=50.0,
        read_sigma_low_grey_levels=20.0,
        read_sigma_high_grey_levels=20.0,
        shot_share=0.5,
        read_share=0.5,
        impulse_share=0.0,
        quantise_share=0.0,
        identity_share=0.0,
    )
    variance = noise.add_noise(flat, config, tf.constant([1, 2])).numpy().var(axis=(1, 2, 3))
    shot, read = 255 / 50 * 100, 20.0**2
    kinds = np.array([0.0, shot, read, shot + read])
    nearest = kinds[np.abs(variance[:, None] - kinds).argmin(axis=1)]
    for kind in kinds:
        assert np.mean(nearest == kind) == pytest.approx(0.25, abs=0.1)
    np.testing.assert_allclose(variance[nearest == 0], 0)


def test_correlated_noise_keeps_its_variance_and_follows_its_neighbours() -> None:
    flat = tf.fill((60, 64, 64, 1), 100.0)
    config = NoiseConfig(
        shot_share=0.0,
        read_sigma_low_grey_levels=10.0,
        read_sigma_high_grey_levels=10.0,
        correlated_share=1.0,
        impulse_share=0.0,
        quantise_share=0.0,
        identity_share=0.0,
    )
    added = noise.add_noise(flat, config, tf.constant([3, 4])).numpy()[..., 0] - 100
    np.testing.assert_allclose(added.std(axis=(1, 2)), 10, rtol=0.1)
    lag_1 = (added[:, :, 1:] * added[:, :, :-1]).mean(axis=(1, 2)) / added.var(axis=(1, 2))
    # A kernel (w, 1, w) gives 2w / (1 + 2w^2); w is drawn evenly from 0..0.35.
    assert lag_1.max() == pytest.approx(2 * 0.35 / (1 + 2 * 0.35**2), abs=0.08)
    assert lag_1.min() < 0.1


def test_a_pedestal_brings_no_shot_noise() -> None:
    flat = tf.fill((300, 16, 16, 1), 60.0)
    config = NoiseConfig(
        peak_photons_low=255.0,
        peak_photons_high=255.0,
        read_share=0.0,
        pedestal_share=1.0,
        impulse_share=0.0,
        quantise_share=0.0,
        identity_share=0.0,
    )
    variance = noise.add_noise(flat, config, tf.constant([5, 6])).numpy().var(axis=(1, 2, 3))
    # The pedestal is drawn evenly from 0..60, one grey level of light has variance 1.
    assert variance.mean() == pytest.approx(30, rel=0.1)
    assert variance.min() < 5 and variance.max() > 50
