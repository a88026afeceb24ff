"""Random changes to training images, stateless and with static shapes (XLA, TPU).

Geometry is for pixels before noise; intensity and CutMix take the clean and the noisy
image together, because the denoiser's target must change with its input.
"""

from __future__ import annotations

import math

import tensorflow as tf

from trainer.config import AugmentConfig


def geometric(image_BHWC: tf.Tensor, config: AugmentConfig, seed: tf.Tensor) -> tf.Tensor:
    """Flip and turn each image by itself; all eight poses of a square are equally likely.

    Parameters
    ----------
    image_BHWC
        Any dtype; square where ``config.quarter_turns``.
    config
        Which moves are allowed.
    seed
        int32 [2].

    Raises
    ------
    ValueError
        Quarter turns of images that are not square.
    """
    heads_3B = _uniform((3, tf.shape(image_BHWC)[0], 1, 1, 1), seed) < 0.5
    if config.quarter_turns:
        height, width = image_BHWC.shape[1:3]
        if height is None or height != width:
            raise ValueError(
                f"quarter turns need square images of known size, got {height} x {width} px; "
                "crop first, or set quarter_turns = false"
            )
        # Transpose, then the two flips below, reach all eight poses; without flips only
        # the four rotations are wanted: a half turn, and a transpose with one flip.
        transposed_BHWC = tf.transpose(image_BHWC, (0, 2, 1, 3))
        if not config.flips:
            transposed_BHWC = tf.reverse(transposed_BHWC, axis=(1,))
        image_BHWC = tf.where(heads_3B[0], transposed_BHWC, image_BHWC)
    if config.flips:
        image_BHWC = tf.where(heads_3B[1], tf.reverse(image_BHWC, axis=(1,)), image_BHWC)
        image_BHWC = tf.where(heads_3B[2], tf.reverse(image_BHWC, axis=(2,)), image_BHWC)
    elif config.quarter_turns:
        image_BHWC = tf.where(heads_3B[1], tf.reverse(image_BHWC, axis=(1, 2)), image_BHWC)
    return image_BHWC


def random_crop(image_BHWC: tf.Tensor, size_px: int, seed: tf.Tensor) -> tf.Tensor:
    """A square window of each image, every position equally likely.

    Parameters
    ----------
    image_BHWC
        Any dtype, static height and width.
    size_px
        Side of the window.
    seed
        int32 [2].

    Raises
    ------
    ValueError
        Window larger than the image.
    """
    spare_px = _spare_px(image_BHWC, size_px)
    if spare_px == (0, 0):
        return image_BHWC
    uniform_2B = _uniform((2, tf.shape(image_BHWC)[0]), seed)
    for axis in (1, 2):
        # A float32 uniform is below 1, but times spare + 1 it may round up to it.
        positions = tf.floor(uniform_2B[axis - 1] * (spare_px[axis - 1] + 1))
        first_B = tf.minimum(tf.cast(positions, tf.int32), spare_px[axis - 1])
        window_BS = first_B[:, tf.newaxis] + tf.range(size_px)
        image_BHWC = tf.gather(image_BHWC, window_BS, axis=axis, batch_dims=1)
    return image_BHWC


