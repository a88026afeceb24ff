"""Lets a release pass, or not, by what its trial run reached.

    python infra/cloudbuild/gate.py METRICS.json [--gate infra/cloudbuild/gate.toml]

METRICS.json is the one that ``platewise fetch`` brings from the run. A figure that is missing or
``null`` does not pass.

Exit codes: 0 passed; 1 not; 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Format of metrics.json that these paths are of.
FORMAT = 1


@dataclass(frozen=True)
class Check:
    """One threshold and what the run reached."""

    name: str
    reached: float | bool | None
    wanted: str
    passed: bool


def checks(metrics: Mapping[str, Any], gate: Mapping[str, Any]) -> list[Check]:
    """Every threshold of the gate.

    Raises
    ------
    ValueError
        A key that is none, a threshold of the wrong type, or metrics of another format.
    """
    if metrics.get("format") != FORMAT:
        raise ValueError(f"metrics have format {metrics.get('format')!r}, not {FORMAT}")
    figures = {
        "blessed": _at(metrics, "blessing", "blessed"),
        "min_accuracy_per_well": _at(metrics, "headline", "accuracy_per_well"),
        "min_times_chance": _at(metrics, "headline", "times_chance"),
        "min_worst_experiment": _at(metrics, "worst_experiment", "accuracy_per_well"),
        "min_wells": _at(metrics, "headline", "n_wells"),
        "max_missing_share": _missing_share(metrics),
    }
    if unknown := sorted(set(gate) - set(figures)):
        raise ValueError(f"unknown {', '.join(unknown)}; known: {', '.join(figures)}")
    if not gate:
        raise ValueError("the gate has no threshold")
    return [_check(name, figures[name], wanted) for name, wanted in gate.items()]


def _check(name: str, reached: Any, wanted: Any) -> Check:
    if name == "blessed":
        if wanted is not True:
            raise ValueError("blessed can only be true; leave it out instead")
        return Check(name, reached, "true", reached is True)
    if isinstance(wanted, bool) or not isinstance(wanted, int | float):
        raise ValueError(f"{name} must be a number; got {wanted!r}")
    known = isinstance(reached, int | float) and not isinstance(reached, bool)
    if name.startswith("max_"):
        return Check(name, reached, f"<= {wanted}", known and reached <= wanted)
    return Check(name, reached, f">= {wanted}", known and reached >= wanted)


def _at(mapping: Any, *keys: str) -> Any:
    for key in keys:
        if not isinstance(mapping, Mapping):
            return None
        mapping = mapping.get(key)
    return mapping


def _missing_share(metrics: Mapping[str, Any]) -> float | None:
    expected = _at(metrics, "quality", "sites_expected")
    used = _at(metrics, "quality", "sites_used")
    if not expected or used is None:
        return None
    return float((expected - used) / expected)


def main(arguments: list[str] | None = None) -> int:
    """Print each threshold and whether it was reached."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("metrics", type=Path)
    parser.add_argument("--gate", type=Path, default=Path(__file__).with_name("gate.toml"))
    args = parser.parse_args(arguments)
    try:
        gate = tomllib.loads(args.gate.read_text())
        found = checks(json.loads(args.metrics.read_text()), gate)
    except (OSError, ValueError) as error:
        print(f"gate: {args.metrics}, {args.gate}: {error}", file=sys.stderr)
        return 2
    for check in found:
        reached = "unknown" if check.reached is None else f"{check.reached:.4g}".lower()
        if isinstance(check.reached, bool):
            reached = str(check.reached).lower()
        print(
            f"{'pass' if check.passed else 'FAIL'}  {check.name} {reached}, wanted {check.wanted}"
        )
    return 0 if all(check.passed for check in found) else 1


if __name__ == "__main__":
    sys.exit(main())
