"""From stored sites to what the network answers, in prediction and in an exported model alike."""

from __future__ import annotations

import tensorflow as tf

from trainer import schema
from trainer.bundle import Bundle
from trainer.config import ModelConfig
from trainer.geometry import grey_image, n_tiles, tiles
from trainer.normalize import normalise_image


def model_input(element: dict[str, tf.Tensor], bundle: Bundle) -> tf.Tensor:
    """Stored pixels, centre and scale to normalised tiles [B * T, H, W, C]."""
    config = bundle.config.model
    image = tiles(grey_image(element[schema.PIXELS], config), config.image_size_px)
    return normalise_image(image, *per_tile(element, config))


def site_answers(element: dict[str, tf.Tensor], bundle: Bundle) -> dict[str, tf.Tensor]:
    """Probabilities [B, K] and embedding [B, D] of sites: means over their tiles."""
    outputs = bundle.model(model_input(element, bundle), training=False)

    def over_tiles(values: tf.Tensor) -> tf.Tensor:
        per_site = tf.reshape(values, (tf.shape(element[schema.LABEL])[0], -1, values.shape[-1]))
        return tf.reduce_mean(per_site, axis=1)

    return {
        schema.PROBABILITIES: over_tiles(tf.nn.softmax(outputs["logits"])),
        schema.EMBEDDING: over_tiles(outputs["embedding"]),
    }


def per_tile(element: dict[str, tf.Tensor], config: ModelConfig) -> tuple[tf.Tensor, tf.Tensor]:
    """Centre and scale of sites [B, C], once for each tile [B * T, C]."""
    height, width = (int(side) for side in element[schema.PIXELS].shape[2:])
    n = n_tiles(height, width, config)
    return (
        tf.repeat(element[schema.CENTER], n, axis=0),
        tf.repeat(element[schema.SCALE], n, axis=0),
    )
