"""The starlet transform: an image as details of several scales, undecimated, without weights.

Also known as the a trous wavelet with a cubic B-spline (Starck, Fadili and Murtagh, 2007). A detail
is what one more blur takes away; image and blurs have the same size, so nothing depends on where
the pixel grid lies.
"""

from __future__ import annotations

import tensorflow as tf

#: Blurs have standard deviations of 1.0, 2.2, 4.6 and 9.2 px.
N_SCALES = 4
#: Standard deviation of each detail of white noise of standard deviation 1.
DETAIL_OF_NOISE = (0.8908, 0.2007, 0.0855, 0.0412)

#: B3-spline taps, whose blurs add up to wider B-splines.
_TAPS = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


def details(image_BHWC: tf.Tensor) -> list[tf.Tensor]:
    """``N_SCALES`` details [B, H, W, C], finest first; the image less their sum is its last blur.

    Past its edges the image counts as missing: taps there are left out, so images of any size will
    do and constant ones have no details.
    """
    found = []
    for scale in range(N_SCALES):
        blurred_BHWC = _blur(image_BHWC, 2**scale)
        found.append(image_BHWC - blurred_BHWC)
        image_BHWC = blurred_BHWC
    return found


def _blur(image_BHWC: tf.Tensor, step_px: int) -> tf.Tensor:
    for axis in (1, 2):
        inside = tf.ones_like(image_BHWC[:1, :, :1, :1] if axis == 1 else image_BHWC[:1, :1, :, :1])
        image_BHWC = _sums(image_BHWC, step_px, axis) / _sums(inside, step_px, axis)
    return image_BHWC


def _sums(x_BHWC: tf.Tensor, step_px: int, axis: int) -> tf.Tensor:
    """Weighted sums of five pixels along an axis, ``step_px`` apart.

    Shifted additions: depthwise kernels run badly on TPUs, dilated ones on CPUs.
    """
    margin = len(_TAPS) // 2 * step_px
    length = tf.shape(x_BHWC)[axis]
    padded = tf.pad(x_BHWC, [(margin, margin) if i == axis else (0, 0) for i in range(4)])
    shifted = []
    for i, tap in enumerate(_TAPS):
        start = i * step_px
        if axis == 1:
            shifted.append(tap * padded[:, start : start + length])
        else:
            shifted.append(tap * padded[:, :, start : start + length])
    return tf.add_n(shifted)
