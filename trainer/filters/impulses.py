"""Medians, and the repair of pixels that something has flagged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.filters.settings import MedianSettings, SwitchingMedianSettings

if TYPE_CHECKING:
    from trainer.filters.noise_estimate import NoiseModel

#: Largest window of OpenCV's median on float images, px.
_OPENCV_MAX_PX = 5


def median(image_HW: np.ndarray, settings: MedianSettings, noise: NoiseModel | None) -> Any:
    """Median of a window; borders are reflected about the outermost pixels."""
    import cv2
    from scipy import ndimage

    size = settings.size_px
    if size > _OPENCV_MAX_PX:
        return ndimage.median_filter(image_HW, size, mode="mirror")
    half = size // 2
    padded = np.pad(image_HW, half, mode="reflect") if min(image_HW.shape) > half else image_HW
    filtered = cv2.medianBlur(padded, size)
    return filtered[half:-half, half:-half] if padded is not image_HW else filtered


def switching_median(
    image_HW: np.ndarray, settings: SwitchingMedianSettings, noise: NoiseModel | None
) -> np.ndarray:
    """Replace pixels at either end of the range; leave all others as they are."""
    flagged_HW = (image_HW == settings.pepper_grey_level) | (image_HW == settings.salt_grey_level)
    return repair(image_HW, flagged_HW, settings.max_size_px)


def repair(image_HW: np.ndarray, flagged_HW: np.ndarray, max_size_px: int = 7) -> np.ndarray:
    """Flagged pixels become the median of the unflagged ones around them.

    The window grows from 3 x 3 to ``max_size_px`` until it holds an unflagged pixel; where the
    largest holds none (a saturated nucleus) the pixel stays.
    """
    repaired_HW = image_HW.copy()
    row, column = np.nonzero(flagged_HW)
    for size in range(3, max_size_px + 1, 2):
        if row.size == 0:
            break
        half = size // 2
        # Infinity sorts behind every true value: the first n of a window are the unflagged.
        hidden = np.where(flagged_HW, np.float32(np.inf), image_HW)
        padded = np.pad(hidden, half, constant_values=np.inf)
        offset = np.arange(size)
        window = padded[
            row[:, None, None] + offset[None, :, None], column[:, None, None] + offset[None, None]
        ].reshape(row.size, -1)
        window.sort(axis=1)
        count = np.isfinite(window).sum(axis=1)
        found = count > 0
        pick = np.arange(row.size)
        low = window[pick, np.maximum((count - 1) // 2, 0)]
        high = window[pick, np.maximum(count // 2, 0).clip(max=window.shape[1] - 1)]
        repaired_HW[row[found], column[found]] = ((low + high) / 2)[found]
        row, column = row[~found], column[~found]
    return repaired_HW
