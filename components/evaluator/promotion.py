"""Thresholds that TFMA does not know: guessability, the denoiser, calibration.

Each is one number over the whole screen. One that is on and was not measured fails closed; so
does one that compares with a latest blessed model that did not read the rows, unless that model
is of another kind: then nothing can be compared, and that is told.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from components.batch_effect_evaluator.results import BatchEffects
from components.evaluator.config import EvaluationConfig
from components.evaluator.results import Gate
from components.evaluator.wells import WellMeasures
from components.predictor.comparison import NotCompared

ACCURACY_CHANGE = "accuracy minus the baseline's"
PROBE = "experiment guessed within its cell type"
PROBE_RISE = "experiment guessed, minus the baseline's"
PSNR_GAIN = "mean PSNR gain in dB"
ECE = "ECE after temperature"
#: Where the probe's wells come from; they are not the held-out ones alone.
_ALL_EXPERIMENTS = "wells of all experiments"


def further_gates(
    config: EvaluationConfig,
    measures: WellMeasures,
    batch_effects: BatchEffects | None,
    has_baseline: bool,
) -> list[Gate]:
    """The thresholds that are on, each with its value.

    Parameters
    ----------
    has_baseline
        There is a latest blessed model to compare with; without one nothing is compared.
    """
    uncorrected = batch_effects.result() if batch_effects else None
    guessed = uncorrected.cards.guessed.value if uncorrected else None
    gates = []
    if config.max_batch_probe < 1:
        gates.append(_at_most(PROBE, _ALL_EXPERIMENTS, guessed, config.max_batch_probe))
    if config.max_batch_probe_rise < 1 and has_baseline:
        before = batch_effects.baseline_guessed if batch_effects else None
        known = guessed is not None and before is not None and before.value is not None
        rise = guessed - before.value if known else None  # type: ignore[operator,union-attr]
        gates.append(_at_most(PROBE_RISE, _ALL_EXPERIMENTS, rise, config.max_batch_probe_rise))
    if config.check_denoiser:
        gain = measures.psnr_gain_db
        known = gain is not None and math.isfinite(gain)
        passed = known and gain is not None and gain >= config.min_psnr_gain_db
        bound = f">= {config.min_psnr_gain_db:.4g}"
        gates.append(Gate(PSNR_GAIN, "held-out sites", gain if known else None, bound, passed))
    if config.max_ece_after_temperature < 1:
        after = measures.calibration.after if measures.calibration else None
        value = after.ece if after else None
        gates.append(_at_most(ECE, "all wells", value, config.max_ece_after_temperature))
    return gates


def closed_comparison(config: EvaluationConfig) -> Gate:
    """The threshold on accuracy against a latest blessed model that did not read the rows."""
    bound = f">= {-config.max_drop_against_baseline:.4g}"
    why = "the predictions hold no answers of the latest blessed model"
    return Gate(ACCURACY_CHANGE, "all wells", None, bound, False, why)


def told_why(
    gates: Sequence[Gate], why: NotCompared | None
) -> tuple[tuple[Gate, ...], tuple[Gate, ...]]:
    """Gates that decide, and those against a model that nothing can be compared with.

    Parameters
    ----------
    gates
        From :func:`further_gates` and :func:`closed_comparison`.
    why
        What the predictor says of a latest blessed model that did not read the rows.
    """
    if why is None:
        return tuple(gates), ()
    deciding: list[Gate] = []
    not_compared: list[Gate] = []
    for gate in gates:
        if gate.value is not None or gate.metric not in (ACCURACY_CHANGE, PROBE_RISE):
            deciding.append(gate)
            continue
        told = dataclasses.replace(gate, reason=why.reason)
        (deciding if why.unreadable else not_compared).append(told)
    return tuple(deciding), tuple(not_compared)


def _at_most(metric: str, slice_name: str, value: float | None, bound: float) -> Gate:
    known = value is not None and math.isfinite(value)
    passed = known and value is not None and value <= bound
    return Gate(metric, slice_name, value if known else None, f"<= {bound:.4g}", passed)
