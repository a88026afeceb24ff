"""The comparison table: means over seeds, and paired differences from the first arm."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pipelines.sweeps.plan import Experiment
from pipelines.sweeps.score import METRICS


@dataclass(frozen=True)
class Mean:
    """A mean with its two-sided 95 % interval by Student's t; None where it is not known."""

    n: int
    mean: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Cell:
    """One arm and metric."""

    arm: str
    metric: str
    value: Mean
    #: This arm less the first, seed by seed; no mean for the first arm itself.
    difference: Mean


def mean_of(values: Sequence[float]) -> Mean:
    """Mean and interval of independent values; the interval needs two."""
    n = len(values)
    if n == 0:
        return Mean(0, None)
    mean = float(np.mean(values))
    if n == 1:
        return Mean(1, mean)
    from scipy.stats import t as student

    half = float(student.ppf(0.975, n - 1)) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return Mean(n, mean, mean - half, mean + half)


def table(experiment: Experiment, results: Sequence[Mapping[str, Any]]) -> list[Cell]:
    """A cell for each arm and metric that any arm has; arms in the order of the file."""
    found: dict[str, dict[str, dict[int, float]]] = {}
    for result in results:
        for metric, value in result["metrics"].items():
            if value is not None:
                by_seed = found.setdefault(metric, {}).setdefault(result["arm"], {})
                by_seed[result["seed"]] = value
    first = experiment.arms[0].name
    cells = []
    for metric in [m for m in METRICS if m in found]:
        reference = found[metric].get(first, {})
        for arm in experiment.arms:
            mine = found[metric].get(arm.name, {})
            both = [] if arm.name == first else sorted(set(mine) & set(reference))
            difference = mean_of([mine[seed] - reference[seed] for seed in both])
            cells.append(Cell(arm.name, metric, mean_of(list(mine.values())), difference))
    return cells


def to_csv(cells: Sequence[Cell]) -> str:
    """One line an arm and metric."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    head = [f"{part}_{name}" for part in ("value", "difference") for name in Mean.__annotations__]
    writer.writerow(["arm", "metric", "unit", *head])
    for cell in cells:
        numbers = [*asdict(cell.value).values(), *asdict(cell.difference).values()]
        written = ["" if x is None else f"{x:.6g}" for x in numbers]
        writer.writerow([cell.arm, cell.metric, METRICS[cell.metric][0], *written])
    return stream.getvalue()


def to_json(
    experiment: Experiment, cells: Sequence[Cell], results: Sequence[Mapping[str, Any]]
) -> str:
    """The table and every single result."""
    plain = {
        "format": 1,
        "experiment": experiment.name,
        "purpose": experiment.purpose,
        "cells": [asdict(cell) for cell in cells],
        "results": list(results),
    }
    return json.dumps(plain, indent=1) + "\n"


def to_markdown(experiment: Experiment, cells: Sequence[Cell]) -> str:
    """A table for people: a row an arm, a column a metric, the difference below the value."""
    metrics = list(dict.fromkeys(cell.metric for cell in cells))
    at = {(cell.arm, cell.metric): cell for cell in cells}
    n_seeds = max((cell.value.n for cell in cells), default=0)
    lines = [
        "| arm | " + " | ".join(f"{name}, {METRICS[name][0]}" for name in metrics) + " |",
        "|---" * (len(metrics) + 1) + "|",
    ]
    for arm in experiment.arms:
        row = [
            _text(at[arm.name, metric], n_seeds) for metric in metrics if (arm.name, metric) in at
        ]
        lines.append(f"| {arm.name} | " + " | ".join(row) + " |")
    lines += [
        "",
        f"Mean over {n_seeds} seed{'' if n_seeds == 1 else 's'} with its 95 % interval (Student's "
        f"t); after the semicolon the paired difference from {experiment.arms[0].name}.",
    ]
    lines += [f"- {name}: {METRICS[name][1]}" for name in metrics]
    return "\n".join(lines) + "\n"


def _text(cell: Cell, n_seeds: int) -> str:
    text = _number(cell.value, sign=False)
    if 0 < cell.value.n < n_seeds:
        text += f", n = {cell.value.n}"
    if cell.difference.mean is not None:
        text += f"; {_number(cell.difference, sign=True)}"
    return text


def _number(value: Mean, sign: bool) -> str:
    if value.mean is None:
        return "not measured"
    form = "{:+.1f}" if sign else "{:.1f}"
    text = form.format(value.mean)
    if value.low is None or value.high is None:
        return text
    return f"{text} ({form.format(value.low)} to {form.format(value.high)})"
