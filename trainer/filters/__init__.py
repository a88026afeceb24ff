"""The classical filters, one interface for all: ``apply(name, image_HWC, settings)``.

Each filter takes one channel at a time, float32 raw grey levels in and out, and either
estimates the noise or is told it. Nothing heavy is imported before a filter is applied.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainer.filters import settings as kinds
from trainer.strict import ConfigError

if TYPE_CHECKING:
    import numpy as np

    from trainer.filters.noise_estimate import NoiseModel


@dataclass(frozen=True)
class Filter:
    """A named filter."""

    name: str
    #: One line for a list of filters.
    summary: str
    settings: type
    #: Module of this package and function in it: ``(image_HW, settings, noise) -> image_HW``.
    module: str
    function: str


_ALL = (
    Filter("identity", "nothing", kinds.IdentitySettings, "smooth", "identity"),
    Filter("gaussian", "Gaussian blur", kinds.GaussianSettings, "smooth", "gaussian"),
    Filter("median", "median of a window", kinds.MedianSettings, "impulses", "median"),
    Filter(
        "switching-median",
        "0 and 255 become the median of the rest",
        kinds.SwitchingMedianSettings,
        "impulses",
        "switching_median",
    ),
    Filter("nlm", "non-local means", kinds.NonLocalMeansSettings, "smooth", "non_local_means"),
    Filter(
        "vst-nlm",
        "non-local means after stabilising the variance of shot and read noise",
        kinds.StabilisedMeansSettings,
        "vst",
        "vst_non_local_means",
    ),
    Filter(
        "switching+vst-nlm",
        "switching median, then vst-nlm",
        kinds.StabilisedMeansSettings,
        "vst",
        "switching_vst_non_local_means",
    ),
    Filter("bilateral", "bilateral filter", kinds.BilateralSettings, "smooth", "bilateral"),
    Filter("tv", "total variation", kinds.TotalVariationSettings, "smooth", "total_variation"),
    Filter("wavelet", "wavelet shrinkage", kinds.WaveletSettings, "smooth", "wavelet"),
    Filter("lof", "local outlier factor", kinds.OutlierSettings, "outliers", "lof"),
    Filter(
        "kde-lof",
        "local outlier factor on kernel densities",
        kinds.KdeOutlierSettings,
        "outliers",
        "kde_lof",
    ),
    Filter(
        "grid-lof",
        "local outlier factor outside dense cells",
        kinds.GridOutlierSettings,
        "outliers",
        "grid_lof",
    ),
    Filter(
        "bm3d",
        "BM3D (install the package bm3d yourself; non-commercial)",
        kinds.Bm3dSettings,
        "vst",
        "bm3d",
    ),
)
#: Every filter by its name.
FILTERS: dict[str, Filter] = {entry.name: entry for entry in _ALL}


def find(name: str) -> Filter:
    """The filter of a name.

    Raises
    ------
    ConfigError
        No such filter; the message names the nearest and all.
    """
    import difflib

    if name in FILTERS:
        return FILTERS[name]
    near = difflib.get_close_matches(name, FILTERS, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ConfigError(f"no filter {name!r}; {hint}known filters: {', '.join(FILTERS)}")


def apply(
    name: str,
    image_HWC: np.ndarray,
    settings: Any = None,
    noise: NoiseModel | None = None,
) -> np.ndarray:
    """A filtered copy, each channel by itself.

    Parameters
    ----------
    name
        Key of :data:`FILTERS`.
    image_HWC
        Raw grey levels, 0..255 for images of 8 bits; noise may leave that range.
    settings
        Of the filter's own class; None takes the defaults.
    noise
        The noise where it is known; None estimates it in each channel.

    Returns
    -------
    numpy.ndarray
        float32 of the same shape.

    Raises
    ------
    ConfigError
        Unknown filter, or settings of another one.
    PlatewiseError
        A package that is not installed, or pixels that are not finite.
    """
    import numpy as np

    from trainer.errors import PlatewiseError

    entry = find(name)
    chosen = entry.settings() if settings is None else settings
    if not isinstance(chosen, entry.settings):
        raise ConfigError(f"{name} takes {entry.settings.__name__}, got {type(chosen).__name__}")
    function = getattr(importlib.import_module(f"{__name__}.{entry.module}"), entry.function)
    image_HWC = np.asarray(image_HWC, np.float32)
    if image_HWC.ndim != 3 or not np.isfinite(image_HWC).all():
        raise PlatewiseError(
            f"a filter takes finite pixels [H, W, C]; got shape {image_HWC.shape}"
            + ("" if image_HWC.ndim != 3 else " with pixels that are not finite")
        )
    channels = [
        function(np.ascontiguousarray(image_HWC[..., c]), chosen, noise)
        for c in range(image_HWC.shape[-1])
    ]
    return np.stack(channels, axis=-1).astype(np.float32, copy=False)
