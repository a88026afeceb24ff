"""BatchNorm statistics of a plate against NumPy."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.adapt import moments_function, plate_statistics, using_statistics
from trainer.config import ModelConfig
from trainer.models import batch_norm_layers, build_model


def small_model() -> keras.Model:
    keras.utils.set_random_seed(1)
    image = keras.Input((6, 6, 3))
    inner_in = keras.Input((None, None, 4))
    inner = keras.layers.BatchNormalization(scale=False, name="second")(inner_in)
    inner = keras.layers.Dropout(0.9)(keras.layers.ReLU()(inner))
    x = keras.layers.Conv2D(4, 3, name="conv")(image)
    x = keras.layers.BatchNormalization(name="first", gamma_initializer="random_normal")(x)
    x = keras.Model(inner_in, inner)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.BatchNormalization(center=False, name="third")(x))


def images(n: int) -> np.ndarray:
    return np.random.default_rng(2).normal(3, 2, (n, 6, 6, 3)).astype(np.float32)


def statistics(model: keras.Model, parts: list[np.ndarray]) -> list:
    return plate_statistics(moments_function(model, tf.identity), [(p, len(p)) for p in parts])


@pytest.mark.parametrize("bounds", [(0, 23), (0, 12, 23), (0, 9, 10, 23)])
def test_first_layer_has_the_exact_moments_of_the_plate(bounds: tuple[int, ...]) -> None:
    model, plate = small_model(), images(23)
    parts = [plate[a:b] for a, b in itertools.pairwise(bounds)]
    mean, variance = statistics(model, parts)[0]
    seen = keras.Model(model.input, model.get_layer("conv").output).predict(plate, verbose=0)
    seen = seen.astype(np.float64)
    np.testing.assert_allclose(mean, seen.mean(axis=(0, 1, 2)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(variance, seen.var(axis=(0, 1, 2)), rtol=1e-4)


def test_a_plate_in_one_minibatch_gives_what_keras_training_mode_gives() -> None:
    """With one minibatch the statistics are exact in every layer, and dropout is off."""
    model, plate = small_model(), images(16)
    found = statistics(model, [plate])
    reference = small_model()
    reference.set_weights(model.get_weights())
    for layer in reference._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0  # the moving statistics become the minibatch's
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    expected = reference(plate, training=True)
    with using_statistics(model, found):
        np.testing.assert_allclose(model(plate, training=False), expected, atol=1e-4)
    for layer, (mean, variance) in zip(batch_norm_layers(reference), found, strict=True):
        np.testing.assert_allclose(layer.moving_mean, mean, atol=1e-5)
        np.testing.assert_allclose(layer.moving_variance, variance, atol=1e-4)


def test_the_model_is_as_before_afterwards_even_after_an_error() -> None:
    model, plate = small_model(), images(8)
    before, weights = model(plate, training=False).numpy(), model.get_weights()
    found = statistics(model, [plate])
    with pytest.raises(ZeroDivisionError), using_statistics(model, found):
        assert not np.allclose(model(plate, training=False), before)
        raise ZeroDivisionError
    np.testing.assert_array_equal(model(plate, training=False), before)
    for a, b in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not any("call" in vars(layer) for layer in batch_norm_layers(model))


def test_a_gain_and_offset_of_the_plate_are_taken_out() -> None:
    config = ModelConfig(
        n_channels=2,
        image_size_px=8,
        denoiser=False,
        backbone="tiny",
        tiny_widths=(4,),
        embedding_dim=3,
    )
    keras.utils.set_random_seed(0)
    model = build_model(config, 3)
    plate = np.random.default_rng(3).normal(size=(12, 8, 8, 2)).astype(np.float32)
    answers = []
    for seen in (plate, 3.0 * plate):
        with using_statistics(model, statistics(model, [seen])):
            answers.append(model(seen, training=False)["logits"].numpy())
    np.testing.assert_allclose(answers[0], answers[1], atol=5e-3)
    assert np.abs(model(3.0 * plate)["logits"] - model(plate)["logits"]).max() > 0.05


def test_every_layer_of_a_keras_application_is_found() -> None:
    config = ModelConfig(image_size_px=32, denoiser=False, backbone="EfficientNetV2B0")
    model = build_model(config, 2)
    plate = np.random.default_rng(4).normal(size=(4, 32, 32, 6)).astype(np.float32)
    found = statistics(model, [plate[:2], plate[2:]])
    assert len(found) == len(batch_norm_layers(model)) > 50
    assert all(np.isfinite(m).all() and (v >= 0).all() for m, v in found)
