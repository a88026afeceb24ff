"""The verdict of the evaluation: blessed or not, and every threshold behind it."""

from __future__ import annotations

import dataclasses
import re

from components.evaluator import results
from components.evaluator.results import read_evaluation
from components.report.data import Blessing, Gate

#: Names of the files of a ``blessing`` artifact, one of which is there.
VERDICTS = {"BLESSED": True, "NOT_BLESSED": False}


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
        gates, not_compared = _shown(found.gates), _shown(found.not_compared)
        return Blessing(found.blessed, _in_words(found.reasons, gates), gates, not_compared)
    if blessing:
        import tensorflow as tf

        for name, blessed in VERDICTS.items():
            if tf.io.gfile.exists(f"{blessing.rstrip('/')}/{name}"):
                return Blessing(blessed)
    return Blessing(None)


def _shown(gates: tuple[results.Gate, ...]) -> tuple[Gate, ...]:
    return tuple(Gate(**dataclasses.asdict(gate)) for gate in gates)


def _in_words(reasons: tuple[str, ...], gates: tuple[Gate, ...]) -> tuple[str, ...]:
    """Reasons with shares as per cent, for people; one that is not a gate's stays as it is."""
    failed = {f"{gate.slice}: {gate.metric} is ": gate for gate in gates if not gate.passed}
    words = []
    for reason in reasons:
        gate = next((g for start, g in failed.items() if reason.startswith(start)), None)
        words.append((gate and _gate_in_words(gate)) or reason)
    return tuple(words)


def _gate_in_words(gate: Gate) -> str | None:
    bound = re.fullmatch(r">= (-?[0-9.e-]+)", gate.threshold)
    if gate.metric != "accuracy" or gate.value is None or bound is None:
        return None
    return (
        f"accuracy in {gate.slice.removeprefix('experiment ')} is {100 * gate.value:.3g} %, "
        f"below the threshold of {100 * float(bound[1]):.3g} %"
    )
