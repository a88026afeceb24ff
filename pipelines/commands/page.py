"""The run's page: written after the run, when timings are known, and told in a few lines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: The report's narrow space, which not every terminal shows.
_THIN = "\u202f"


def read_metrics(run_dir: Path) -> dict[str, Any]:
    """What ``metrics.json`` of a run holds."""
    return dict(json.loads((run_dir / "metrics.json").read_text(encoding="utf-8")))


def tell_page(run_dir: Path, say: Callable[[str], None]) -> None:
    """The last words of a run: what the page says first, and where it lies."""
    metrics = read_metrics(run_dir)
    say("")
    say(metrics["sentence"].replace(_THIN, " "))
    headline = metrics["headline"] or {}
    if headline.get("times_chance") is not None:
        say(
            f"Per well on held-out experiments: {_percent(headline['accuracy_per_well'])} "
            f"({_percent(headline['low'])} to {_percent(headline['high'])}), "
            f"{headline['times_chance']:.1f} times chance, {headline['n_wells']} wells."
        )
    blessed = metrics["blessing"]["blessed"]
    if blessed is not None:
        say(f"blessed {'yes' if blessed else 'no'}")
        for reason in metrics["blessing"]["reasons"]:
            say(f"        {reason.replace(_THIN, ' ')}")
    say(f"report  {run_dir / 'report.html'}")
    say(f"metrics {run_dir / 'metrics.json'}")


def _percent(share: float | None) -> str:
    return "n/a" if share is None else f"{100 * share:.1f} %"
