"""BatchNorm statistics of the plate at hand.

While training, BatchNorm sees minibatches of one plate and removes what that plate's wells
share. A new plate must be treated alike, so prediction replaces the moving statistics, an
average over training plates, by those of the plate: mean = E[m] and
variance = E[v + m^2] - E[m]^2 over the plate's minibatches, weighted by their sites. For the
first layer that is exact; behind it, each minibatch was normalised by its own moments, as
while training. (AdaBN: Li et al., "Revisiting batch normalization for practical domain
adaptation", 2016, with the plate as the domain.)
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.models import batch_norm_layers


def moments_function(model: keras.Model, prepare: Callable[[Any], tf.Tensor]) -> Callable:
    """A compiled function from a minibatch to the moments inside every BatchNorm layer.

    Everything but BatchNorm runs as in prediction: dropout and stochastic depth stay off.

    Parameters
    ----------
    model
        Any Keras model.
    prepare
        From an element of the input to what the model takes.

    Returns
    -------
    Callable
        Element -> list of (mean, variance), float32 [features], in the order of
        :func:`batch_norm_layers`.
    """
    layers = batch_norm_layers(model)

    @tf.function(reduce_retracing=True, autograph=False)
    def moments(element: Any) -> list[tuple[tf.Tensor, tf.Tensor]]:
        seen: dict[int, tuple[tf.Tensor, tf.Tensor]] = {}
        with _normalise_by_minibatch(layers, seen):
            model(prepare(element), training=False)
        return [seen[id(layer)] for layer in layers]

    return moments


@contextlib.contextmanager
def _normalise_by_minibatch(
    layers: list[keras.layers.BatchNormalization], seen: dict[int, Any]
) -> Iterator[None]:
    """While it is open, calling one of ``layers`` uses and notes the minibatch's moments."""

    def replacement(layer: keras.layers.BatchNormalization) -> Callable:
        def call(inputs: tf.Tensor, training: Any = None, mask: Any = None) -> tf.Tensor:
            x = tf.cast(inputs, tf.float32)
            axis = layer.axis % x.shape.rank
            mean, variance = tf.nn.moments(x, [i for i in range(x.shape.rank) if i != axis])
            seen[id(layer)] = (mean, variance)
            shape = [1] * x.shape.rank
            shape[axis] = -1
            factor = tf.math.rsqrt(variance + layer.epsilon)
            if layer.scale:
                factor *= tf.cast(layer.gamma, tf.float32)
            y = (x - tf.reshape(mean, shape)) * tf.reshape(factor, shape)
            if layer.center:
                y += tf.reshape(tf.cast(layer.beta, tf.float32), shape)
            return tf.cast(y, layer.compute_dtype)

        return call

    try:
        for layer in layers:
            layer.call = replacement(layer)
        yield
    finally:
        for layer in layers:
            del layer.call  # the class's own method shows again


def plate_statistics(
    moments: Callable, minibatches: Iterable[tuple[Any, int]]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Mean and variance over a plate for every BatchNorm layer, float32 [features].

    Parameters
    ----------
    moments
        From :func:`moments_function`.
    minibatches
        Elements, each with its number of sites.
    """
    total = 0
    sums: list[tuple[np.ndarray, np.ndarray]] = []
    for element, n_sites in minibatches:
        found = [(m.numpy().astype(np.float64), v.numpy()) for m, v in moments(element)]
        parts = [(n_sites * m, n_sites * (v + m * m)) for m, v in found]
        if sums:
            parts = [(a + c, b + d) for (a, b), (c, d) in zip(sums, parts, strict=True)]
        sums, total = parts, total + n_sites
    means = [(first / total, second / total) for first, second in sums]
    return [
        (mean.astype(np.float32), np.maximum(square - mean * mean, 0.0).astype(np.float32))
        for mean, square in means
    ]


@contextlib.contextmanager
def using_statistics(
    model: keras.Model, statistics: list[tuple[np.ndarray, np.ndarray]]
) -> Iterator[None]:
    """The model with these statistics instead of its moving ones, which come back after."""
    layers = batch_norm_layers(model)
    kept = [(layer.moving_mean.numpy(), layer.moving_variance.numpy()) for layer in layers]
    try:
        _assign(layers, statistics)
        yield
    finally:
        _assign(layers, kept)


def _assign(layers: list, statistics: list[tuple[np.ndarray, np.ndarray]]) -> None:
    for layer, (mean, variance) in zip(layers, statistics, strict=True):
        layer.moving_mean.assign(mean)
        layer.moving_variance.assign(variance)
