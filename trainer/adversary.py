"""An adversary that guesses the experiment from the embedding, within a cell type.

It learns to guess; its gradient reaches the embedding reversed, so that the network unlearns
what tells experiments apart (Ganin et al., "Domain-adversarial training of neural networks",
JMLR 2016). Softmax and chance are within the cell type of the site: across cell types the
experiment is told by the biology, which is to stay.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.domains import Domains
from trainer.representation_config import AdversaryConfig


def build_adversary(
    config: AdversaryConfig, embedding_dim: int, n_experiments: int
) -> keras.Sequential:
    """Embedding [B, D] -> logits of experiments [B, E], float32."""
    return keras.Sequential(
        [
            keras.Input((embedding_dim,)),
            keras.layers.Dense(
                config.hidden_width, activation="relu", dtype="float32", name="adversary_hidden"
            ),
            keras.layers.Dense(n_experiments, dtype="float32", name="adversary_logits"),
        ],
        name="adversary",
    )


def reverse_gradient(x: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """``x`` on the way forward; on the way back the gradient times ``-strength``."""

    @tf.custom_gradient
    def reversing(x: tf.Tensor, strength: tf.Tensor) -> tuple[tf.Tensor, Any]:
        return tf.identity(x), lambda upstream: (-strength * upstream, None)

    return reversing(x, strength)


def strength_at(step: tf.Tensor, n_steps: int, config: AdversaryConfig) -> tf.Tensor:
    """Share of the reversed gradient at a step: ``weight`` times DANN's ramp from 0 to 1."""
    weight = tf.constant(config.weight, tf.float32)
    if config.ramp == 0.0:
        return weight
    share = tf.cast(step, tf.float32) / max(n_steps, 1)
    return weight * (2.0 / (1.0 + tf.exp(-config.ramp * share)) - 1.0)


def adversary_terms(
    logits_BE: tf.Tensor, experiment_BE: tf.Tensor, domains: Domains
) -> tuple[tf.Tensor, tf.Tensor]:
    """Cross-entropy in nats and accuracy (0..1), within the cell type; means over sites.

    Sites whose cell type has a single experiment are left out.

    Parameters
    ----------
    logits_BE
        What the adversary says.
    experiment_BE
        Shares of each site's experiments; a mixed image has several.
    domains
        Which experiments share a cell type.
    """
    same_EE = domains.same_cell_type()
    told_apart_E = tf.constant(same_EE.sum(axis=1) > 1, tf.float32)
    # log p(experiment | its cell type) for each experiment, whatever the site's is.
    cells_XE = np.stack(
        [
            domains.cell_type_of_experiment == c
            for c in range(domains.cell_type_of_experiment.max() + 1)
        ]
    )
    hidden_XE = tf.constant(np.where(cells_XE, 0.0, -1e9), tf.float32)
    normaliser_BX = tf.reduce_logsumexp(logits_BE[:, None, :] + hidden_XE[None], axis=2)
    log_p_BE = logits_BE - tf.gather(
        normaliser_BX, tf.constant(domains.cell_type_of_experiment), axis=1
    )
    weight_BE = experiment_BE * told_apart_E
    total = tf.reduce_sum(weight_BE)
    entropy = tf.math.divide_no_nan(-tf.reduce_sum(weight_BE * log_p_BE), total)
    best_BX = tf.reduce_max(logits_BE[:, None, :] + hidden_XE[None], axis=2)
    best_BE = tf.gather(best_BX, tf.constant(domains.cell_type_of_experiment), axis=1)
    hit_BE = tf.cast(logits_BE >= best_BE, tf.float32)
    return entropy, tf.math.divide_no_nan(tf.reduce_sum(weight_BE * hit_BE), total)
