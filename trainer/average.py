"""An exponential moving average of the weights, which stands in for them once training ends.

average <- d * average + (1 - d) * weights after each step, with d = min(decay, (1 + n) /
(10 + n)) after n steps, so that a short run is not an average of its start (the rule of
``tf.train.ExponentialMovingAverage``; Polyak and Juditsky, 1992, for averaging).

BatchNorm's moving statistics are averaged likewise. They matter where a plate's own are not
taken; where they are (AdaBN), prediction computes them under the averaged weights.
"""

from __future__ import annotations

import keras
import tensorflow as tf


def decay_at(n_steps: tf.Tensor, decay: float) -> tf.Tensor:
    """Share of the average that stays after ``n_steps`` earlier steps (0 at the first: 0.1)."""
    n = tf.cast(n_steps, tf.float32)
    return tf.minimum(tf.constant(decay, tf.float32), (1.0 + n) / (10.0 + n))


class WeightAverage:
    """The average of every floating-point variable of a model.

    Parameters
    ----------
    model
        Built; under the scope of its strategy.
    decay
        Share that stays, below 1.
    """

    def __init__(self, model: keras.Model, decay: float) -> None:
        self._decay = decay
        self._sources = [v.value for v in model.variables if "float" in v.dtype]
        self.variables = [
            # As the source's: BatchNorm's statistics differ between replicas.
            tf.Variable(
                source.numpy() if hasattr(source, "numpy") else source,
                trainable=False,
                dtype=source.dtype,
                synchronization=source.synchronization,
                aggregation=source.aggregation,
                name=f"average_{i}",
            )
            for i, source in enumerate(self._sources)
        ]

    def update(self, step: tf.Tensor) -> None:
        """Take the weights after ``step`` (0 is the first) into the average, in a replica."""
        stays = decay_at(step, self._decay)
        for average, source in zip(self.variables, self._sources, strict=True):
            average.assign(stays * average + (1.0 - stays) * source)

    def put_into_model(self) -> None:
        """Replace the model's weights, outside replicas, once training is over."""
        for average, source in zip(self.variables, self._sources, strict=True):
            source.assign(tf.convert_to_tensor(average))
