"""The joint loss against scikit-learn and NumPy, and what gradients it sends where."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax
from sklearn.metrics import log_loss

from trainer.config import LossConfig, ModelConfig
from trainer.losses import CHARBONNIER_EPSILON, charbonnier, cross_entropy, joint_loss
from trainer.models import build_model

RNG = np.random.default_rng(5)


def outputs_like(n: int = 6, k: int = 4) -> dict[str, tf.Tensor]:
    return {
        "logits": tf.constant(RNG.normal(size=(n, k)) * 3, tf.float32),
        "denoised": tf.constant(RNG.normal(size=(n, 8, 8, 2)), tf.float32),
    }


def test_cross_entropy_equals_scikit_learns_log_loss() -> None:
    logits = RNG.normal(size=(50, 7)).astype(np.float32) * 3
    labels = RNG.integers(0, 7, 50)
    ours = cross_entropy(tf.constant(logits), tf.one_hot(labels, 7), 0.0)
    theirs = log_loss(labels, np.exp(log_softmax(logits.astype(float), axis=1)), labels=range(7))
    assert float(ours) == pytest.approx(theirs, rel=1e-5)


def test_label_smoothing_equals_keras() -> None:
    import keras

    logits, target = outputs_like()["logits"], tf.one_hot([0, 1, 2, 3, 0, 1], 4)
    theirs = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2)
    assert float(cross_entropy(logits, target, 0.2)) == pytest.approx(
        float(theirs(target, logits)), rel=1e-5
    )


def test_unlabelled_rows_do_not_count() -> None:
    logits = outputs_like()["logits"]
    labelled = cross_entropy(logits[:2], tf.one_hot([0, 1], 4), 0.1)
    padded = cross_entropy(logits, tf.one_hot([0, 1, -1, -1, -1, -1], 4), 0.1)
    assert float(padded) == pytest.approx(float(labelled), rel=1e-6)
    assert float(cross_entropy(logits, tf.zeros((6, 4)), 0.1)) == 0.0


def test_charbonnier_equals_numpy_and_is_zero_for_equal_images() -> None:
    a, b = RNG.normal(size=(2, 3, 8, 8, 2)).astype(np.float32)
    expected = np.mean(np.sqrt((a - b) ** 2 + CHARBONNIER_EPSILON**2) - CHARBONNIER_EPSILON)
    assert float(charbonnier(tf.constant(a), tf.constant(b))) == pytest.approx(expected, rel=1e-5)
    assert float(charbonnier(tf.constant(a), tf.constant(a))) == 0.0


def test_weights_multiply_terms_and_zero_leaves_a_term_out() -> None:
    outputs, target = outputs_like(), tf.one_hot([0, 1, 2, 3, 0, 1], 4)
    clean = tf.zeros((6, 8, 8, 2))
    config = LossConfig(classification=2.0, reconstruction=0.25, clean_classification=0.5)
    total, terms = joint_loss(outputs, target, clean, config, outputs["logits"] * 0.5)
    assert set(terms) == {"classification", "reconstruction", "clean_classification"}
    expected = 2.0 * terms["classification"] + 0.25 * terms["reconstruction"]
    expected += 0.5 * terms["clean_classification"]
    assert float(total) == pytest.approx(float(expected), rel=1e-6)
    config = LossConfig(classification=0.0, reconstruction=0.5)
    total, terms = joint_loss(outputs, target, clean, config)
    assert set(terms) == {"reconstruction"}
    assert float(total) == pytest.approx(0.5 * float(terms["reconstruction"]))


def test_a_clean_term_without_clean_logits_is_refused() -> None:
    with pytest.raises(ValueError, match="clean_logits_BK"):
        joint_loss(
            outputs_like(),
            tf.one_hot([0, 1, 2, 3, 0, 1], 4),
            tf.zeros((6, 8, 8, 2)),
            LossConfig(clean_classification=0.1),
        )


def test_bfloat16_outputs_are_judged_in_float32() -> None:
    outputs = {k: tf.cast(v, tf.bfloat16) for k, v in outputs_like().items()}
    target, clean = tf.one_hot([0, 1, 2, 3, 0, 1], 4), tf.zeros((6, 8, 8, 2), tf.bfloat16)
    total, terms = joint_loss(outputs, target, clean, LossConfig())
    assert {total.dtype, *(t.dtype for t in terms.values())} == {tf.float32}


def test_reconstruction_alone_trains_the_denoiser_alone() -> None:
    config = ModelConfig(
        image_size_px=16, denoiser_widths=(8, 8), backbone="tiny", tiny_widths=(8,), embedding_dim=4
    )
    model = build_model(config, 4)
    noisy = tf.constant(RNG.normal(size=(4, 16, 16, 6)), tf.float32)
    with tf.GradientTape() as tape:
        loss, _ = joint_loss(
            model(noisy, training=True),
            tf.one_hot([0, 1, 2, 3], 4),
            noisy + 1.0,
            LossConfig(classification=0.0),
        )
    gradients = tape.gradient(loss, model.trainable_variables)
    reached = {
        v.path.split("/")[0]
        for v, g in zip(model.trainable_variables, gradients, strict=True)
        if g is not None
    }
    classifier = {v.path for v in model.get_layer("classifier").trainable_variables}
    touched = {
        v.path for v, g in zip(model.trainable_variables, gradients, strict=True) if g is not None
    }
    assert reached
    assert not touched & classifier
