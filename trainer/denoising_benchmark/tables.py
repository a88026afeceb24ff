"""The benchmark's tables as aligned text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from trainer.denoising_benchmark.evaluate import NOISY, Scores
from trainer.denoising_benchmark.gates import GateResult
from trainer.denoising_benchmark.summary import Difference, best_classical, gain_db

_HEADER = (
    "noise",
    "method",
    "PSNR dB",
    "SSIM",
    "si-PSNR dB",
    "bias",
    "CPU s a site",
    "vs best classical",
)


def table(scores: Sequence[Scores]) -> str:
    """One line a case and method: means over fields and channels.

    The last column is the difference of PSNR to the best classical method in dB with its 95 %
    interval (fields resampled in pairs); the best classical one itself is compared with the
    next.
    """
    lines: list[Sequence[str]] = [_HEADER]
    for case in _in_order(entry.case for entry in scores):
        entries = [entry for entry in scores if entry.case == case]
        best = best_classical(entries, case)
        for entry in entries:
            lines.append((case, entry.method, *_measures(entry), _against(entry, best, entries)))
    return aligned(lines)


def _measures(entry: Scores) -> tuple[str, ...]:
    return (
        f"{entry.psnr_db_FC.mean():.2f}",
        f"{entry.ssim_FC.mean():.4f}",
        f"{entry.scale_invariant_psnr_db_FC.mean():.2f}",
        f"{entry.bias_grey_levels_FC.mean():+.2f}",
        "" if entry.family == NOISY else f"{entry.seconds_a_field:.2f}",
    )


def _against(entry: Scores, best: Scores | None, entries: Sequence[Scores]) -> str:
    if best is None:
        return ""
    if entry.method != best.method:
        return interval_text(gain_db(entry, best))
    second = best_classical(entries, entry.case, but=entry.method)
    if second is None:
        return "best classical"
    return f"{interval_text(gain_db(entry, second))} best; next is {second.method}"


def interval_text(difference: Difference, signed: bool = True) -> str:
    """Such as ``+1.20 (+1.05 to +1.36)``; without its interval where one field has none."""
    value, low, high = (
        f"{number:{'+' if signed else ''}.2f}"
        for number in (difference.value, difference.low, difference.high)
    )
    return value if np.isnan(difference.low) else f"{value} ({low} to {high})"


def channel_table(scores: Sequence[Scores], measure: str = "psnr_db_FC") -> str:
    """One line a case and method: a measure's mean over fields, channel by channel."""
    n_channels = scores[0].psnr_db_FC.shape[1]
    names = [f"w{c + 1}" for c in range(n_channels)]
    digits = 4 if measure == "ssim_FC" else 2
    lines: list[Sequence[str]] = [("noise", "method", *names, "mean")]
    for entry in scores:
        values_C = getattr(entry, measure).mean(axis=0)
        cells = [f"{value:.{digits}f}" for value in (*values_C, values_C.mean())]
        lines.append((entry.case, entry.method, *cells))
    return aligned(lines)


def gate_table(results: Sequence[GateResult]) -> str:
    """One line a gate: verdict, value with its interval, by how much, in which channel."""
    lines: list[Sequence[str]] = [
        ("verdict", "noise", "gate", "measured", "demand", "margin", "worst channel")
    ]
    for gate in results:
        interval = Difference(gate.value, gate.low, gate.high, 0)
        measured = "not measured"
        if not np.isnan(gate.value):
            signed = gate.test.startswith(("gain", "blind"))
            measured = f"{interval_text(interval, signed)} {gate.unit}"
        verdict = "PASS" if gate.passed else "FAIL"
        if not gate.certain and not np.isnan(gate.low):
            verdict += " (interval spans it)"
        lines.append(
            (
                verdict,
                gate.case,
                gate.test,
                measured,
                f"{'>=' if gate.sense > 0 else '<='} {gate.demand:+g} {gate.unit}",
                "" if np.isnan(gate.margin) else f"{gate.margin:+.2f}",
                gate.worst_channel,
            )
        )
    n_passed = sum(gate.passed for gate in results)
    return f"{aligned(lines)}\n{n_passed} of {len(results)} gates passed"


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Columns of text padded to one width; numbers stay readable in a terminal."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _in_order(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
