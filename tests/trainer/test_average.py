"""The average of weights against a loop by hand; sizes by the step."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.average import WeightAverage, decay_at
from trainer.geometry import shrink
from trainer.presets import preset
from trainer.progressive import image_sizes
from trainer.strict import ConfigError


def test_it_is_the_loop_by_hand_and_replaces_the_weights() -> None:
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2), keras.layers.BatchNormalization()]
    )
    average = WeightAverage(model, decay=0.6)
    expected = [w.copy() for w in model.get_weights()]
    rng = np.random.default_rng(0)
    for step in range(12):
        fresh = [rng.normal(size=w.shape).astype("f4") for w in model.get_weights()]
        model.set_weights(fresh)
        average.update(tf.constant(step))
        d = min(0.6, (1 + step) / (10 + step))
        expected = [d * e + (1 - d) * w for e, w in zip(expected, fresh, strict=True)]
    assert not np.allclose(model.get_weights()[0], expected[0], atol=1e-2)
    average.put_into_model()
    for found, wanted in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_the_decay_is_tensorflows() -> None:
    """``tf.train.ExponentialMovingAverage`` with ``num_updates``, one variable."""
    for step in (0, 5, 1000):
        variable = tf.Variable(1.0)
        theirs = tf.train.ExponentialMovingAverage(0.99, num_updates=step)
        theirs.apply([variable])
        variable.assign(3.0)
        theirs.apply([variable])
        d = float(decay_at(tf.constant(step), 0.99))
        assert float(theirs.average(variable)) == pytest.approx(d * 1.0 + (1 - d) * 3.0, rel=1e-5)


def test_sizes_change_between_epochs() -> None:
    stages = [[0.25, 16], [0.25, 32], [0.5, 64]]
    config = preset("tiny", {"progressive": {"stages": stages}, "loop": {"epochs": 8}})
    sizes = image_sizes(config, steps_per_epoch=3)
    assert sizes.all_px == (16, 32, 64)
    assert [sizes.at(s) for s in (0, 5, 6, 11, 12, 23)] == [16, 16, 32, 32, 64, 64]
    assert image_sizes(preset("tiny"), 3).all_px == (64,)


def test_a_shrunk_image_is_tensorflows_antialiased_one() -> None:
    image = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("f4")
    expected = tf.image.resize(image, (16, 16), antialias=True)
    np.testing.assert_allclose(shrink(tf.constant(image), 16), expected, rtol=1e-4, atol=1e-3)
    assert shrink(image, 32) is image


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"progressive": {"stages": [[1.0, 32]]}}, "last of progressive.stages must be"),
        ({"progressive": {"stages": [[0.5, 30], [0.5, 64]]}}, "multiple of 4 for this denoiser"),
        ({"progressive": {"stages": [[0.5, 32], [0.6, 64]]}}, "must sum to 1; got 1.1"),
        ({"progressive": {"stages": [[0.01, 32], [0.99, 64]]}}, "0.2 of 20 epochs"),
        ({"context": {"control_sites": 4}, "data": {"composition": "random"}}, 'must be "plate"'),
        ({"adversary": {"weight": 1.0}, "loss": {"classification": 0.0}}, "adversary.weight is"),
        ({"margin": {"kind": "arcface", "margin": 2.0}}, r"margin must lie in 0..1.57"),
    ],
)
def test_what_does_not_go_together_is_refused(changes, message) -> None:
    with pytest.raises(ConfigError, match=message):
        preset("tiny", changes)