def center_crop(image_BHWC: tf.Tensor, size_px: int) -> tf.Tensor:
    """The square window around the centre of each image (see :func:`random_crop`)."""
    top_px, left_px = (spare // 2 for spare in _spare_px(image_BHWC, size_px))
    return image_BHWC[:, top_px : top_px + size_px, left_px : left_px + size_px]


def intensity(
    clean_BHWC: tf.Tensor, noisy_BHWC: tf.Tensor, config: AugmentConfig, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """``a * x + b`` on each channel of each image, the same on clean and noisy.

    Parameters
    ----------
    clean_BHWC, noisy_BHWC
        Normalised images, float.
    config
        ``a`` in 1 +- ``gain_jitter``, ``b`` in +- ``offset_jitter``, both uniform.
    seed
        int32 [2].

    Returns
    -------
    tuple
        Clean and noisy images, changed.
    """
    if config.gain_jitter == 0.0 and config.offset_jitter == 0.0:
        return clean_BHWC, noisy_BHWC
    shape = (2, tf.shape(clean_BHWC)[0], 1, 1, clean_BHWC.shape[-1])
    signed = tf.cast(2.0 * _uniform(shape, seed) - 1.0, clean_BHWC.dtype)
    gain_B11C = 1.0 + config.gain_jitter * signed[0]
    offset_B11C = config.offset_jitter * signed[1]
    return clean_BHWC * gain_B11C + offset_B11C, noisy_BHWC * gain_B11C + offset_B11C


def cutmix(
    clean_BHWC: tf.Tensor,
    noisy_BHWC: tf.Tensor,
    target_BK: tf.Tensor,
    config: AugmentConfig,
    seed: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Paste a window of another image of the minibatch, and mix the targets by its area.

    With ``cutmix_probability`` the whole minibatch is mixed, each image with a window of its
    own from one partner, which is never the image itself. The share of the pasted target is
    the share of pixels that were pasted, exactly: the window is clipped at the border first.
    After Yun et al., "CutMix", ICCV 2019.

    Parameters
    ----------
    clean_BHWC, noisy_BHWC
        Images of one minibatch; static height and width; both get the same windows.
    target_BK
        Class shares; rows of zeros (unlabelled) stay possible.
    config
        Probability, and the parameter of the symmetric Beta distribution of the kept area.
    seed
        int32 [2].

    Returns
    -------
    tuple
        Clean and noisy images, and targets, mixed.
    """
    n_images = tf.shape(clean_BHWC)[0]
    if config.cutmix_probability == 0.0 or clean_BHWC.shape[0] == 1:
        return clean_BHWC, noisy_BHWC, target_BK
    seeds = tf.random.experimental.stateless_split(seed, 3)
    coin, step = tf.unstack(_uniform((2,), seeds[0]))
    mixed = coin < config.cutmix_probability
    # A roll by 1..B-1 moves every image, and unlike a shuffle needs no sort.
    shift = 1 + tf.cast(step * tf.cast(n_images - 1, tf.float32), tf.int32)
    shift = tf.minimum(shift, tf.maximum(n_images - 1, 1))
    inside_BHW1 = _windows(clean_BHWC, config.cutmix_alpha, seeds[1], seeds[2]) & mixed

    def paste(image_BHWC: tf.Tensor) -> tf.Tensor:
        return tf.where(inside_BHW1, tf.roll(image_BHWC, shift, axis=0), image_BHWC)

    pasted_B1 = tf.reduce_mean(tf.cast(inside_BHW1[..., 0], tf.float32), axis=(1, 2))[:, tf.newaxis]
    partner_BK = tf.roll(target_BK, shift, axis=0)
    mixed_BK = target_BK + tf.cast(pasted_B1, target_BK.dtype) * (partner_BK - target_BK)
    return paste(clean_BHWC), paste(noisy_BHWC), mixed_BK


def symmetric_beta(shape: tuple, alpha: float, seed: tf.Tensor) -> tf.Tensor:
    """Draws of Beta(alpha, alpha), any alpha > 0, in closed form.

    Bailey's Student t with 2 * alpha degrees of freedom (Math. Comp. 62, 1994), mapped to
    Beta; TensorFlow's gamma sampler has no XLA kernel.
    """
    uniform, angle = tf.unstack(_uniform((2, *shape), seed))
    uniform = tf.maximum(uniform, 1e-7)
    cosine = tf.cos(2.0 * math.pi * angle)
    square = (tf.pow(uniform, -1.0 / alpha) - 1.0) * cosine * cosine
    # 1 / sqrt(1 + 1 / t) and not sqrt(t / (1 + t)): t may be infinite at a small alpha.
    return 0.5 + 0.5 * tf.sign(cosine) * tf.math.rsqrt(1.0 + 1.0 / tf.maximum(square, 1e-30))


def _windows(
    image_BHWC: tf.Tensor, alpha: float, area_seed: tf.Tensor, centre_seed: tf.Tensor
) -> tf.Tensor:
    """Boolean [B, H, W, 1], true inside one window an image."""
    n_images = tf.shape(image_BHWC)[0]
    side_share_B = tf.sqrt(1.0 - symmetric_beta((n_images,), alpha, area_seed))
    centre_2B = _uniform((2, n_images), centre_seed)
    inside = []
    for axis in (0, 1):
        length_px = image_BHWC.shape[axis + 1]
        side_px_B = tf.round(side_share_B * length_px)
        first_B = tf.floor(centre_2B[axis] * length_px) - tf.floor(side_px_B / 2)
        position = tf.range(length_px, dtype=tf.float32)
        after_first = position >= first_B[:, tf.newaxis]
        inside.append(after_first & (position < (first_B + side_px_B)[:, tf.newaxis]))
    inside_BH, inside_BW = inside
    return (inside_BH[:, :, tf.newaxis] & inside_BW[:, tf.newaxis, :])[..., tf.newaxis]


def _spare_px(image_BHWC: tf.Tensor, size_px: int) -> tuple[int, int]:
    height, width = image_BHWC.shape[1:3]
    if size_px > min(height, width):
        raise ValueError(
            f"cannot cut {size_px} px windows from images of {height} x {width} px; "
            "lower model.image_size_px, or set model.resize_px"
        )
    return height - size_px, width - size_px


def _uniform(shape: tuple, seed: tf.Tensor) -> tf.Tensor:
    return tf.random.stateless_uniform(shape, seed)
