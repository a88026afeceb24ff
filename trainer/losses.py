"""The joint loss: classify, and keep the denoised image true to the clean one.

A denoiser tuned for PSNR alone need not help a classifier behind it, and one tuned for the
classifier alone stops being a denoiser; hence two terms, both weighted in the config.
All terms are computed in float32.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import tensorflow as tf

from trainer.config import LossConfig
from trainer.denoiser_config import DenoiserStage

#: Where the Charbonnier distance turns from quadratic to linear, normalised units.
CHARBONNIER_EPSILON = 1e-3


def joint_loss(
    outputs: Mapping[str, tf.Tensor],
    target_BK: tf.Tensor,
    clean_BHWC: tf.Tensor,
    config: LossConfig,
    clean_logits_BK: tf.Tensor | None = None,
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Weighted sum of the terms, and each term by itself (unweighted).

    Parameters
    ----------
    outputs
        What the joint model returned for the noisy images: ``logits`` and ``denoised``.
    target_BK
        Class shares that sum to 1 in each row, or to 0 where the label is unknown.
    clean_BHWC
        Clean images in the model's input units.
    config
        Weights and label smoothing.
    clean_logits_BK
        Logits of a second forward pass on the clean images; needed where
        ``config.clean_classification`` is above 0.

    Returns
    -------
    tuple
        Scalar loss (mean over the minibatch) and a mapping of scalar terms:
        ``classification``, ``reconstruction`` and, where asked for,
        ``clean_classification``. A term of weight 0 is left out.

    Raises
    ------
    ValueError
        ``clean_classification`` is above 0 and there are no clean logits.
    """
    terms: dict[str, tf.Tensor] = {}
    weights: dict[str, float] = {}
    if config.classification > 0.0:
        terms["classification"] = cross_entropy(
            outputs["logits"], target_BK, config.label_smoothing
        )
        weights["classification"] = config.classification
    if config.reconstruction > 0.0:
        terms["reconstruction"] = charbonnier(outputs["denoised"], clean_BHWC)
        weights["reconstruction"] = config.reconstruction
    if config.clean_classification > 0.0:
        if clean_logits_BK is None:
            raise ValueError(
                "loss.clean_classification is above 0, so joint_loss needs clean_logits_BK: "
                "run the model on the clean images as well"
            )
        terms["clean_classification"] = cross_entropy(
            clean_logits_BK, target_BK, config.label_smoothing
        )
        weights["clean_classification"] = config.clean_classification
    total = tf.zeros((), tf.float32)
    for name, term in terms.items():
        total += weights[name] * term
    return total, terms


def cross_entropy(logits_BK: tf.Tensor, target_BK: tf.Tensor, label_smoothing: float) -> tf.Tensor:
    """Mean cross-entropy in nats over the labelled images, 0 where there are none.

    Parameters
    ----------
    logits_BK
        Unnormalised log-probabilities.
    target_BK
        Class shares; a row that sums to less than 1 weighs that much.
    label_smoothing
        Share of the target that is spread evenly over all classes.
    """
    target_BK = tf.cast(target_BK, tf.float32)
    weight_B1 = tf.reduce_sum(target_BK, axis=-1, keepdims=True)
    spread = label_smoothing / target_BK.shape[-1]
    smoothed_BK = (1.0 - label_smoothing) * target_BK + spread * weight_B1
    log_probability_BK = tf.nn.log_softmax(tf.cast(logits_BK, tf.float32))
    summed = -tf.reduce_sum(smoothed_BK * log_probability_BK)
    return tf.math.divide_no_nan(summed, tf.reduce_sum(weight_B1))


def charbonnier(image_BHWC: tf.Tensor, reference_BHWC: tf.Tensor) -> tf.Tensor:
    """Mean of ``sqrt(difference^2 + epsilon^2) - epsilon``: a smooth absolute error, >= 0."""
    difference = tf.cast(image_BHWC, tf.float32) - tf.cast(reference_BHWC, tf.float32)
    distance = tf.sqrt(tf.square(difference) + CHARBONNIER_EPSILON**2) - CHARBONNIER_EPSILON
    return tf.reduce_mean(distance)


def stage_loss(denoised_BHWC: tf.Tensor, clean_BHWC: tf.Tensor, config: DenoiserStage) -> tf.Tensor:
    """What the denoiser alone is trained on, in normalised units; lower is better."""
    if config.loss == "charbonnier":
        return charbonnier(denoised_BHWC, clean_BHWC)
    # A scale is some 10 grey levels: the floor is again a tenth of one.
    return log_mse_db(denoised_BHWC, clean_BHWC, floor=1e-4)


def log_mse_db(image_BHWC: tf.Tensor, reference_BHWC: tf.Tensor, floor: float) -> tf.Tensor:
    """Mean over images and channels of ``10 log10(mean squared error + floor)``, dB.

    Lower is better. Every image counts alike, whether its noise is weak or strong, where a plain
    mean would be that of the noisiest few. Below ``floor`` (squared units of the image) nothing
    is left to gain. Pixels whose reference is not finite are left out, and with them a channel
    that has no other.
    """
    image_BHWC = tf.cast(image_BHWC, tf.float32)
    reference_BHWC = tf.cast(reference_BHWC, tf.float32)
    counts_BHWC = tf.cast(tf.math.is_finite(reference_BHWC), tf.float32)
    difference = image_BHWC - tf.where(counts_BHWC > 0.5, reference_BHWC, image_BHWC)
    summed_BC = tf.reduce_sum(tf.square(difference), axis=(1, 2))
    n_BC = tf.reduce_sum(counts_BHWC, axis=(1, 2))
    error_BC = tf.math.divide_no_nan(summed_BC, n_BC)
    any_BC = tf.cast(n_BC > 0.0, tf.float32)
    logs = tf.reduce_sum(any_BC * tf.math.log(error_BC + floor))
    mean = tf.math.divide_no_nan(logs, tf.reduce_sum(any_BC))
    return mean * (10.0 / math.log(10.0))
