"""Noise of a fluorescence microscope, injected in raw grey levels (0..255).

y = alpha * Poisson(x / alpha) + N(0, sigma^2), then impulses: shot noise of the light,
read noise of the camera, dead and hot pixels. ``alpha = 255 / peak_photons`` is the number
of grey levels that one photon makes. It must be injected before normalisation: its
variance depends on the raw grey level, and a normalised image has lost that.

All draws are stateless: the same seed gives the same noise, as long as it is the same kind of
device (XLA's generator gives other numbers than TensorFlow's own). Shapes stay static, and no
op lacks an XLA kernel: ``tf.random.stateless_poisson`` does, so a TPU could not run it.
"""

from __future__ import annotations

import math

import tensorflow as tf

from trainer.config import NoiseConfig
from trainer.schema import GREY_LEVELS

MAX_GREY_LEVEL = float(GREY_LEVELS - 1)

# Below this rate the Poisson distribution is inverted term by term; from here on the
# expansion of its quantile is within 0.12 % total variation of the truth.
_EXPANSION_FROM_RATE = 3.0
# P(X > 12 | rate 3) = 1.6e-5: what is cut off is too rare to be seen.
_INVERSION_TERMS = 12


def add_noise(raw_BHWC: tf.Tensor, config: NoiseConfig, seed: tf.Tensor) -> tf.Tensor:
    """A noisy copy of each image, every image with a noise level of its own.

    Peak photons are drawn log-uniformly, the read sigma uniformly; ``impulse_share`` of the
    images get impulses of log-uniform density, of which a uniformly drawn share is salt.
    ``quantise_share`` of the images are rounded and clipped to 0..255 as a camera does; the
    rest stay unclipped, because clipping lifts a dark background, and a network that sees
    only that learns the bias. ``identity_share`` of the images stay as they are.

    Parameters
    ----------
    raw_BHWC
        Grey levels, 0..255.
    config
        Ranges of the draws.
    seed
        int32 [2].

    Returns
    -------
    tf.Tensor
        float32 grey levels of the same shape; unclipped images may leave 0..255.
    """
    raw_BHWC = tf.cast(raw_BHWC, tf.float32)
    if not config.enabled:
        return raw_BHWC
    seeds = tf.random.experimental.stateless_split(seed, 4)
    draws = _draw_levels(tf.shape(raw_BHWC)[0], config, seeds[0])
    if _has_kinds(config):
        noisy_BHWC = _kinds_of_noise(raw_BHWC, draws, config, seeds)
    else:
        noisy_BHWC = _shot_and_read(raw_BHWC, draws["peak"], draws["sigma"], seeds[1], seeds[2])
    noisy_BHWC = _impulses(noisy_BHWC, draws["density"], draws["salt_share"], seeds[3])
    quantised_BHWC = tf.clip_by_value(tf.round(noisy_BHWC), 0.0, MAX_GREY_LEVEL)
    noisy_BHWC = tf.where(draws["quantise"], quantised_BHWC, noisy_BHWC)
    return tf.where(draws["identity"], raw_BHWC, noisy_BHWC)


def protocol_noise(
    raw_BHWC: tf.Tensor,
    peak_photons: float,
    read_sigma_grey_levels: float,
    seed: tf.Tensor,
) -> tf.Tensor:
    """Shot and read noise of one fixed level, for measuring a denoiser.

    Unclipped and not rounded, so that a denoiser cannot score by undoing the bias that
    clipping puts on a dark background.

    Parameters
    ----------
    raw_BHWC
        Grey levels, 0..255.
    peak_photons
        Photons at grey level 255.
    read_sigma_grey_levels
        Standard deviation of the read noise.
    seed
        int32 [2].

    Returns
    -------
    tf.Tensor
        float32 grey levels of the same shape.
    """
    seeds = tf.random.experimental.stateless_split(seed, 2)
    raw_BHWC = tf.cast(raw_BHWC, tf.float32)
    peak = tf.constant(peak_photons, tf.float32)
    sigma = tf.constant(read_sigma_grey_levels, tf.float32)
    return _shot_and_read(raw_BHWC, peak, sigma, seeds[0], seeds[1])


