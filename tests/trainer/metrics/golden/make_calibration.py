"""Makes calibration.json with TensorFlow Probability, which the product does not use.

In an environment of its own (TensorFlow 2.21, tensorflow-probability 0.25.0, dm-tree 0.1.10,
decorator 5.3.1): python tests/trainer/metrics/golden/make_calibration.py
"""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp


def rows(seed, n, n_classes, sharpness):
    """Logits that are too sure by ``sharpness``, and labels; the test makes the same."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, n_classes))
    truth = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    label = (truth.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    return logits * sharpness, label


CASES = [(0, 400, 10, 1.0), (1, 1000, 24, 2.5), (2, 300, 5, 0.4), (3, 60, 100, 3.0)]


def main():
    """Write the file beside this one."""
    found = []
    for seed, n, n_classes, sharpness in CASES:
        logits, label = rows(seed, n, n_classes, sharpness)
        p = tf.constant(logits, tf.float32)
        y = tf.constant(label, tf.int32)
        found.append(
            {
                "case": [seed, n, n_classes, sharpness],
                "ece_15": float(tfp.stats.expected_calibration_error(15, logits=p, labels_true=y)),
                "ece_10": float(tfp.stats.expected_calibration_error(10, logits=p, labels_true=y)),
                # TFP leaves the 1 of the truth's own square out.
                "brier_minus_1": float(
                    tf.reduce_mean(tfp.stats.brier_score(labels=y, logits=p)).numpy()
                ),
                "nll": float(-tf.reduce_mean(tfp.distributions.Categorical(logits=p).log_prob(y))),
            }
        )
    text = json.dumps({"tensorflow_probability": tfp.__version__, "cases": found}, indent=1)
    Path(__file__).with_name("calibration.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
