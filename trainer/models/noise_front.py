"""What a blind denoiser is told about the noise: likely impulses and the local noise level.

Everything here is invariant to gain and offset of the image, so that it works on normalised
pixels of any plate, and has no weights.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from trainer.models.starlet import DETAIL_OF_NOISE, N_SCALES, details

#: Share of an image's range within which a pixel counts as its smallest or largest value; a
#: grey level is 1/255 of it, float32 rounding 1e-7.
_EXTREME_TOLERANCE = 1e-4
#: Side of the square whose mean is taken for the local noise level, px. Taken twice, it is a smooth
#: window of standard deviation 4.5 px; taken once, it would print its edges into flat areas.
_WINDOW_PX = 11
#: Smallest noise level, in units of the normalised image (about 0.01 grey levels).
_NOISE_FLOOR = 1e-3
#: Moves the tanh that weighs a repair or a detail into its flat part with answers of order 1.
_TRUST_GAIN = 4.0
#: Of the network, for each channel: a residual, and trust in the repair, in its local mean and in
#: each detail.
N_ANSWERS = 3 + N_SCALES
#: Details that the local mean is without: it is a blur of 4.6 px.
_LOCAL_SCALES = 3
_FILL_SIGMA_PX = 0.8
_FILL_RADIUS_PX = 3
#: How often what a fill leaves of its neighbours is filled again: each time, a fill is true to
#: two more orders of the image. Two more times gain 0.1 dB.
_FILL_AGAIN = 3
#: Weight of the mended pixels' details beside those of untouched ones, which may be few.
_MENDED_WEIGHT = 0.02
#: Noise levels, in steps between an image's grey levels, from what may be rounding alone, which
#: makes 0.29 and which nobody can undo, to what is surely more.
_STEPS_LOW, _STEPS_HIGH = 0.3, 0.7


@keras.saving.register_keras_serializable(package="platewise")
class NoiseFront(keras.layers.Layer):
    """Image [B, H, W, C] -> dict of what the network and its output need, mostly [B, H, W, C].

    ``features``
        [B, H, W, 11C] for the network, all of order 1.
    ``repair``
        What to add to a likely impulse to make it what its unsuspicious neighbours bend to
        (:func:`fill`); 0 everywhere else.
    ``lift``
        Local mean of the repairs: where clipping put many pixels at the smallest value, how much
        too bright their mended places are on average.
    ``noise``
        Local standard deviation of the noise, > 0.
    ``details``
        [B, H, W, 4C], what blurs of growing width take away (:mod:`trainer.models.starlet`), finest
        first, of the image with its likely impulses mended.

    A pixel that equals the smallest or largest of its channel is suspected: salt and pepper
    stand there, but clipped background and saturated light too, so the network decides. The
    noise level is the root mean square of the finest diagonal detail (a 2 x 2 Haar wavelet),
    which white noise passes with its own standard deviation and smooth images do not pass.
    Blocks with a suspected pixel hardly count, so that impulses alone are no noise. Where it is no
    more than rounding to the image's grey levels makes, the network is told: such an image is to
    be left alone, unless its grey levels are single photons.
    """

    def call(self, image_BHWC: tf.Tensor) -> dict[str, tf.Tensor]:
        return _describe(image_BHWC)

    def compute_output_shape(self, input_shape: tuple) -> dict[str, tuple]:
        return _described(input_shape)


@keras.saving.register_keras_serializable(package="platewise")
class ToldNoiseFront(keras.layers.Layer):
    """:class:`NoiseFront` for ``[image, standard deviation of its noise]``: none is estimated."""

    def call(self, inputs: list[tf.Tensor]) -> dict[str, tf.Tensor]:
        return _describe(*inputs)

    def compute_output_shape(self, input_shape: list[tuple]) -> dict[str, tuple]:
        return _described(input_shape[0])


@keras.saving.register_keras_serializable(package="platewise")
class AnswerInNoiseUnits(keras.layers.Layer):
    """Noisy image, what the front says of it, and the network's answer -> denoised image, float32.

    The answer [B, H, W, 7C] holds a residual in units of the noise, so that all levels are one
    task and an image without noise keeps its values; how far each repair is to be made, 0 not at
    all, large wholly; how far their local mean is to be added or taken away; and how far each of
    the four details is to be taken away or deepened.
    So smoothing over a wide neighbourhood, which a residual would have to get right to a
    hundredth, is one number. Answers of 0 give the image back.
    """

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        *front, answer = (tf.cast(x, tf.float32) for x in inputs)
        noisy_BHWC, repair_BHWC, lift_BHWC, noise_BHWC, details_BHWS = front
        residual_BHWC, *trusts = tf.split(answer, N_ANSWERS, -1)
        offered = [repair_BHWC, lift_BHWC, *tf.split(details_BHWS, N_SCALES, -1)]
        taken = [tf.tanh(_TRUST_GAIN * t) * x for t, x in zip(trusts, offered, strict=True)]
        return noisy_BHWC + tf.add_n(taken) + noise_BHWC * residual_BHWC

    def compute_output_shape(self, input_shape: list[tuple]) -> tuple:
        return input_shape[0]


def _describe(image_BHWC: tf.Tensor, told_BHWC: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
    image_BHWC = tf.cast(image_BHWC, tf.float32)
    pepper_BHWC, salt_BHWC = extremes(image_BHWC)
    low_B11C = tf.reduce_min(image_BHWC, (1, 2), keepdims=True)
    keep_BHWC = (1.0 - pepper_BHWC) * (1.0 - salt_BHWC)
    repair_BHWC = (1.0 - keep_BHWC) * (fill(image_BHWC, keep_BHWC) - image_BHWC)
    filled_BHWC = image_BHWC + repair_BHWC
    if told_BHWC is None:
        noise_BHWC = noise_level(filled_BHWC, keep_BHWC)
    else:
        noise_BHWC = tf.maximum(tf.cast(told_BHWC, tf.float32), _NOISE_FLOOR)
    lift_BHWC = window_mean(repair_BHWC)
    scales = details(filled_BHWC)
    local_BHWC = filled_BHWC - tf.add_n(scales[:_LOCAL_SCALES])
    features = [
        # arcsinh: linear in small differences, logarithmic in large ones.
        tf.asinh((filled_BHWC - local_BHWC) / noise_BHWC),
        tf.asinh((filled_BHWC - low_B11C) / noise_BHWC) - 2.0,
        *(
            tf.asinh(detail_BHWC / (share * noise_BHWC))
            for detail_BHWC, share in zip(scales, DETAIL_OF_NOISE, strict=True)
        ),
        tf.asinh(lift_BHWC / noise_BHWC),
        tf.asinh(local_BHWC),
        pepper_BHWC,
        salt_BHWC,
        _beyond_rounding(noise_BHWC, image_BHWC),
    ]
    return {
        "features": tf.concat(features, -1),
        "repair": repair_BHWC,
        "lift": lift_BHWC,
        "noise": noise_BHWC,
        "details": tf.concat(scales, -1),
    }


def _described(input_shape: tuple) -> dict[str, tuple]:
    *outer, channels = input_shape

    def times(n: int) -> tuple:
        return (*outer, None if channels is None else n * channels)

    return {
        "features": times(7 + N_SCALES),
        "repair": input_shape,
        "lift": input_shape,
        "noise": input_shape,
        "details": times(N_SCALES),
    }


def extremes(image_BHWC: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """1 where a pixel stands at its channel's smallest value, and at its largest; else 0."""
    low_B11C = tf.reduce_min(image_BHWC, (1, 2), keepdims=True)
    high_B11C = tf.reduce_max(image_BHWC, (1, 2), keepdims=True)
    tolerance_B11C = _tolerance(image_BHWC)
    pepper_BHWC = tf.cast(image_BHWC <= low_B11C + tolerance_B11C, tf.float32)
    salt_BHWC = tf.cast(image_BHWC >= high_B11C - tolerance_B11C, tf.float32)
    return pepper_BHWC, salt_BHWC


