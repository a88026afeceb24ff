"""From TFMA's files to a verdict: every threshold, whether it held, and why not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from components.evaluator.config import EvaluationConfig
from components.evaluator.eval_config import BASELINE, EXAMPLE_COUNT, GATE_ROWS
from components.evaluator.metrics import ACCURACY, TOP_5
from components.evaluator.promotion import ACCURACY_CHANGE
from components.evaluator.results import Evaluation, Gate, SliceMetrics, Value
from components.evaluator.tfma_api import tfma
from trainer import schema
from trainer.schema import natural_key


def judge(
    uri: str,
    config: EvaluationConfig,
    n_classes: int,
    has_baseline: bool,
    expected_sites: Mapping[str, int],
    further: Sequence[Gate] = (),
    not_compared: Sequence[Gate] = (),
) -> Evaluation:
    """Read what TFMA wrote and decide.

    Parameters
    ----------
    uri
        Folder of TFMA's files; empty where there was no row to evaluate.
    config
        What the model has to reach.
    n_classes
        Classes K.
    has_baseline
        The rows held a second model's probabilities.
    expected_sites
        Experiment -> sites that should have been evaluated; one without a row fails.
    further
        Thresholds that TFMA does not know, from :mod:`components.evaluator.promotion`.
    not_compared
        Thresholds that cannot be asked, to be told of.
    """
    slices = _read_slices(uri)
    own = _gates(slices, config, n_classes, has_baseline, expected_sites)
    gates = [*own, *further]
    reasons = [_reason(gate) for gate in gates if not gate.passed]
    if not gates:
        reasons.append(
            "no threshold is set, so nothing was asked of the model; set one under [evaluation]"
        )
    if own and not reasons and not tfma.load_validation_result(uri).validation_ok:
        reasons.append("TFMA's validation failed; see validations.tfrecord beside this evaluation")
    return Evaluation(
        blessed=not reasons,
        reasons=tuple(reasons),
        gates=tuple(gates),
        slices=tuple(slices),
        n_classes=n_classes,
        has_baseline=has_baseline,
        config=config,
        not_compared=tuple(not_compared),
    )


def _read_slices(uri: str) -> list[SliceMetrics]:
    """All slices, ``level`` alone first, then in the order of columns and natural values."""
    import tensorflow as tf

    if not tf.io.gfile.glob(f"{uri.rstrip('/')}/metrics*"):
        return []
    found = [_slice(message) for message in tfma.load_metrics(uri)]
    ours = [part for part in found if schema.LEVEL in part.columns]
    return sorted(ours, key=_order)


def _order(part: SliceMetrics) -> tuple[Any, ...]:
    names = sorted(set(part.columns) - {schema.LEVEL})
    values = [natural_key(part.columns[name]) for name in (schema.LEVEL, *names)]
    return len(names), names, values


def _slice(message: Any) -> SliceMetrics:
    columns = {key.column: _text(key) for key in message.slice_key.single_slice_keys}
    new: dict[str, Value] = {}
    old: dict[str, Value] = {}
    change: dict[str, Value] = {}
    for pair in message.metric_keys_and_values:
        compared = old if pair.key.model_name == BASELINE else new
        target = change if pair.key.is_diff else compared
        target[pair.key.name] = _value(pair)
    count = new.pop(EXAMPLE_COUNT)
    for counted in (old, change):
        counted.pop(EXAMPLE_COUNT, None)
    return SliceMetrics(columns, round(count.value), new, old, change)


def _text(key: Any) -> str:
    kind = key.WhichOneof("kind")
    value = getattr(key, kind)
    return value.decode() if isinstance(value, bytes) else str(value)


def _value(pair: Any) -> Value:
    if pair.HasField("confidence_interval"):
        interval = pair.confidence_interval
        # A share of rows lies in 0..1, whatever Student's t says of a few of them.
        share = pair.key.name in (ACCURACY, TOP_5)
        lowest, highest = (
            (-1.0 if pair.key.is_diff else 0.0, 1.0) if share else (-math.inf, math.inf)
        )
        return Value(
            pair.value.double_value.value,
            max(interval.lower_bound.double_value.value, lowest),
            min(interval.upper_bound.double_value.value, highest),
        )
    return Value(pair.value.double_value.value)


def _gates(
    slices: list[SliceMetrics],
    config: EvaluationConfig,
    n_classes: int,
    has_baseline: bool,
    expected_sites: Mapping[str, int],
) -> list[Gate]:
    wells = [part for part in slices if GATE_ROWS.items() <= dict(part.columns).items()]
    overall = next((part for part in wells if dict(part.columns) == GATE_ROWS), None)
    gates = []
    bound = config.required_per_well(n_classes)
    if bound > 0:
        gates.append(_at_least(ACCURACY, "all wells", _accuracy(overall), bound))
    if has_baseline:
        change = overall.change[ACCURACY].value if overall else None
        allowed = -config.max_drop_against_baseline
        gates.append(_at_least(ACCURACY_CHANGE, "all wells", change, allowed))
    by_experiment = {
        part.columns[schema.EXPERIMENT]: part
        for part in wells
        if set(part.columns) == {*GATE_ROWS, schema.EXPERIMENT}
    }
    bound = config.required_worst_experiment(n_classes)
    expected = {name for name, n_sites in expected_sites.items() if n_sites > 0}
    for experiment in sorted(expected | set(by_experiment), key=natural_key):
        part = by_experiment.get(experiment)
        name = f"experiment {experiment}"
        if part is None:
            gates.append(Gate("rows", name, 0.0, f"> 0 of {expected_sites[experiment]}", False))
        elif bound > 0:
            gates.append(_at_least(ACCURACY, name, _accuracy(part), bound))
    return gates


def _accuracy(part: SliceMetrics | None) -> float | None:
    return part.metrics[ACCURACY].value if part else None


def _at_least(metric: str, slice_name: str, value: float | None, bound: float) -> Gate:
    known = value is not None and math.isfinite(value)
    # TFMA keeps thresholds as float64 too: the same comparison.
    passed = known and value is not None and value >= bound
    return Gate(metric, slice_name, value if known else None, f">= {bound:.4g}", passed)


def _reason(gate: Gate) -> str:
    if gate.metric == "rows":
        n_sites = gate.threshold.split()[-1]
        return f"{gate.slice}: none of its {n_sites} sites was evaluated"
    missing = "not measured: no row" if gate.metric.startswith(ACCURACY) else "not measured"
    missing = f"not measured: {gate.reason}" if gate.reason else missing
    found = missing if gate.value is None else f"{gate.value:.4g}"
    return f"{gate.slice}: {gate.metric} is {found}; it must be {gate.threshold}"
