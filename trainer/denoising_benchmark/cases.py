"""The noise of the benchmark: every kind at every level, from the injection that training uses."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

#: What the camera adds in ``mixed``: shot noise of this peak, read noise, and impulses.
MIXED_PEAK_PHOTONS, MIXED_SIGMA_GREY_LEVELS, MIXED_DENSITY = 60.0, 10.0, 0.02


@dataclass(frozen=True)
class NoiseCase:
    """One kind of noise at one level. What is 0 is left out."""

    #: ``gaussian``, ``poisson``, ``impulse``, ``mixed`` or ``none``.
    kind: str
    #: Photons at grey level 255.
    peak_photons: float = 0.0
    #: Standard deviation of the read noise, grey levels.
    sigma_grey_levels: float = 0.0
    #: Share of pixels replaced by 0 or 255 in equal parts, 0..1.
    impulse_density: float = 0.0
    #: Rounded and clipped to 0..255, as a camera does.
    clipped: bool = False

    @property
    def name(self) -> str:
        """Such as ``gaussian 25 clipped``, ``poisson 60``, ``impulse 10%``."""
        level = {
            "gaussian": f"{self.sigma_grey_levels:g}",
            "poisson": f"{self.peak_photons:g}",
            "impulse": f"{100 * self.impulse_density:g}%",
        }.get(self.kind, "")
        return " ".join(filter(None, (self.kind, level, "clipped" if self.clipped else "")))

    def corrupt(self, clean_BHWC: np.ndarray, key: str, seed: int = 0) -> np.ndarray:
        """A noisy copy, float32 grey levels.

        Parameters
        ----------
        clean_BHWC
            Grey levels, 0..255.
        key, seed
            Name of what is corrupted, and the run's seed: the same two give the same noise.
        """
        import tensorflow as tf

        from trainer.noise import fixed_noise

        number = zlib.crc32(f"{self.name}\x1f{key}".encode()) & 0x7FFFFFFF
        noisy: np.ndarray = fixed_noise(
            tf.constant(clean_BHWC, tf.float32),
            tf.constant([seed, number], tf.int32),
            peak_photons=self.peak_photons,
            read_sigma_grey_levels=self.sigma_grey_levels,
            impulse_density=self.impulse_density,
            quantise=self.clipped,
        ).numpy()
        return noisy


def gaussian(sigma_grey_levels: float, clipped: bool) -> NoiseCase:
    """Read noise alone."""
    return NoiseCase("gaussian", sigma_grey_levels=sigma_grey_levels, clipped=clipped)


def poisson(peak_photons: float) -> NoiseCase:
    """Shot noise alone; never negative, not rounded."""
    return NoiseCase("poisson", peak_photons=peak_photons)


def impulse(density: float) -> NoiseCase:
    """Salt and pepper."""
    return NoiseCase("impulse", impulse_density=density)


def mixed(clipped: bool) -> NoiseCase:
    """Shot noise, read noise and impulses together."""
    return NoiseCase(
        "mixed", MIXED_PEAK_PHOTONS, MIXED_SIGMA_GREY_LEVELS, MIXED_DENSITY, clipped=clipped
    )


NO_NOISE = NoiseCase("none")

#: All of the benchmark, in the order of its table.
ALL_CASES: tuple[NoiseCase, ...] = (
    *(gaussian(sigma, clipped) for clipped in (False, True) for sigma in (10.0, 25.0, 50.0)),
    *(poisson(peak) for peak in (255.0, 60.0, 15.0)),
    *(impulse(density) for density in (0.02, 0.1, 0.3)),
    *(mixed(clipped) for clipped in (False, True)),
    NO_NOISE,
)
