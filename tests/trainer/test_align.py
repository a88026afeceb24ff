"""Alignment against NumPy (CORAL) and scikit-learn's kernel (MMD)."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics.pairwise import rbf_kernel

from trainer.align import Alignment
from trainer.domains import Domains
from trainer.representation_config import AlignmentConfig

DIM = 6
DOMAINS = Domains(
    ("a", "b", "c", "d"), np.arange(4, dtype=np.int32), np.array([0, 0, 0, 1], np.int32)
)


class OneReplica:
    def all_reduce(self, op, values):
        return values


def seen(alignment: Alignment, samples: dict[int, np.ndarray]) -> None:
    """Let it see the whole sample of each experiment once."""
    for experiment, x in samples.items():
        _, found = alignment.loss(tf.constant(x), tf.one_hot([experiment] * len(x), 4))
        alignment.update(OneReplica(), found)


def sample(rng, n: int, shift: float, spread: float) -> np.ndarray:
    return (shift + spread * rng.normal(size=(n, DIM)) @ rng.normal(size=(DIM, DIM))).astype("f4")


def test_coral_is_the_formula_of_wilds() -> None:
    rng = np.random.default_rng(0)
    a, b, c = (sample(rng, n, shift, 0.5) for n, shift in ((20, 0.0), (30, 0.5), (25, -0.3)))
    alignment = Alignment(AlignmentConfig(weight=1.0, decay=0.0), DOMAINS, DIM)
    seen(alignment, {1: b, 2: c})
    loss, _ = alignment.loss(tf.constant(a), tf.one_hot([0] * 20, 4))
    mean = (b.mean(0) + c.mean(0)) / 2
    covariance = (np.cov(b.T) + np.cov(c.T)) / 2
    expected = np.mean((a.mean(0) - mean) ** 2) + np.mean((np.cov(a.T) - covariance) ** 2)
    assert float(loss) == pytest.approx(expected, rel=1e-4)


def test_mmd_is_that_of_the_gaussian_kernels() -> None:
    rng = np.random.default_rng(1)
    a, b = sample(rng, 60, 0.0, 0.4), sample(rng, 80, 0.8, 0.6)
    widths = (0.5, 1.0, 2.0)
    config = AlignmentConfig(
        weight=1.0, kind="mmd", decay=0.0, kernel_widths=widths, random_features=60000
    )
    alignment = Alignment(config, DOMAINS, DIM)
    seen(alignment, {1: b})
    loss, _ = alignment.loss(tf.constant(a), tf.one_hot([0] * 60, 4))

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return np.mean([rbf_kernel(x, y, 1.0 / (2.0 * w**2 * 2.0 * DIM)).mean() for w in widths])

    expected = kernel(a, a) + kernel(b, b) - 2.0 * kernel(a, b)
    assert expected > 0.05
    assert float(loss) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("kind", ["coral", "mmd"])
def test_only_other_experiments_of_the_cell_type_count(kind) -> None:
    rng = np.random.default_rng(2)
    a, far = sample(rng, 20, 0.0, 0.5), sample(rng, 20, 5.0, 2.0)
    alignment = Alignment(AlignmentConfig(weight=1.0, kind=kind), DOMAINS, DIM)
    seen(alignment, {0: a, 3: far})
    for experiment in (0, 3):  # nobody else of its cell type was seen
        loss, _ = alignment.loss(tf.constant(a), tf.one_hot([experiment] * 20, 4))
        assert float(loss) == 0.0
    loss, _ = alignment.loss(tf.constant(far), tf.one_hot([1] * 20, 4))
    assert float(loss) > 0.0


def test_running_statistics_follow_the_decay_and_a_mixed_minibatch_is_taken_apart() -> None:
    rng = np.random.default_rng(3)
    first, second, other = (sample(rng, 12, shift, 0.5) for shift in (0.0, 1.0, 2.0))
    alignment = Alignment(AlignmentConfig(weight=1.0, decay=0.75), DOMAINS, DIM)
    seen(alignment, {0: first})
    both = tf.constant(np.concatenate([second, other]))
    _, found = alignment.loss(both, tf.one_hot([0] * 12 + [1] * 12, 4))
    alignment.update(OneReplica(), found)
    running_ES, seen_E = (v.numpy() for v in alignment.variables)
    np.testing.assert_allclose(
        running_ES[0, :DIM], 0.75 * first.mean(0) + 0.25 * second.mean(0), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(running_ES[1, :DIM], other.mean(0), rtol=1e-4)
    assert seen_E.tolist() == [1.0, 1.0, 0.0, 0.0]


def test_its_gradient_draws_the_covariance_closer() -> None:
    rng = np.random.default_rng(4)
    x, target = tf.Variable(sample(rng, 40, 0.0, 1.0)), sample(rng, 40, 0.0, 0.3)
    alignment = Alignment(AlignmentConfig(weight=1.0, decay=0.0), DOMAINS, DIM)
    seen(alignment, {1: target})
    losses = []
    for _ in range(50):
        with tf.GradientTape() as tape:
            loss, _ = alignment.loss(x, tf.one_hot([0] * 40, 4))
        x.assign_sub(2.0 * tape.gradient(loss, x))
        losses.append(float(loss))
    assert losses[-1] < 0.1 * losses[0]
