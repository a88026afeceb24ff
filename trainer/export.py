"""A trained model as a SavedModel that carries its Transform graph.

The Transform graph is inside, so that serving cannot normalise otherwise than training did.
A single request cannot know its plate's BatchNorm statistics: the signatures use those of
the training plates. Whoever has whole plates scores them with :mod:`trainer.predict`, for
which weights, configuration and class names lie beside the graph.
"""

from __future__ import annotations

import os
import tempfile
from typing import Any

import tensorflow as tf

from trainer import schema
from trainer.answers import site_answers
from trainer.artifact import DESCRIPTION, WEIGHTS
from trainer.bundle import BUNDLE_DIR, BUNDLE_WEIGHTS, CLASSES, Bundle, load_bundle
from trainer.data import decode
from trainer.manifest import Manifest
from trainer.normalize import denormalise_image, normalise_image
from trainer.transform_graph import load_transform

__all__ = ["export", "load_bundle"]


def export(trained_dir: str, transform_dir: str, out_dir: str) -> None:
    """Write a SavedModel and the bundle of a finished training into ``out_dir``.

    Signatures:

    ``serving_default(examples)``
        Serialised Examples of the size trained on, string [B] -> ``probabilities`` [B, K],
        ``embedding`` [B, D] and ``plate_known`` [B], 0 where the normaliser never saw the
        plate and the image's own statistics were used.
    ``normalized(image)``
        Normalised float32 [B, H, W, C] -> the same two, and ``denoised``.
    ``denoise(image, center, scale)``
        Grey levels [B, H, W, C], centre and scale [B, C] -> ``denoised`` grey levels.

    Parameters
    ----------
    trained_dir
        What :func:`trainer.train.train` wrote.
    transform_dir
        The Transform graph it was trained with.
    out_dir
        Local folder or ``gs://``; receives the SavedModel, with the class names among its
        assets, and ``platewise/`` for :func:`load_bundle`.
    """
    bundle = load_bundle(trained_dir)
    with tempfile.TemporaryDirectory() as scratch:
        classes_path = os.path.join(scratch, CLASSES)
        with open(classes_path, "w") as stream:
            stream.writelines(f"{name}\n" for name in bundle.classes)
        module = _module(bundle, transform_dir, classes_path)
        tf.saved_model.save(module, out_dir, signatures=module.signatures_to_save)
        target = f"{out_dir.rstrip('/')}/{BUNDLE_DIR}"
        tf.io.gfile.makedirs(target)
        for source, name in (
            (classes_path, CLASSES),
            (f"{trained_dir}/{WEIGHTS}", BUNDLE_WEIGHTS),
            (f"{trained_dir}/{DESCRIPTION}", DESCRIPTION),
        ):
            tf.io.gfile.copy(source, f"{target}/{name}", overwrite=True)


def _module(bundle: Bundle, transform_dir: str, classes_path: str) -> Any:
    config = bundle.config.model
    module: Any = tf.Module()
    module.model = bundle.model
    transform: Any = load_transform(transform_dir)
    module.transform_graph = transform.keep_alive
    module.classes = tf.saved_model.Asset(classes_path)
    shape = Manifest((), config.n_channels, *bundle.site_shape_px)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")], autograph=False)
    def serving_default(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        features = decode(examples, transform, shape)
        return site_answers(features, bundle) | {schema.PLATE_KNOWN: features[schema.PLATE_KNOWN]}

    image_spec = tf.TensorSpec([None, None, None, config.n_channels], tf.float32, "image")

    @tf.function(input_signature=[image_spec], autograph=False)
    def normalized(image: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = bundle.model(image, training=False)
        return {
            schema.PROBABILITIES: tf.nn.softmax(outputs["logits"]),
            schema.EMBEDDING: outputs["embedding"],
            "denoised": outputs["denoised"],
        }

    statistics_spec = [
        tf.TensorSpec([None, config.n_channels], tf.float32, name) for name in ("center", "scale")
    ]

    @tf.function(input_signature=[image_spec, *statistics_spec], autograph=False)
    def denoise(image: tf.Tensor, center: tf.Tensor, scale: tf.Tensor) -> dict[str, tf.Tensor]:
        normalised = normalise_image(image, center, scale)
        denoised = bundle.model.get_layer("denoiser")(normalised, training=False)
        return {"denoised": denormalise_image(denoised, center, scale)}

    module.signatures_to_save = {
        "serving_default": serving_default,
        "normalized": normalized,
        "denoise": denoise,
    }
    return module