def fixed_noise(
    raw_BHWC: tf.Tensor,
    seed: tf.Tensor,
    *,
    peak_photons: float = 0.0,
    read_sigma_grey_levels: float = 0.0,
    impulse_density: float = 0.0,
    salt_share: float = 0.5,
    quantise: bool = False,
) -> tf.Tensor:
    """Noise of one known level, by the same draws as training's: for benchmarks.

    Parameters
    ----------
    raw_BHWC
        Grey levels, 0..255.
    seed
        int32 [2].
    peak_photons
        Photons at grey level 255; 0 leaves shot noise out.
    read_sigma_grey_levels
        Standard deviation of the read noise.
    impulse_density, salt_share
        Share (0..1) of pixels replaced, and the share of those that become 255.
    quantise
        Round and clip to 0..255, as a camera does.

    Returns
    -------
    tf.Tensor
        float32 grey levels of the same shape; outside 0..255 too unless ``quantise`` is set.
    """
    seeds = tf.random.experimental.stateless_split(seed, 3)
    noisy_BHWC = tf.cast(raw_BHWC, tf.float32)
    if peak_photons > 0:
        rate = peak_photons / MAX_GREY_LEVEL
        noisy_BHWC = poisson(tf.maximum(noisy_BHWC, 0.0) * rate, seeds[0]) / rate
    if read_sigma_grey_levels > 0:
        noisy_BHWC += read_sigma_grey_levels * _normal(tf.shape(noisy_BHWC), seeds[1])
    if impulse_density > 0:
        density, share = (tf.constant(x, tf.float32) for x in (impulse_density, salt_share))
        noisy_BHWC = _impulses(noisy_BHWC, density, share, seeds[2])
    if quantise:
        noisy_BHWC = tf.clip_by_value(tf.round(noisy_BHWC), 0.0, MAX_GREY_LEVEL)
    return noisy_BHWC


