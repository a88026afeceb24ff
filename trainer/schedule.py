"""The learning rate over a run: linear warm-up, then a cosine down to a floor."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from trainer.config import OptimizerConfig


class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate at a step.

    It rises linearly to ``peak_learning_rate`` over ``warmup_share`` of the steps, so that
    step 0 already moves, and falls along half a cosine to ``final_learning_rate_share`` of
    the peak at the last step.

    Parameters
    ----------
    config
        Peak, shares.
    n_steps
        Optimizer steps of the whole run, at least 1.
    """

    def __init__(self, config: OptimizerConfig, n_steps: int) -> None:
        self.config = config
        self.n_steps = n_steps
        self.warmup_steps = round(config.warmup_share * n_steps)

    def __call__(self, step: Any) -> tf.Tensor:
        """Learning rate of ``step`` (0 is the first), float32 scalar."""
        step = tf.cast(step, tf.float32)
        peak = self.config.peak_learning_rate
        warmup = peak * (step + 1.0) / max(self.warmup_steps, 1)
        falling_steps = max(self.n_steps - 1 - self.warmup_steps, 1)
        progress = tf.clip_by_value((step - self.warmup_steps) / falling_steps, 0.0, 1.0)
        floor = self.config.final_learning_rate_share
        cosine = peak * (floor + (1.0 - floor) * 0.5 * (1.0 + tf.cos(math.pi * progress)))
        return tf.where(step < self.warmup_steps, warmup, cosine)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {"config": self.config, "n_steps": self.n_steps}


def build_optimizer(config: OptimizerConfig, n_steps: int) -> keras.optimizers.Optimizer:
    """AdamW under :class:`WarmupCosine`; biases and normalisation layers do not decay.

    Gradients are clipped in the training step, after they were averaged over replicas.
    """
    schedule = WarmupCosine(config, n_steps)
    optimizer = keras.optimizers.AdamW(learning_rate=schedule, weight_decay=config.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer
