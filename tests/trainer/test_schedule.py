"""The learning rate against a plain transcription of its definition."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest

from trainer.config import OptimizerConfig
from trainer.schedule import WarmupCosine, build_optimizer


@pytest.mark.parametrize(("n_steps", "warmup_share"), [(1, 0.0), (7, 0.3), (200, 0.05), (40, 1.0)])
def test_learning_rate_at_every_step(n_steps: int, warmup_share: float) -> None:
    config = OptimizerConfig(
        peak_learning_rate=0.01, warmup_share=warmup_share, final_learning_rate_share=0.1
    )
    warmup = round(warmup_share * n_steps)
    expected = []
    for step in range(n_steps):
        if step < warmup:
            expected.append(0.01 * (step + 1) / warmup)
        else:
            t = (step - warmup) / max(n_steps - 1 - warmup, 1)
            expected.append(0.001 + 0.009 * (1 + math.cos(math.pi * t)) / 2)
    schedule = WarmupCosine(config, n_steps)
    np.testing.assert_allclose([schedule(s) for s in range(n_steps)], expected, rtol=1e-5)


def test_biases_and_norms_do_not_decay() -> None:
    model = keras.Sequential(
        [keras.layers.Input((4,)), keras.layers.Dense(3), keras.layers.BatchNormalization()]
    )
    for variable in model.trainable_variables:
        variable.assign(np.ones(variable.shape))
    config = OptimizerConfig(peak_learning_rate=0.5, warmup_share=0.0, weight_decay=0.1)
    optimizer = build_optimizer(config, 10)
    gradients = [np.zeros(v.shape, np.float32) for v in model.trainable_variables]
    optimizer.apply(gradients, model.trainable_variables)
    values = {v.name: float(np.mean(v.numpy())) for v in model.trainable_variables}
    assert values["kernel"] == pytest.approx(1 - 0.5 * 0.1)
    assert values["bias"] == values["gamma"] == values["beta"] == 1.0
