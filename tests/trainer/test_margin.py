"""ArcFace and CosFace against the formulas of the papers, one image at a time in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from trainer.margin import CosineHead, margin_loss
from trainer.representation_config import MarginConfig


def reference(cosine_BK: np.ndarray, label: list[int], config: MarginConfig) -> float:
    """-log(e^(s f(y)) / (e^(s f(y)) + sum over j != y of e^(s cos_j))), float64."""
    losses = []
    for cosine_K, y in zip(cosine_BK.astype(np.float64), label, strict=True):
        theta = np.arccos(cosine_K[y])
        if config.kind == "cosface":
            right = cosine_K[y] - config.margin
        elif theta + config.margin < np.pi:
            right = np.cos(theta + config.margin)
        else:
            right = cosine_K[y] - config.margin * np.sin(config.margin)
        logits = config.scale * cosine_K
        logits[y] = config.scale * right
        top = logits.max()
        losses.append(top + np.log(np.exp(logits - top).sum()) - logits[y])
    return float(np.mean(losses))


@pytest.mark.parametrize("kind", ["arcface", "cosface"])
@pytest.mark.parametrize(("margin", "scale"), [(0.0, 1.0), (0.3, 30.0), (0.5, 64.0)])
def test_the_loss_is_the_papers(kind, margin, scale) -> None:
    rng = np.random.default_rng(0)
    cosine_BK = rng.uniform(-0.99, 0.99, (40, 7)).astype(np.float32)
    cosine_BK[0, 0], cosine_BK[1, 1] = -0.999, 0.999  # past the turn, and all but certain
    label = [0, 1, *rng.integers(0, 7, 38)]
    config = MarginConfig(weight=1.0, kind=kind, margin=margin, scale=scale)
    found = margin_loss(tf.constant(cosine_BK), tf.one_hot(label, 7), config)
    assert float(found) == pytest.approx(reference(cosine_BK, label, config), rel=1e-4)


def test_without_margin_it_is_cross_entropy_and_a_mixture_is_mixed() -> None:
    rng = np.random.default_rng(1)
    cosine_BK = tf.constant(rng.uniform(-1, 1, (5, 4)), tf.float32)
    target_BK = np.zeros((5, 4), np.float32)
    target_BK[np.arange(4), [0, 1, 2, 3]] = 0.7
    target_BK[np.arange(4), [1, 2, 3, 0]] = 0.3  # the last row is unlabelled
    config = MarginConfig(weight=1.0, margin=0.0, kind="cosface", scale=10.0)
    found = margin_loss(cosine_BK, tf.constant(target_BK), config)
    expected = tf.nn.softmax_cross_entropy_with_logits(target_BK[:4], 10.0 * cosine_BK[:4])
    assert float(found) == pytest.approx(float(tf.reduce_mean(expected)), rel=1e-5)
    assert float(margin_loss(cosine_BK, tf.zeros((5, 4)), config)) == 0.0


def test_the_gradient_is_finite_and_right_where_one_class_dominates() -> None:
    config = MarginConfig(weight=1.0, kind="arcface", margin=0.5, scale=64.0)
    cosine_BK = tf.Variable([[1.0, -1.0, 0.2], [-1.0, 1.0, 1.0]])
    with tf.GradientTape() as tape:
        loss = margin_loss(cosine_BK, tf.one_hot([0, 0], 3), config)
    gradient = tape.gradient(loss, cosine_BK).numpy()
    assert np.isfinite(gradient).all() and np.isfinite(float(loss))
    assert gradient[1, 1] > 1.0  # the wrong class is pushed away


def test_the_head_gives_cosines_whatever_the_lengths() -> None:
    head = CosineHead(3)
    head.build((None, 5))
    x_BD = np.random.default_rng(2).normal(size=(4, 5)).astype(np.float32)
    kernel = head.kernel.numpy()
    expected = (x_BD @ kernel) / np.linalg.norm(x_BD, axis=1)[:, None]
    expected /= np.linalg.norm(kernel, axis=0)
    np.testing.assert_allclose(head(7.0 * x_BD), expected, atol=1e-6)
