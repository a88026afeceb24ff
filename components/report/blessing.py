"""The verdict of the evaluation: blessed or not, and every threshold behind it."""

from __future__ import annotations

from components.report.data import Blessing


def read_blessing(evaluation: str, blessing: str) -> Blessing:
    """Read the Evaluator's artifacts; ``blessed`` is None where there are none."""
    import tensorflow as tf

    if not blessing:
        return Blessing(None)
    if tf.io.gfile.exists(f"{blessing.rstrip('/')}/BLESSED"):
        return Blessing(True)
    return Blessing(False)
