"""The verdict of the evaluation: blessed or not, and every threshold behind it."""

from __future__ import annotations

from components.evaluator.results import read_evaluation
from components.report.data import Blessing, Gate


def read_blessing(evaluation: str, blessing: str) -> Blessing:
    """Verdict, reasons and thresholds; ``blessed`` is None where nothing decided.

    Parameters
    ----------
    evaluation
        Folder of the Evaluator's ``evaluation`` artifact, or empty.
    blessing
        Folder of its ``blessing`` artifact, or empty; read alone it gives no reasons.

    Raises
    ------
    PlatewiseError
        An evaluation that is not whole.
    """
    if evaluation:
        found = read_evaluation(evaluation)
        gates = tuple(Gate(g.metric, g.slice, g.value, g.threshold, g.passed) for g in found.gates)
        return Blessing(found.blessed, found.reasons, gates)
    if blessing:
        import tensorflow as tf

        for name, blessed in (("BLESSED", True), ("NOT_BLESSED", False)):
            if tf.io.gfile.exists(f"{blessing.rstrip('/')}/{name}"):
                return Blessing(blessed)
    return Blessing(None)
