"""What a blind denoiser is told about the noise: likely impulses and the local noise level.

Everything here is invariant to gain and offset of the image, so that it works on normalised
pixels of any plate, and has no weights.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

#: Share of an image's range within which a pixel counts as its smallest or largest value; a
#: grey level is 1/255 of it, float32 rounding 1e-7.
_EXTREME_TOLERANCE = 1e-4
#: Side of the window of the local noise level, px: 225 details give it to some 8 %.
_NOISE_WINDOW_PX = 15
#: Smallest noise level, in units of the normalised image (about 0.01 grey levels).
_NOISE_FLOOR = 1e-3
#: Moves the tanh that weighs a repair into its flat part with answers of order 1.
_TRUST_GAIN = 4.0
_FILL_SIGMA_PX = 0.8
_FILL_RADIUS_PX = 3


@keras.saving.register_keras_serializable(package="platewise")
class NoiseFront(keras.layers.Layer):
    """Image [B, H, W, C] -> dict of what the network and its output need, all [B, H, W, C].

    ``features``
        [B, H, W, 5C] for the network, all of order 1.
    ``repair``
        What to add to a likely impulse to make it the mean of its unsuspicious neighbours; 0
        everywhere else.
    ``noise``
        Local standard deviation of the noise, > 0.

    A pixel that equals the smallest or largest of its channel is suspected: salt and pepper
    stand there, but clipped background and saturated light too, so the network decides. The
    noise level is the root mean square of the finest diagonal detail (a 2 x 2 Haar wavelet),
    which white noise passes with its own standard deviation and smooth images do not pass.
    """

    def call(self, image_BHWC: tf.Tensor) -> dict[str, tf.Tensor]:
        image_BHWC = tf.cast(image_BHWC, tf.float32)
        low_B11C = tf.reduce_min(image_BHWC, (1, 2), keepdims=True)
        high_B11C = tf.reduce_max(image_BHWC, (1, 2), keepdims=True)
        tolerance_B11C = _EXTREME_TOLERANCE * (high_B11C - low_B11C)
        pepper_BHWC = tf.cast(image_BHWC <= low_B11C + tolerance_B11C, tf.float32)
        salt_BHWC = tf.cast(image_BHWC >= high_B11C - tolerance_B11C, tf.float32)
        keep_BHWC = (1.0 - pepper_BHWC) * (1.0 - salt_BHWC)
        weight_BHWC = _gaussian(keep_BHWC)
        mean_BHWC = tf.math.divide_no_nan(_gaussian(keep_BHWC * image_BHWC), weight_BHWC)
        # Without a neighbour to go by, as inside saturated areas, a pixel stays.
        fill_BHWC = tf.where(weight_BHWC > 1e-4, mean_BHWC, image_BHWC)
        repair_BHWC = (1.0 - keep_BHWC) * (fill_BHWC - image_BHWC)
        filled_BHWC = image_BHWC + repair_BHWC
        noise_BHWC = _noise_level(filled_BHWC)
        local_BHWC = _box_mean(filled_BHWC)
        features = [
            # arcsinh: linear in small differences, logarithmic in large ones.
            tf.asinh((filled_BHWC - local_BHWC) / noise_BHWC),
            tf.asinh((filled_BHWC - low_B11C) / noise_BHWC) - 2.0,
            tf.asinh(local_BHWC),
            pepper_BHWC,
            salt_BHWC,
        ]
        return {
            "features": tf.concat(features, -1),
            "repair": repair_BHWC,
            "noise": noise_BHWC,
        }

    def compute_output_shape(self, input_shape: tuple) -> dict[str, tuple]:
        *outer, channels = input_shape
        return {
            "features": (*outer, None if channels is None else 5 * channels),
            "repair": input_shape,
            "noise": input_shape,
        }


@keras.saving.register_keras_serializable(package="platewise")
class AnswerInNoiseUnits(keras.layers.Layer):
    """Noisy image, repair, noise level and the network's answer -> denoised image, float32.

    The answer [B, H, W, 2C] holds a residual in units of the noise, so that all levels are one
    task and an image without noise keeps its values, and how far each repair is to be made:
    0 not at all, large wholly. Answers of 0 give the image back.
    """

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        noisy_BHWC, repair_BHWC, noise_BHWC, answer = (tf.cast(x, tf.float32) for x in inputs)
        residual_BHWC, trust_BHWC = tf.split(answer, 2, -1)
        repaired_BHWC = noisy_BHWC + tf.tanh(_TRUST_GAIN * trust_BHWC) * repair_BHWC
        return repaired_BHWC + noise_BHWC * residual_BHWC

    def compute_output_shape(self, input_shape: list[tuple]) -> tuple:
        return input_shape[0]


def _noise_level(image_BHWC: tf.Tensor) -> tf.Tensor:
    padded = tf.pad(image_BHWC, ((0, 0), (0, 1), (0, 1), (0, 0)), "REFLECT")
    rows = padded[:, 1:] - padded[:, :-1]
    detail_BHWC = (rows[:, :, 1:] - rows[:, :, :-1]) / 2.0
    return tf.sqrt(_box_mean(tf.square(detail_BHWC)) + _NOISE_FLOOR**2)


def _box_mean(image_BHWC: tf.Tensor) -> tf.Tensor:
    """Mean over the noise window, the image mirrored at its edges.

    Sums of 2, 4 and 8 neighbours make up the 15: a pooling op takes 40 times as long on a CPU,
    longer than the whole network.
    """
    radius = _NOISE_WINDOW_PX // 2
    sums = tf.pad(image_BHWC, ((0, 0), (radius, radius), (radius, radius), (0, 0)), "SYMMETRIC")
    for axis in (1, 2):
        sums = _sums_of_15(tf.transpose(sums, (axis, 0, 3 - axis, 3)))
        sums = tf.transpose(sums, (1, 0, 2, 3) if axis == 1 else (1, 2, 0, 3))
    return sums / float(_NOISE_WINDOW_PX**2)


def _sums_of_15(x: tf.Tensor) -> tf.Tensor:
    """Sums over windows along the first axis, which gets 14 shorter."""
    twos = x[1:] + x[:-1]
    fours = twos[2:] + twos[:-2]
    eights = fours[4:] + fours[:-4]
    length = tf.shape(x)[0] - 14
    parts = (eights, 0), (fours, 8), (twos, 12), (x, 14)
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