def poisson(rate: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """One Poisson count for each rate, by inverting the distribution function.

    From rate 3 on, the quantile is expanded around the normal one (Giles, "Algorithm 955:
    approximation of the inverse Poisson cumulative distribution function", ACM TOMS 2016,
    eq. 9, third order); below, the distribution function is summed term by term. Both use
    the same normal draw, so the count is a monotone function of it.

    Parameters
    ----------
    rate
        Mean counts, >= 0, any shape.
    seed
        int32 [2].

    Returns
    -------
    tf.Tensor
        float32 whole numbers of the shape of ``rate``.
    """
    normal = _normal(tf.shape(rate), seed)
    return tf.where(
        rate < _EXPANSION_FROM_RATE,
        _poisson_by_inversion(tf.minimum(rate, _EXPANSION_FROM_RATE), normal),
        _poisson_by_expansion(tf.maximum(rate, _EXPANSION_FROM_RATE), normal),
    )


def _poisson_by_expansion(rate: tf.Tensor, normal: tf.Tensor) -> tf.Tensor:
    inverse_root = tf.math.rsqrt(rate)
    square = normal * normal
    first = 1 / 3 + square / 6
    second = -normal * (1 / 36 + square / 72)
    third = -8 / 405 + square * (7 / 810 + square / 270)
    quantile = rate + normal / inverse_root + first
    quantile += inverse_root * (second + inverse_root * third)
    return tf.maximum(tf.floor(quantile), 0.0)


def _poisson_by_inversion(rate: tf.Tensor, normal: tf.Tensor) -> tf.Tensor:
    # Compare u * exp(rate) with the partial sums of rate^k / k!.
    scaled_uniform = 0.5 * tf.math.erfc(normal * -math.sqrt(0.5)) * tf.exp(rate)
    term = tf.ones_like(rate)
    partial_sum = term
    count = tf.cast(scaled_uniform > partial_sum, tf.float32)
    for k in range(1, _INVERSION_TERMS):
        term = term * (rate * (1.0 / k))
        partial_sum += term
        count += tf.cast(scaled_uniform > partial_sum, tf.float32)
    return count


def _shot_and_read(
    raw_BHWC: tf.Tensor,
    peak_photons: tf.Tensor,
    sigma_grey_levels: tf.Tensor,
    shot_seed: tf.Tensor,
    read_seed: tf.Tensor,
) -> tf.Tensor:
    photons_per_grey_level = peak_photons / MAX_GREY_LEVEL
    photons_BHWC = poisson(tf.maximum(raw_BHWC, 0.0) * photons_per_grey_level, shot_seed)
    read_BHWC = _normal(tf.shape(raw_BHWC), read_seed)
    return photons_BHWC / photons_per_grey_level + sigma_grey_levels * read_BHWC


def _has_kinds(config: NoiseConfig) -> bool:
    """Whether images differ in more than their levels of shot and read noise and impulses."""
    whole = config.shot_share == 1.0 and config.read_share == 1.0
    return not whole or config.correlated_share > 0.0 or config.pedestal_share > 0.0


def _kinds_of_noise(
    raw_BHWC: tf.Tensor, draws: dict[str, tf.Tensor], config: NoiseConfig, seeds: tf.Tensor
) -> tf.Tensor:
    """Shot and read noise where some images lack either, have a pedestal or correlated noise."""
    seeds_of_kinds = tf.random.experimental.stateless_split(seeds[0], 2)
    uniform = tf.unstack(_uniform((7, tf.shape(raw_BHWC)[0], 1, 1, 1), seeds_of_kinds[1]))
    darkest_B11C = tf.reduce_min(raw_BHWC, (1, 2), keepdims=True)
    pedestal_B11C = tf.where(uniform[0] < config.pedestal_share, uniform[1] * darkest_B11C, 0.0)
    light_BHWC = tf.maximum(raw_BHWC - pedestal_B11C, 0.0)
    photons_per_grey_level = draws["peak"] / MAX_GREY_LEVEL
    shot_BHWC = poisson(light_BHWC * photons_per_grey_level, seeds[1]) / photons_per_grey_level
    shot_BHWC = tf.where(uniform[2] < config.shot_share, shot_BHWC - light_BHWC, 0.0)
    sigma = tf.where(uniform[3] < config.read_share, draws["sigma"], 0.0)
    noise_BHWC = shot_BHWC + sigma * _normal(tf.shape(raw_BHWC), seeds[2])
    across = tf.where(uniform[4] < config.correlated_share, uniform[5], 0.0)
    along = across * tf.where(uniform[6] < 0.5, 1.0, 2.0 * uniform[6] - 1.0)
    noise_BHWC = _smear(noise_BHWC, across * config.correlation_high, 2)
    noise_BHWC = _smear(noise_BHWC, along * config.correlation_high, 1)
    return raw_BHWC + noise_BHWC


def _smear(noise_BHWC: tf.Tensor, weight: tf.Tensor, axis: int) -> tf.Tensor:
    """Add ``weight`` of both neighbours along an axis (the other end's at an edge)."""
    both_BHWC = tf.roll(noise_BHWC, 1, axis) + tf.roll(noise_BHWC, -1, axis)
    # The variance of white noise stays: 1 + 2 weight^2 taps' power is divided out.
    return (noise_BHWC + weight * both_BHWC) * tf.math.rsqrt(1.0 + 2.0 * tf.square(weight))


def _impulses(
    image_BHWC: tf.Tensor, density: tf.Tensor, salt_share: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    """Replace ``density`` of the pixels, each channel for itself, by 255 (salt) or 0."""
    uniform_BHWC = _uniform(tf.shape(image_BHWC), seed)
    salt_or_pepper = tf.where(uniform_BHWC < density * salt_share, MAX_GREY_LEVEL, 0.0)
    return tf.where(uniform_BHWC < density, salt_or_pepper, image_BHWC)


def _draw_levels(n_images: tf.Tensor, config: NoiseConfig, seed: tf.Tensor) -> dict[str, tf.Tensor]:
    """One noise level an image, each [B, 1, 1, 1] so that it broadcasts over pixels."""
    uniform = tf.unstack(_uniform((7, n_images, 1, 1, 1), seed))
    density = _log_uniform(uniform[3], config.impulse_density_low, config.impulse_density_high)
    low_sigma, high_sigma = config.read_sigma_low_grey_levels, config.read_sigma_high_grey_levels
    return {
        "peak": _log_uniform(uniform[0], config.peak_photons_low, config.peak_photons_high),
        "sigma": low_sigma + uniform[1] * (high_sigma - low_sigma),
        "density": tf.where(uniform[2] < config.impulse_share, density, 0.0),
        "salt_share": uniform[4],
        "quantise": uniform[5] < config.quantise_share,
        "identity": uniform[6] < config.identity_share,
    }


def _log_uniform(uniform: tf.Tensor, low: float, high: float) -> tf.Tensor:
    if low <= 0.0:  # zero has no logarithm: spread evenly instead
        return uniform * high
    return low * tf.exp(uniform * math.log(high / low))


def _normal(shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    return tf.random.stateless_normal(shape, seed)


def _uniform(shape: tf.Tensor | tuple, seed: tf.Tensor) -> tf.Tensor:
    return tf.random.stateless_uniform(shape, seed)
