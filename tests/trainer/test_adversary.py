"""The adversary: a reversed gradient, and a softmax within the cell type."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from trainer.adversary import adversary_terms, reverse_gradient, strength_at
from trainer.domains import Domains, domains_of
from trainer.errors import PlatewiseError
from trainer.representation_config import AdversaryConfig
from trainer.scan import PlateRecords

#: Experiments 0, 1, 2 of one cell type, 3 and 4 of another, 5 alone.
DOMAINS = Domains(
    tuple("abcdef"),
    np.array([0, 1, 2, 3, 4, 5, 0], np.int32),
    np.array([0, 0, 0, 1, 1, 2], np.int32),
)


def test_the_gradient_is_that_of_the_function_with_its_sign_turned() -> None:
    """f(x) = sum(w x^2) behind the reversal: df/dx = 2 w x, so -strength * 2 w x comes back."""
    x, w = tf.Variable([1.0, -2.0, 3.0]), tf.Variable([0.5, 1.0, 2.0])
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(w * tf.square(reverse_gradient(x, tf.constant(0.25))))
    dx, dw = tape.gradient(y, [x, w])
    assert float(y) == pytest.approx(0.5 + 4.0 + 18.0)
    np.testing.assert_allclose(dx, -0.25 * 2.0 * w.numpy() * x.numpy())
    np.testing.assert_allclose(dw, x.numpy() ** 2)  # behind it nothing is reversed


def test_the_ramp_is_danns() -> None:
    config = AdversaryConfig(weight=0.5, ramp=10.0)
    for step, share in ((0, 0.0), (50, 0.5), (100, 1.0)):
        expected = 0.5 * (2.0 / (1.0 + np.exp(-10.0 * share)) - 1.0)
        found = strength_at(tf.constant(step), 100, config)
        assert float(found) == pytest.approx(expected, abs=1e-6)
    assert float(strength_at(tf.constant(0), 100, AdversaryConfig(weight=0.5, ramp=0.0))) == 0.5


def test_softmax_and_accuracy_are_within_the_cell_type() -> None:
    rng = np.random.default_rng(0)
    logits_BE = rng.normal(size=(30, 6))
    experiment_B = rng.integers(0, 6, 30)
    losses, hits = [], []
    for logits_E, e in zip(logits_BE, experiment_B, strict=True):
        group = np.flatnonzero(
            DOMAINS.cell_type_of_experiment == DOMAINS.cell_type_of_experiment[e]
        )
        if len(group) == 1:
            continue
        p = np.exp(logits_E[group]) / np.exp(logits_E[group]).sum()
        losses.append(-np.log(p[list(group).index(e)]))
        hits.append(group[np.argmax(p)] == e)
    entropy, accuracy = adversary_terms(
        tf.constant(logits_BE, tf.float32), tf.one_hot(experiment_B, 6), DOMAINS
    )
    assert float(entropy) == pytest.approx(np.mean(losses), rel=1e-5)
    assert float(accuracy) == pytest.approx(np.mean(hits))


def test_mixed_sites_count_by_their_shares_and_lonely_ones_not() -> None:
    logits_BE = tf.constant([[1.0, 0.0, 2.0, 3.0, -1.0, 9.0]])
    shares = 0.25 * tf.one_hot([1], 6) + 0.75 * tf.one_hot([3], 6)
    entropy, _ = adversary_terms(logits_BE, shares, DOMAINS)
    first = -np.log(np.exp(0.0) / np.exp([1.0, 0.0, 2.0]).sum())
    second = -np.log(np.exp(3.0) / np.exp([3.0, -1.0]).sum())
    assert float(entropy) == pytest.approx(0.25 * first + 0.75 * second, rel=1e-5)
    alone, _ = adversary_terms(logits_BE, tf.one_hot([5], 6), DOMAINS)
    assert float(alone) == 0.0


def test_domains_are_those_of_the_plates() -> None:
    def plate(name: str, experiment: str, cell_type: str) -> PlateRecords:
        nothing = np.zeros((0, 1), np.float32)
        return PlateRecords(
            name, (), np.zeros(0), nothing, nothing, experiment=experiment, cell_type=cell_type
        )

    plates = [plate("p1", "H-2", "H"), plate("p2", "U-1", "U"), plate("p3", "H-1", "H")]
    domains = domains_of(plates)
    assert domains.experiments == ("H-1", "H-2", "U-1")
    np.testing.assert_array_equal(domains.shares(tf.constant([2, 0, 1]), 3), np.eye(3))
    np.testing.assert_array_equal(domains.shares(tf.constant(1), 2), np.eye(3)[[2, 2]])
    with pytest.raises(PlatewiseError, match="each of 2 cell types has one training experiment"):
        domains_of(plates[:2])
