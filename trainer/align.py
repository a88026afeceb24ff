"""Draws the distribution of the embedding in each experiment to that of its cell type.

A minibatch of one plate holds a single experiment, so there is nothing to compare it with
inside: every experiment keeps running statistics, and those of the experiments in the minibatch
at hand are drawn to the mean of the other experiments of the same cell type. The distance is
between running statistics (those of 32 sites would be noise); its gradient is that of the part
which the minibatch adds, taken whole.

``coral``: the mean square difference of means plus that of covariances (Sun and Saenko, "Deep
CORAL", 2016, in the form of WILDS). ``mmd``: the squared maximum mean discrepancy under a mean
of Gaussian kernels (Gretton et al., JMLR 2012), by random Fourier features (Rahimi and Recht,
2007), whose mean is all that has to be kept of an experiment.

Behind a BatchNorm over plate-pure minibatches the means agree already; what is left to align
are the covariances between dimensions and, for ``mmd``, the shape.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from trainer.domains import Domains
from trainer.representation_config import AlignmentConfig

#: With fewer sites of an experiment in a minibatch there is no covariance.
_MIN_SITES = 2.0
_FREQUENCY_SEED = 20070612


class Alignment:
    """Running statistics of every experiment, and the distance to those of its cell type.

    Parameters
    ----------
    config
        Kind, decay, kernel.
    domains
        Experiments and their cell types.
    embedding_dim
        D. ``coral`` keeps D + D * D numbers an experiment, ``mmd`` ``random_features``.
    """

    def __init__(self, config: AlignmentConfig, domains: Domains, embedding_dim: int) -> None:
        self._config, self._dim = config, embedding_dim
        others = domains.same_cell_type() & ~np.eye(len(domains.experiments), dtype=bool)
        self._others_EE = others.astype(np.float32)
        n_experiments = len(domains.experiments)
        length = (
            embedding_dim * (1 + embedding_dim) if config.kind == "coral" else _n_features(config)
        )
        # All replicas assign the same values, summed over them.
        self._running_ES = _variable((n_experiments, length), "alignment_running")
        self._seen_E = _variable((n_experiments,), "alignment_seen")
        self.variables = [self._running_ES, self._seen_E]

    def loss(
        self, embedding_BD: tf.Tensor, experiment_BE: tf.Tensor
    ) -> tuple[tf.Tensor, tuple[tf.Tensor, tf.Tensor]]:
        """Distance, a mean over the experiments in the minibatch, and what :meth:`update` takes.

        0 until a second experiment of the cell type was seen.

        Parameters
        ----------
        embedding_BD
            float32.
        experiment_BE
            Shares of each site's experiments.
        """
        statistics_ES, weight_E = self.statistics(embedding_BD, experiment_BE)
        seen_E, decay = self._seen_E, self._config.decay
        present_E = tf.cast(weight_E >= _MIN_SITES, tf.float32)
        mixed_ES = tf.stop_gradient(
            tf.where(
                seen_E[:, None] > 0.0,
                decay * self._running_ES + (1.0 - decay) * statistics_ES,
                statistics_ES,
            )
        )
        # The value of the running statistics with the gradient of the minibatch's.
        drawn_ES = mixed_ES + (statistics_ES - tf.stop_gradient(statistics_ES))
        known_EE = self._others_EE * tf.cast(seen_E > 0.0, tf.float32)[None, :]
        n_known_E1 = tf.reduce_sum(known_EE, axis=1, keepdims=True)
        target_ES = tf.math.divide_no_nan(known_EE @ self._running_ES, n_known_E1)
        counted_E = present_E * tf.cast(n_known_E1[:, 0] > 0.0, tf.float32)
        distance_E = self.distance(drawn_ES, target_ES)
        loss = tf.math.divide_no_nan(
            tf.reduce_sum(counted_E * distance_E), tf.reduce_sum(counted_E)
        )
        return loss, (present_E[:, None] * tf.stop_gradient(statistics_ES), present_E)

    def update(
        self, replica: tf.distribute.ReplicaContext, found: tuple[tf.Tensor, tf.Tensor]
    ) -> None:
        """Add the statistics of a step's minibatches, the mean over replicas that have them."""
        sum_ES, count_E = replica.all_reduce(tf.distribute.ReduceOp.SUM, list(found))
        fresh_ES = tf.math.divide_no_nan(sum_ES, count_E[:, None])
        decay = self._config.decay
        blended_ES = tf.where(
            self._seen_E[:, None] > 0.0,
            decay * self._running_ES + (1.0 - decay) * fresh_ES,
            fresh_ES,
        )
        self._running_ES.assign(
            tf.where(count_E[:, None] > 0.0, blended_ES, tf.identity(self._running_ES))
        )
        self._seen_E.assign(tf.maximum(self._seen_E, tf.minimum(count_E, 1.0)))

    def statistics(
        self, embedding_BD: tf.Tensor, experiment_BE: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """What is kept of each experiment [E, S], and its weight in sites [E]."""
        weight_E = tf.reduce_sum(experiment_BE, axis=0)
        share_BE = tf.math.divide_no_nan(experiment_BE, weight_E[None, :])
        if self._config.kind == "mmd":
            features_BS = random_features(embedding_BD, self._config)
            return tf.einsum("be,bs->es", share_BE, features_BS), weight_E
        mean_ED = tf.einsum("be,bd->ed", share_BE, embedding_BD)
        square_EDD = tf.einsum("be,bi,bj->eij", share_BE, embedding_BD, embedding_BD)
        covariance_EDD = square_EDD - mean_ED[:, :, None] * mean_ED[:, None, :]
        bessel_E = tf.math.divide_no_nan(weight_E, tf.maximum(weight_E - 1.0, 1e-3))
        covariance_EDD *= bessel_E[:, None, None]
        flat_ES = tf.reshape(covariance_EDD, (tf.shape(mean_ED)[0], self._dim**2))
        return tf.concat([mean_ED, flat_ES], axis=1), weight_E

    def distance(self, a_ES: tf.Tensor, b_ES: tf.Tensor) -> tf.Tensor:
        """Squared distance of the two, for each experiment [E]."""
        square_ES = tf.square(a_ES - b_ES)
        if self._config.kind == "mmd":
            return tf.reduce_sum(square_ES, axis=1)
        means, covariances = square_ES[:, : self._dim], square_ES[:, self._dim :]
        return tf.reduce_mean(means, axis=1) + tf.reduce_mean(covariances, axis=1)


def random_features(embedding_BD: tf.Tensor, config: AlignmentConfig) -> tf.Tensor:
    """Features [B, S] whose inner product is close to the mean of the Gaussian kernels.

    A kernel of width w is exp(-|x - y|^2 / (2 s^2)) with s = w * sqrt(2 D). Frequencies are
    drawn from a fixed seed: they are part of the loss, not of the run.
    """
    dim = int(embedding_BD.shape[1])
    per_kernel = _n_features(config) // (2 * len(config.kernel_widths))
    generator = np.random.default_rng([_FREQUENCY_SEED, dim])
    frequencies_DS = np.concatenate(
        [
            generator.standard_normal((dim, per_kernel)) / (width * math.sqrt(2.0 * dim))
            for width in config.kernel_widths
        ],
        axis=1,
    )
    angle_BS = embedding_BD @ tf.constant(frequencies_DS, tf.float32)
    scale = 1.0 / math.sqrt(per_kernel * len(config.kernel_widths))
    return scale * tf.concat([tf.cos(angle_BS), tf.sin(angle_BS)], axis=1)


def _n_features(config: AlignmentConfig) -> int:
    per = 2 * len(config.kernel_widths)
    return config.random_features // per * per


def _variable(shape: tuple[int, ...], name: str) -> tf.Variable:
    # Without aggregation each replica assigns its own copy, and all assign the same.
    return tf.Variable(tf.zeros(shape), trainable=False, name=name)
