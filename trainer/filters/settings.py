"""The settings of every filter.

Strengths are what :func:`trainer.filters.tune.tune` found on training experiments of the
simulated screen, over Gaussian sigma 10, 25 and 50 and, for ``vst-nlm``, peaks of 255, 60, 15
(where values are within 0.05 dB of each other, the weakest). Two are not: the blur, of which 1 px
is usual and the benchmark tries 2 and 4 px as well, and ``bilateral``, whose 5.5 px gain 0.5 dB on
that smooth screen and lose 0.7 to 1.6 dB on real images.

Grey levels are those of an 8-bit image, 0..255: images of other depths are scaled first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainer.input_config import require


def _odd(value: int, name: str, least: int = 3) -> None:
    require(value >= least and value % 2 == 1, f"{name} must be odd and >= {least}; got {value}")


def _positive(value: float, name: str) -> None:
    require(value > 0, f"{name} must be positive; got {value}")


@dataclass(frozen=True)
class IdentitySettings:
    """Nothing to set."""


@dataclass(frozen=True)
class GaussianSettings:
    """A Gaussian blur."""

    #: Standard deviation of the kernel, px.
    sigma_px: float = 1.0
    #: Take off the bias that clipping put on the image.
    debias: bool = True

    def __post_init__(self) -> None:
        _positive(self.sigma_px, "sigma_px")


@dataclass(frozen=True)
class MedianSettings:
    """The median of a square window."""

    #: Side of the window, px, odd: 3 or 5 are usual.
    size_px: int = 3

    def __post_init__(self) -> None:
        _odd(self.size_px, "size_px")


@dataclass(frozen=True)
class SwitchingMedianSettings:
    """Pixels at either end of the range become the median of the others around them."""

    #: Largest window that is tried (3, 5, ... px), odd; a pixel with no other in it stays.
    max_size_px: int = 7
    #: Levels taken for pepper and for salt, grey levels.
    pepper_grey_level: float = 0.0
    salt_grey_level: float = 255.0

    def __post_init__(self) -> None:
        _odd(self.max_size_px, "max_size_px")
        require(
            self.pepper_grey_level < self.salt_grey_level,
            "pepper_grey_level must lie below salt_grey_level; "
            f"got {self.pepper_grey_level} and {self.salt_grey_level}",
        )


@dataclass(frozen=True)
class NonLocalMeansSettings:
    """Means over pixels whose patches look alike."""

    #: Side of the patches, px, odd.
    patch_size_px: int = 5
    #: Farthest patch looked at, px in each direction.
    search_distance_px: int = 6
    #: Cut-off of the patch distance, in standard deviations of the noise.
    cutoff_in_sigmas: float = 1.5
    #: Standard deviation of the noise, grey levels; 0 estimates it in each channel.
    sigma_grey_levels: float = 0.0
    #: Take off the bias that clipping put on the image.
    debias: bool = True

    def __post_init__(self) -> None:
        _odd(self.patch_size_px, "patch_size_px")
        require(self.search_distance_px >= 1, "search_distance_px must be >= 1")
        _positive(self.cutoff_in_sigmas, "cutoff_in_sigmas")
        require(self.sigma_grey_levels >= 0, "sigma_grey_levels must be >= 0")


@dataclass(frozen=True)
class StabilisedMeansSettings(NonLocalMeansSettings):
    """The same behind a transform that makes the standard deviation of the noise 1."""

    cutoff_in_sigmas: float = 0.8


@dataclass(frozen=True)
class BilateralSettings:
    """Means over near pixels of like grey level."""

    #: Standard deviation in space, px.
    sigma_px: float = 4.0
    #: Standard deviation in grey level, in standard deviations of the noise.
    range_in_sigmas: float = 8.0
    #: Standard deviation of the noise, grey levels; 0 estimates it in each channel.
    sigma_grey_levels: float = 0.0
    #: Take off the bias that clipping put on the image.
    debias: bool = True

    def __post_init__(self) -> None:
        _positive(self.sigma_px, "sigma_px")
        _positive(self.range_in_sigmas, "range_in_sigmas")
        require(self.sigma_grey_levels >= 0, "sigma_grey_levels must be >= 0")


@dataclass(frozen=True)
class TotalVariationSettings:
    """The image of least total variation that is still near (Chambolle 2004)."""

    #: Weight of the variation, in standard deviations of the noise.
    weight_in_sigmas: float = 4.5
    #: Most iterations.
    iterations: int = 100
    #: Standard deviation of the noise, grey levels; 0 estimates it in each channel.
    sigma_grey_levels: float = 0.0
    #: Take off the bias that clipping put on the image.
    debias: bool = True

    def __post_init__(self) -> None:
        _positive(self.weight_in_sigmas, "weight_in_sigmas")
        require(self.iterations >= 1, "iterations must be >= 1")
        require(self.sigma_grey_levels >= 0, "sigma_grey_levels must be >= 0")


@dataclass(frozen=True)
class WaveletSettings:
    """Soft thresholds on wavelet coefficients (BayesShrink, Chang et al. 2000)."""

    #: Name of the wavelet in PyWavelets.
    wavelet: str = "sym4"
    #: Levels of the transform, as far as the image is large enough for them.
    levels: int = 5
    #: Threshold's noise, in standard deviations of the estimated one.
    strength_in_sigmas: float = 1.5
    #: Standard deviation of the noise, grey levels; 0 estimates it in each channel.
    sigma_grey_levels: float = 0.0
    #: Take off the bias that clipping put on the image.
    debias: bool = True

    def __post_init__(self) -> None:
        _positive(self.strength_in_sigmas, "strength_in_sigmas")
        require(self.levels >= 1, f"levels must be >= 1; got {self.levels}")
        require(self.sigma_grey_levels >= 0, "sigma_grey_levels must be >= 0")


@dataclass(frozen=True)
class OutlierSettings:
    """Outliers of a 5 x 5 window become the median of the others around them."""

    #: Neighbours, in grey level, that a pixel is compared with; more than the impulses of one
    #: polarity in a window, or these are each other's neighbours.
    neighbours: int = 12
    #: Outlier factor above which a pixel is replaced; 1 is an ordinary pixel.
    threshold: float = 2.0
    #: Largest window of the median, px, odd.
    max_size_px: int = 7

    def __post_init__(self) -> None:
        require(1 <= self.neighbours <= 24, f"neighbours must lie in 1..24; got {self.neighbours}")
        _positive(self.threshold, "threshold")
        _odd(self.max_size_px, "max_size_px")


@dataclass(frozen=True)
class KdeOutlierSettings(OutlierSettings):
    """The same with kernel density estimates (Latecki et al. 2007)."""

    #: Bandwidth of the kernel, in distances to the k-th neighbour.
    bandwidth: float = 1.0
    #: Keeps the factor below 1 / c where a density vanishes.
    c: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        _positive(self.bandwidth, "bandwidth")
        require(0 < self.c < 1, f"c must lie between 0 and 1; got {self.c}")


@dataclass(frozen=True)
class GridOutlierSettings(OutlierSettings):
    """The same, sparing pixels in dense cells of a grid (Chiu and Fu 2003)."""

    #: Sides of a cell: in space, px, and in grey level.
    cell_px: int = 4
    cell_grey_levels: int = 16
    #: Share of the pixels around above which a cell counts as dense.
    dense_share: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.cell_px >= 1 and self.cell_grey_levels >= 1, "cells must be >= 1 wide")
        require(0 < self.dense_share < 1, "dense_share must lie between 0 and 1")


@dataclass(frozen=True)
class Bm3dSettings:
    """Block matching and 3-D filtering, by a package that is not part of the product."""

    #: ``vst`` stabilises the variance first; ``plain`` takes the noise as Gaussian.
    transform: Literal["vst", "plain"] = "vst"
    #: Take off the bias that clipping put on the image.
    debias: bool = True