def _tolerance(image_BHWC: tf.Tensor) -> tf.Tensor:
    """Differences up to this are none, for each channel of each image."""
    low_B11C = tf.reduce_min(image_BHWC, (1, 2), keepdims=True)
    high_B11C = tf.reduce_max(image_BHWC, (1, 2), keepdims=True)
    return _EXTREME_TOLERANCE * (high_B11C - low_B11C)


def fill(image_BHWC: tf.Tensor, keep_BHWC: tf.Tensor) -> tf.Tensor:
    """Each pixel from the kept ones around it: normalised convolution (Knutsson and Westin, 1993).

    What the fill misses at kept pixels is filled and added in turn (Tukey's twicing), which
    bends it with the image: 4 to 5 dB on impulses of 2 to 30 %.
    """
    weight_BHWC = _gaussian(keep_BHWC)
    filled_BHWC, left_BHWC = tf.zeros_like(image_BHWC), image_BHWC
    for _ in range(1 + _FILL_AGAIN):
        mean_BHWC = tf.math.divide_no_nan(_gaussian(keep_BHWC * left_BHWC), weight_BHWC)
        filled_BHWC += mean_BHWC
        left_BHWC -= mean_BHWC
    # Without a neighbour to go by, as inside saturated areas, a pixel stays.
    return tf.where(weight_BHWC > 1e-4, filled_BHWC, image_BHWC)


