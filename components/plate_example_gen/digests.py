"""Digests of pixels by which the leak audit knows an image under another name.

Of grey levels and not of files: the same image packed another way is the same image. Two CRCs of
different polynomials together are one of 64 bits, for which two of RxRx1's 753,060 images meet by
chance once in 10^8 screens; they cost a quarter of what SHA-256 does (0.4 ms a site of
512 x 512 x 6 against 1.7). They guard against mistakes, not against somebody who forges one.
"""

from __future__ import annotations

import google_crc32c
import numpy as np
import numpy.typing as npt


def pixel_digests(
    pixels_CHW: npt.NDArray[np.uint8], histogram_CQ: npt.NDArray[np.int64]
) -> tuple[str, ...]:
    """16 hexadecimal digits a channel; empty where a channel has one grey level only.

    Parameters
    ----------
    pixels_CHW
        Raw grey levels, contiguous.
    histogram_CQ
        Their counts: blank images are all alike, and no copies of one another.
    """
    varied_C = np.count_nonzero(histogram_CQ, axis=1) > 1
    return tuple(
        _digest(pixels_HW.tobytes()) if varied else ""
        for pixels_HW, varied in zip(pixels_CHW, varied_C, strict=True)
    )


def counts_digest(histogram_CQ: npt.NDArray[np.int64]) -> str:
    """16 hexadecimal digits of the counts of all channels; empty where no channel varies.

    Flips, turns and shifts of a site do not change it.
    """
    if (np.count_nonzero(histogram_CQ, axis=1) <= 1).all():
        return ""
    return _digest(histogram_CQ.astype("<i8").tobytes())


def _digest(content: bytes) -> str:
    from imagecodecs import deflate_crc32

    return f"{google_crc32c.value(content):08x}{deflate_crc32(content):08x}"
