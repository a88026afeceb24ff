"""What clipping does to noise, against SciPy, and whether it is taken off."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

from trainer.filters.clipping import clipped_moments, declip, is_clipped
from trainer.filters.noise_estimate import NoiseModel


def scipys_moments(level: float, sigma: float) -> tuple[float, float]:
    """Point masses at both ends and SciPy's truncated normal in between."""
    a, b = (0 - level) / sigma, (255 - level) / sigma
    below, above = stats.norm.cdf(a), stats.norm.sf(b)
    inside = 1 - below - above
    if inside < 1e-12:
        mean = 255 * above
        return mean, 255**2 * above - mean**2
    mean_in, variance_in = stats.truncnorm.stats(a, b, level, sigma, moments="mv")
    mean = inside * mean_in + 255 * above
    second = inside * (variance_in + mean_in**2) + 255**2 * above
    return mean, second - mean**2


@pytest.mark.parametrize("sigma", [0.5, 10.0, 25.0, 50.0, 120.0])
@pytest.mark.parametrize("level", [0.0, 6.0, 50.0, 127.0, 240.0, 255.0])
def test_moments_are_scipys(level: float, sigma: float) -> None:
    mean, variance = clipped_moments(np.array(level), sigma)
    expected_mean, expected_variance = scipys_moments(level, sigma)
    assert mean == pytest.approx(expected_mean, abs=1e-6)
    assert variance == pytest.approx(expected_variance, rel=1e-6, abs=1e-6)


def test_moments_are_the_integral() -> None:
    def integrand(z: float) -> float:
        return float(np.clip(30 + 25 * z, 0, 255) * stats.norm.pdf(z))

    mean, _ = clipped_moments(np.array(30.0), 25.0)
    assert mean == pytest.approx(integrate.quad(integrand, -9, 9, points=[-1.2])[0], abs=1e-6)


def test_the_published_lift_of_a_dark_background() -> None:
    # A background of 6 is lifted by 1.7 / 7.3 / 17 grey levels at sigma 10 / 25 / 50.
    lifts = [clipped_moments(np.array(6.0), s)[0] - 6 for s in (10.0, 25.0, 50.0)]
    np.testing.assert_allclose(lifts, [1.7, 7.3, 17.1], atol=0.1)


def test_without_noise_nothing_happens() -> None:
    mean, variance = clipped_moments(np.array([0.0, 7.0, 255.0]), 0.0)
    np.testing.assert_allclose(mean, [0, 7, 255], atol=1e-6)
    np.testing.assert_allclose(variance, 0, atol=1e-6)


@pytest.mark.parametrize("gain", [0.0, 2.0])
def test_declipping_gives_the_level_back(gain: float) -> None:
    noise = NoiseModel(gain, 25.0, clipped=True)
    level = np.linspace(1, 250, 60)
    mean, _ = clipped_moments(level, noise.sigma_at(level))
    np.testing.assert_allclose(declip(mean, noise), level, atol=0.1)
    assert np.abs(mean - level).max() > 5
    assert declip(np.array([0.0, 255.0]), noise).tolist() == [0.0, 255.0]


def test_clipped_images_are_known_by_their_ends() -> None:
    rng = np.random.default_rng(0)
    noisy = rng.normal(10, 20, (64, 64))
    assert is_clipped(np.clip(np.round(noisy), 0, 255))
    assert not is_clipped(noisy)
    assert not is_clipped(np.clip(np.round(noisy + 120), 0, 255))  # never touches an end
    assert not is_clipped(np.clip(noisy, 0, 255))  # not from a camera: not whole levels
