"""A head of cosines with a margin: ArcFace and CosFace.

Embedding and class weights are normalised, so that logits are ``scale * cosine``, and the
margin is taken from the right class while training:

- ArcFace: cos(angle + margin); past angle = pi - margin, where that would rise again, the line
  cosine - margin * sin(margin) goes on (Deng et al., CVPR 2019).
- CosFace: cosine - margin (Wang et al., CVPR 2018).
"""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from trainer.representation_config import MarginConfig

#: Keeps the slope of the sine finite where embedding and class weight coincide.
_COSINE_LIMIT = 1.0 - 1e-6


class CosineHead(keras.layers.Layer):
    """Embedding [B, D] -> cosine with each class weight, float32 [B, K]."""

    def __init__(self, n_classes: int, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)
        self.n_classes = n_classes

    def build(self, input_shape: tuple) -> None:
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.n_classes), initializer="glorot_uniform", name="kernel"
        )

    def call(self, embedding_BD: tf.Tensor) -> tf.Tensor:
        embedding_BD = tf.math.l2_normalize(tf.cast(embedding_BD, tf.float32), axis=1)
        kernel_DK = tf.math.l2_normalize(tf.convert_to_tensor(self.kernel), axis=0)
        return embedding_BD @ kernel_DK


def margin_loss(cosine_BK: tf.Tensor, target_BK: tf.Tensor, config: MarginConfig) -> tf.Tensor:
    """Mean cross-entropy in nats with the margin on the right class, 0 without labels.

    Parameters
    ----------
    cosine_BK
        Cosines, -1..1.
    target_BK
        Class shares. Where an image is a mixture, the loss is the mixture of the losses that
        each of its classes would have as the right one; a row of zeros has none.
    config
        Kind, margin and scale.
    """
    logits_BK = config.scale * cosine_BK
    right_BK = config.scale * with_margin(cosine_BK, config)
    # -log p_k = softplus(log sum_(j != k) exp(logits_j) - right_k). The sum without k by
    # subtraction is exact but for the largest, for which it is summed apart.
    largest_BK = tf.one_hot(
        tf.argmax(logits_BK, axis=1),
        logits_BK.shape[1],
        dtype=tf.bool,
        on_value=True,
        off_value=False,
    )
    all_B1 = tf.reduce_logsumexp(logits_BK, axis=1, keepdims=True)
    smaller_BK = tf.where(largest_BK, tf.constant(-1e9, logits_BK.dtype), logits_BK)
    without_largest_B1 = tf.reduce_logsumexp(smaller_BK, axis=1, keepdims=True)
    probability_BK = tf.where(largest_BK, 0.0, tf.exp(logits_BK - all_B1))
    others_BK = tf.where(largest_BK, without_largest_B1, all_B1 + tf.math.log1p(-probability_BK))
    loss_BK = tf.nn.softplus(others_BK - right_BK)
    target_BK = tf.cast(target_BK, tf.float32)
    return tf.math.divide_no_nan(tf.reduce_sum(target_BK * loss_BK), tf.reduce_sum(target_BK))


def with_margin(cosine: tf.Tensor, config: MarginConfig) -> tf.Tensor:
    """What stands for the cosine of the right class; lower, so that it has to be higher."""
    if config.kind == "cosface":
        return cosine - config.margin
    cosine = tf.clip_by_value(cosine, -_COSINE_LIMIT, _COSINE_LIMIT)
    sine = tf.sqrt(1.0 - tf.square(cosine))
    turned = cosine * math.cos(config.margin) - sine * math.sin(config.margin)
    straight = cosine - config.margin * math.sin(config.margin)
    return tf.where(cosine > -math.cos(config.margin), turned, straight)
