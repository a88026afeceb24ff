"""Whether a few features outweigh all others, and features brought to one scale."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from pipelines.profiles.table import Profiles
from trainer.errors import PlatewiseError

#: Features whose deviations are computed at once: memory for few of them only.
_FEATURES_AT_ONCE = 256
#: With no more features than this, that one holds half of the variance says nothing.
_FEW = 2
#: One feature in so many that hold half of the variance between them are too few.
_ONE_IN = 100


def standardized(profiles: Profiles) -> Profiles:
    """Each feature with mean 0 and standard deviation 1 over all rows; without the constant ones.

    Raises
    ------
    PlatewiseError
        No feature varies.
    """
    mean_D, deviation_D = _moments(profiles.features_ND)
    varies = deviation_D > 0
    if not varies.any():
        raise PlatewiseError(f"{profiles.path}: no feature varies, so none can be standardized")
    dtype = np.promote_types(profiles.features_ND.dtype, np.float32)
    scaled = profiles.features_ND[:, varies].astype(np.float64)
    scaled -= mean_D[varies]
    scaled /= deviation_D[varies]
    notes = [f"features standardized over all {len(scaled)} rows (--standardize)"]
    if not varies.all():
        n_constant, first = int((~varies).sum()), profiles.feature_names[int(varies.argmin())]
        notes.append(f"{n_constant} constant features left out, the first {first!r}")
    return dataclasses.replace(
        profiles,
        features_ND=scaled.astype(dtype),
        feature_names=tuple(np.array(profiles.feature_names)[varies].tolist()),
        notes=(*profiles.notes, *notes),
    )


def scale_note(profiles: Profiles) -> str | None:
    """What to say where few features hold over half of the variance; None where many do."""
    deviation_D = _moments(profiles.features_ND)[1]
    if len(deviation_D) <= _FEW or not deviation_D.any():
        return None
    variance_D = np.square(deviation_D / deviation_D.max())
    order = np.argsort(-variance_D, kind="stable")
    share_D = np.cumsum(variance_D[order]) / variance_D.sum()
    needed = int(np.searchsorted(share_D, 0.5, side="right")) + 1
    first = f"{profiles.feature_names[order[0]]!r}"
    advice = (
        "PCR, silhouettes, mAP and variances follow what varies most. Where the features have "
        "different units, bring them to one scale: --standardize"
    )
    if needed == 1:
        held = f"feature {first} alone holds {100 * share_D[0]:.1f} % of the total variance"
    elif needed * _ONE_IN <= len(deviation_D):
        held = (
            f"{needed} of {len(deviation_D)} features hold over half of the total variance, "
            f"{first} {100 * share_D[0]:.1f} %"
        )
    else:
        return None
    return f"{held}; {advice}"


def _moments(features_ND: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each feature, [D]; exactly 0 where all rows are equal."""
    means, deviations = [], []
    for start in range(0, features_ND.shape[1], _FEATURES_AT_ONCE):
        part_ND = features_ND[:, start : start + _FEATURES_AT_ONCE].astype(np.float64)
        mean_D = part_ND.mean(axis=0)
        part_ND -= mean_D
        # The mean of equal numbers may differ from them by a rounding error.
        constant_D = np.ptp(features_ND[:, start : start + _FEATURES_AT_ONCE], axis=0) == 0
        largest_D = np.where(constant_D, 1.0, np.abs(part_ND).max(axis=0))
        spread_D = largest_D * np.sqrt(np.square(part_ND / largest_D).mean(axis=0))
        means.append(mean_D)
        deviations.append(np.where(constant_D, 0.0, spread_D))
    return np.concatenate(means), np.concatenate(deviations)