def noise_level(filled_BHWC: tf.Tensor, keep_BHWC: tf.Tensor) -> tf.Tensor:
    """Local standard deviation of the noise, > 0, in units of the image.

    Parameters
    ----------
    filled_BHWC
        The image with its suspected pixels mended.
    keep_BHWC
        1 where a pixel was not suspected; 2 x 2 blocks with another count by 2 % each, which only
        matters where there are no others.
    """
    sides = ((0, 0), (0, 1), (0, 1), (0, 0))
    padded = tf.pad(filled_BHWC, sides, "REFLECT")
    rows = padded[:, 1:] - padded[:, :-1]
    square_BHWC = tf.square((rows[:, :, 1:] - rows[:, :, :-1]) / 2.0)
    kept = tf.pad(keep_BHWC, sides, "REFLECT")
    kept = kept[:, 1:] * kept[:, :-1]
    weight_BHWC = kept[:, :, 1:] * kept[:, :, :-1] + _MENDED_WEIGHT
    mean_square_BHWC = window_mean(weight_BHWC * square_BHWC) / window_mean(weight_BHWC)
    return tf.sqrt(mean_square_BHWC + _NOISE_FLOOR**2)


def _beyond_rounding(noise_BHWC: tf.Tensor, image_BHWC: tf.Tensor) -> tf.Tensor:
    """0 where the noise is that of rounding, 1 where it is well above: smooth in between.

    A grey level is the smallest difference of two neighbours that are not alike; an image that
    was never rounded has next to none.
    """
    gap = tf.abs(image_BHWC[:, :, 1:] - image_BHWC[:, :, :-1])
    gap = tf.where(gap > _tolerance(image_BHWC), gap, image_BHWC.dtype.max)
    steps_BHWC = noise_BHWC / tf.reduce_min(gap, (1, 2), keepdims=True)
    share_BHWC = (steps_BHWC - _STEPS_LOW) / (_STEPS_HIGH - _STEPS_LOW)
    share_BHWC = tf.clip_by_value(share_BHWC, 0.0, 1.0)
    return tf.square(share_BHWC) * (3.0 - 2.0 * share_BHWC)


def window_mean(image_BHWC: tf.Tensor) -> tf.Tensor:
    """Mean over the noise window, the image mirrored at its edges.

    Sums of 2 and 8 neighbours make up the 11: a pooling op takes 40 times as long on a CPU,
    longer than the whole network.
    """
    radius = _WINDOW_PX // 2
    for _ in range(2):
        sides = ((0, 0), (radius, radius), (radius, radius), (0, 0))
        image_BHWC = tf.pad(image_BHWC, sides, "SYMMETRIC")
        for axis in (1, 2):
            sums = _sums_of_11(tf.transpose(image_BHWC, (axis, 0, 3 - axis, 3)))
            image_BHWC = tf.transpose(sums, (1, 0, 2, 3) if axis == 1 else (1, 2, 0, 3))
        image_BHWC /= float(_WINDOW_PX**2)
    return image_BHWC


def _sums_of_11(x: tf.Tensor) -> tf.Tensor:
    """Sums over windows along the first axis, which gets 10 shorter."""
    twos = x[1:] + x[:-1]
    fours = twos[2:] + twos[:-2]
    eights = fours[4:] + fours[:-4]
    length = tf.shape(x)[0] - 10
    parts = (eights, 0), (twos, 8), (x, 10)
    return tf.add_n([part[start : start + length] for part, start in parts])


def _gaussian(image_BHWC: tf.Tensor) -> tf.Tensor:
    """Separable Gaussian sums as shifted additions: no depthwise kernel, which TPUs run badly."""
    offsets = np.arange(-_FILL_RADIUS_PX, _FILL_RADIUS_PX + 1)
    taps = np.exp(-(offsets**2) / (2 * _FILL_SIGMA_PX**2))
    taps = (taps / taps.sum()).astype(np.float32)
    r = _FILL_RADIUS_PX
    padded = tf.pad(image_BHWC, ((0, 0), (r, r), (r, r), (0, 0)))
    height, width = tf.shape(image_BHWC)[1], tf.shape(image_BHWC)[2]
    down = tf.add_n([float(t) * padded[:, i : i + height] for i, t in enumerate(taps)])
    return tf.add_n([float(t) * down[:, :, i : i + width] for i, t in enumerate(taps)])
