"""Interleaved A/B timing and the table that `make bench` prints."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class BenchRow:
    """One comparison. ``ours`` and ``peer`` are medians in ``unit``."""

    stage: str
    peer_name: str
    ours: float
    peer: float
    unit: str
    #: How many times better ours is (> 1 is better), median over the pairs.
    ratio: float
    #: What the ratio (or, with no peer, the value) has to reach, as text.
    demand: str
    met: bool


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def interleaved(
    ours: Callable[[], object], peer: Callable[[], object], repetitions: int
) -> tuple[float, float, float]:
    """Time two ways in turn, A B A B, after one warm-up of each.

    Machines drift, so the ratio is taken pair by pair.

    Returns
    -------
    Median seconds of ours, median seconds of the peer, median of peer / ours.
    """
    ours()
    peer()
    pairs = [(seconds(ours), seconds(peer)) for _ in range(repetitions)]
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(b / a for a, b in pairs),
    )


def table(rows: list[BenchRow]) -> str:
    """The rows as aligned text."""
    header = ("stage", "peer", "ours", "peer's", "unit", "ratio", "demand", "")
    lines = [header]
    for r in rows:
        verdict = "met" if r.met else "NOT MET"
        lines.append(
            (
                r.stage,
                r.peer_name,
                f"{r.ours:.3g}",
                f"{r.peer:.3g}",
                r.unit,
                f"{r.ratio:.2f} x",
                r.demand,
                verdict,
            )
        )
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
