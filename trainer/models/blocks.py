"""Layers that the networks share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="platewise")
class SpaceToDepth(keras.layers.Layer):
    """Fold squares of ``factor`` x ``factor`` pixels into channels.

    [B, H, W, C] -> [B, H / factor, W / factor, C * factor^2]. It buys the U-Net a wide view
    at a fraction of the arithmetic, and the matrix unit of a TPU more than six channels.
    """

    def __init__(self, factor: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, image_BHWC: tf.Tensor) -> tf.Tensor:
        return tf.nn.space_to_depth(image_BHWC, self.factor)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        n_images, height, width, channels = input_shape
        return (
            n_images,
            None if height is None else height // self.factor,
            None if width is None else width // self.factor,
            channels * self.factor**2,
        )

    def get_config(self) -> dict:
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable(package="platewise")
class DepthToSpace(SpaceToDepth):
    """The inverse of :class:`SpaceToDepth`."""

    def call(self, image_BHWC: tf.Tensor) -> tf.Tensor:
        return tf.nn.depth_to_space(image_BHWC, self.factor)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        n_images, height, width, channels = input_shape
        return (
            n_images,
            None if height is None else height * self.factor,
            None if width is None else width * self.factor,
            channels // self.factor**2,
        )


@keras.saving.register_keras_serializable(package="platewise")
class FoldChannels(keras.layers.Layer):
    """Each channel becomes an image of its own: [B, H, W, C] -> [B * C, H, W, 1]."""

    def call(self, image_BHWC: tf.Tensor) -> tf.Tensor:
        _, height, width, _ = tf.unstack(tf.shape(image_BHWC))
        return tf.reshape(tf.transpose(image_BHWC, (0, 3, 1, 2)), (-1, height, width, 1))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (None, *input_shape[1:3], 1)


@keras.saving.register_keras_serializable(package="platewise")
class UnfoldChannels(keras.layers.Layer):
    """The inverse of :class:`FoldChannels`; the second input is the image that was folded."""

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        folded_BHW1, image_BHWC = inputs
        n_images, height, width, channels = tf.unstack(tf.shape(image_BHWC))
        stacked_BCHW = tf.reshape(folded_BHW1, (n_images, channels, height, width))
        unfolded_BHWC = tf.transpose(stacked_BCHW, (0, 2, 3, 1))
        return tf.ensure_shape(unfolded_BHWC, image_BHWC.shape)

    def compute_output_shape(self, input_shape: list[tuple]) -> tuple:
        return input_shape[1]


@keras.saving.register_keras_serializable(package="platewise")
class GradientShare(keras.layers.Layer):
    """The identity on the way forward; on the way back the gradient times ``share``."""

    def __init__(self, share: float, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.share = share

    def call(self, x: tf.Tensor) -> tf.Tensor:
        share = self.share

        @tf.custom_gradient
        def identity(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
            return tf.identity(x), lambda upstream: upstream * share

        return identity(x)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "share": self.share}


def conv(width: int, name: str, stride: int = 1) -> keras.layers.Conv2D:
    """A 3 x 3 convolution with leaky ReLU and bias, for networks without normalisation.

    Leaky, because a plain ReLU without a normalisation in front of it can die for good.
    """
    return keras.layers.Conv2D(
        width,
        3,
        strides=stride,
        padding="same",
        activation=keras.layers.LeakyReLU(0.1),
        kernel_initializer="he_normal",
        name=name,
    )


def conv_norm(
    x_BHWC: keras.KerasTensor, width: int, name: str, stride: int = 1
) -> keras.KerasTensor:
    """Apply a 3 x 3 convolution, :func:`batch_norm` and ReLU."""
    x_BHWC = keras.layers.Conv2D(
        width,
        3,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x_BHWC)
    x_BHWC = batch_norm(f"{name}_norm")(x_BHWC)
    return keras.layers.ReLU(name=f"{name}_relu")(x_BHWC)


def batch_norm(name: str, dtype: str | None = None) -> keras.layers.BatchNormalization:
    """BatchNormalization whose moving averages settle within some 50 steps.

    The statistics are not synchronised across replicas: a replica's minibatch is one plate,
    and the statistics of that plate are what normalises it.
    """
    return keras.layers.BatchNormalization(momentum=0.9, synchronized=False, dtype=dtype, name=name)


def batch_norm_layers(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """Every BatchNormalization of a model, nested ones too, in a fixed order."""
    return [
        layer
        for layer in model._flatten_layers(include_self=False)
        if isinstance(layer, keras.layers.BatchNormalization)
    ]


@contextlib.contextmanager
def precision(policy: str) -> Iterator[None]:
    """Layers made inside compute in ``policy`` (their variables stay float32).

    keras.applications takes no policy, so the global one is set, and put back afterwards.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
