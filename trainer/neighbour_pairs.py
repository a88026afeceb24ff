"""Two half-size copies of one noisy image: training a denoiser without clean images.

Neighbor2Neighbor (Huang et al., CVPR 2021): of every 2 x 2 pixels two that touch are drawn, one for
the network's input, one for its target. They show nearly the same, with independent noise of any
distribution, so a network that tells one from the other learns what they have in common. The
paper's regulariser is left out.

Assumed is noise that is independent between pixels and has mean zero. Noise that a camera's
software has correlated is partly kept. Impulses are left out of the target: pixels at an image's
smallest or largest value, far from their neighbours, and few. Not all at the smallest: in weak
light most have no photon, and the mean of the others is too bright.
"""

from __future__ import annotations

import math

import tensorflow as tf

from trainer.models.noise_front import extremes, fill, noise_level, window_mean

#: So many standard deviations from its neighbours, a pixel at an extreme is an impulse.
_IMPULSE_SD = 5.0
#: Where a larger share of the pixels around stands at the same extreme, that is the image: no
#: photon, or saturation.
_LARGEST_SHARE = 0.4


def neighbour_pair(raw_BHWC: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Target (NaN where a pixel does not count) and input of a network, [B, H/2, W/2, C].

    Parameters
    ----------
    raw_BHWC
        Noisy images; H and W even, static.
    seed
        int32 [2].
    """
    raw_BHWC = tf.cast(raw_BHWC, tf.float32)
    sound_BHWC = tf.where(_is_impulse(raw_BHWC), math.nan, raw_BHWC)
    batch, height, width = tf.shape(raw_BHWC)[0], raw_BHWC.shape[1] // 2, raw_BHWC.shape[2] // 2
    coins = tf.random.stateless_uniform((3, batch, height, width, 1), seed) < 0.5

    def drawn(image_BHWC: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        corner = tf.where(coins[0], image_BHWC[:, ::2, ::2], image_BHWC[:, 1::2, 1::2])
        beside = tf.where(coins[1], image_BHWC[:, ::2, 1::2], image_BHWC[:, 1::2, ::2])
        return tf.where(coins[2], corner, beside), tf.where(coins[2], beside, corner)

    return drawn(sound_BHWC)[0], drawn(raw_BHWC)[1]


def _is_impulse(raw_BHWC: tf.Tensor) -> tf.Tensor:
    pepper_BHWC, salt_BHWC = extremes(raw_BHWC)
    keep_BHWC = (1.0 - pepper_BHWC) * (1.0 - salt_BHWC)
    around_BHWC = fill(raw_BHWC, keep_BHWC)
    filled_BHWC = tf.where(keep_BHWC > 0.5, raw_BHWC, around_BHWC)
    far_BHWC = tf.abs(raw_BHWC - around_BHWC) > _IMPULSE_SD * noise_level(filled_BHWC, keep_BHWC)
    few_BHWC = tf.zeros_like(far_BHWC)
    for extreme_BHWC in (pepper_BHWC, salt_BHWC):
        few_BHWC |= (extreme_BHWC > 0.5) & (window_mean(extreme_BHWC) < _LARGEST_SHARE)
    return far_BHWC & few_BHWC
