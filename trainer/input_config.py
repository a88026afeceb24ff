"""What happens to an image before the network sees it: normaliser, noise, augmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainer.strict import ConfigError

NormalizerMethod = Literal[
    "plate_mean_std",
    "plate_median_mad",
    "plate_percentiles",
    "plate_controls",
    "experiment_mean_std",
    "image_mean_std",
    "none",
]


def require(condition: bool, message: str) -> None:
    """Raise :class:`ConfigError` with this message unless the condition holds."""
    if not condition:
        raise ConfigError(message)


@dataclass(frozen=True)
class NormalizerConfig:
    """How grey levels become model input: ``(grey - center) / scale`` per channel."""

    method: NormalizerMethod = "plate_mean_std"
    #: Percentiles (0..100) that ``plate_percentiles`` maps to 0 and 1.
    low_percentile: float = 1.0
    high_percentile: float = 99.0
    #: ``plate_controls``: the whole plate weighs as much as this many control wells, so
    #: a plate with one control well (most of RxRx1) is pulled towards its plate.
    control_shrinkage_wells: float = 4.0
    #: ``plate_controls`` on a plate without controls: use the whole plate, or stop.
    without_controls: Literal["plate", "error"] = "plate"
    #: A plate the table does not hold: its own image's statistics, or an error.
    unknown_plate: Literal["image", "error"] = "image"
    #: Smallest scale, grey levels; keeps a constant channel finite.
    scale_floor_grey_levels: float = 0.5

    def __post_init__(self) -> None:
        require(
            0 <= self.low_percentile < self.high_percentile <= 100,
            f"percentiles must satisfy 0 <= low < high <= 100; got "
            f"{self.low_percentile} and {self.high_percentile}",
        )
        require(self.scale_floor_grey_levels > 0, "scale_floor_grey_levels must be positive")
        require(self.control_shrinkage_wells >= 0, "control_shrinkage_wells must be >= 0")


@dataclass(frozen=True)
class NoiseConfig:
    """Noise injected in raw grey levels while training (see ``trainer/noise.py``).

    y = alpha * Poisson(x / alpha) + N(0, sigma^2), then impulses of density p.
    """

    enabled: bool = True
    #: Peak photons at grey level 255, drawn log-uniformly.
    peak_photons_low: float = 10.0
    peak_photons_high: float = 1000.0
    #: Read-noise sigma, grey levels, drawn uniformly.
    read_sigma_low_grey_levels: float = 0.0
    read_sigma_high_grey_levels: float = 50.0
    #: Shares of images that get shot noise and read noise at all; below 1, images with one kind
    #: alone, or with impulses alone, occur too.
    shot_share: float = 1.0
    read_share: float = 1.0
    #: Share of images whose shot and read noise is smeared over neighbouring pixels, as scans
    #: and detectors do, and the largest weight of a neighbour beside the pixel's own 1.
    correlated_share: float = 0.0
    correlation_high: float = 0.35
    #: Share of images, part of whose darkest grey level is the camera's pedestal, not light,
    #: and brings no shot noise.
    pedestal_share: float = 0.0
    #: Share of images that get impulses, and their density (share of pixels).
    impulse_share: float = 0.5
    impulse_density_low: float = 0.001
    impulse_density_high: float = 0.3
    #: Share of images whose noisy grey levels are clipped to 0..255 and rounded.
    quantise_share: float = 0.5
    #: Share of images left as they are.
    identity_share: float = 0.05

    def __post_init__(self) -> None:
        require(
            0 < self.peak_photons_low <= self.peak_photons_high,
            "peak_photons_low must be positive and at most peak_photons_high",
        )
        require(
            0 <= self.read_sigma_low_grey_levels <= self.read_sigma_high_grey_levels,
            "read_sigma_low_grey_levels must be >= 0 and at most read_sigma_high_grey_levels",
        )
        for name in (
            "shot_share",
            "read_share",
            "correlated_share",
            "correlation_high",
            "pedestal_share",
            "impulse_share",
            "quantise_share",
            "identity_share",
            "impulse_density_high",
        ):
            require(0 <= getattr(self, name) <= 1, f"{name} must lie in 0..1")
        require(
            0 <= self.impulse_density_low <= self.impulse_density_high,
            "impulse_density_low must be >= 0 and at most impulse_density_high",
        )


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes to a training image, after normalisation."""

    flips: bool = True
    quarter_turns: bool = True
    #: Each channel becomes a*x + b: a in 1 +- gain, b in +- offset (normalised units).
    gain_jitter: float = 0.1
    offset_jitter: float = 0.1
    #: Probability that a minibatch is mixed by CutMix, and its Beta parameter.
    cutmix_probability: float = 0.5
    cutmix_alpha: float = 1.0

    def __post_init__(self) -> None:
        require(0 <= self.gain_jitter < 1, "gain_jitter must lie in 0..1, below 1")
        require(self.offset_jitter >= 0, "offset_jitter must be >= 0")
        require(0 <= self.cutmix_probability <= 1, "cutmix_probability must lie in 0..1")
        require(self.cutmix_alpha > 0, "cutmix_alpha must be positive")
