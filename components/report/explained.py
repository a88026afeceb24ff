"""What a well's embedding is made of, and which treatments are found again, for the page."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from components.batch_effect_evaluator.results import BatchEffects
from components.report.verdict import count
from trainer.metrics.batch_effect import SCOPE_ALL, LabelRow, VarianceRow

#: Largest q at which a treatment is told apart: one false one in twenty of those.
MAX_Q = 0.05
#: Principal components on the page; ``metrics.json`` has all.
SHOWN_COMPONENTS = 5
#: Biology first; a factor that is not named here comes before what nothing explains.
_ORDER = ("treatment", "experiment", "plate", "position")
_NAMES = {"position": "well position", "residual": "none of them (residual)"}


@dataclass(frozen=True)
class FactorLine:
    """What one factor explains of the embeddings of one scope, shares in 0..1."""

    scope: str
    factor: str
    #: What a factor without any effect would take.
    chance: float
    #: Of the whole embedding, then of each principal component.
    share_K: tuple[float, ...]


@dataclass(frozen=True)
class VarianceLines:
    """The variance table of one scope."""

    scope: str
    n: int
    #: Share of the whole variance: 1 for the whole, then of each component.
    variance_share_K: tuple[float, ...]
    factors: tuple[FactorLine, ...]


def variance_lines(found: BatchEffects | None) -> tuple[VarianceLines, ...]:
    """Tables of the embedding as the network gives it, cell types first and all wells last."""
    uncorrected = found.result() if found else None
    scopes: dict[str, list[VarianceRow]] = {}
    for row in uncorrected.variance if uncorrected else ():
        if row.component <= SHOWN_COMPONENTS:
            scopes.setdefault(row.scope, []).append(row)
    names = sorted(scopes, key=lambda scope: (scope == SCOPE_ALL, scope))
    return tuple(
        _lines(scope, sorted(scopes[scope], key=lambda row: row.component)) for scope in names
    )


def _lines(scope: str, rows: list[VarianceRow]) -> VarianceLines:
    first = rows[0]
    return VarianceLines(
        scope,
        first.n,
        tuple(row.variance_share for row in rows),
        tuple(
            FactorLine(
                scope,
                _NAMES.get(factor, factor),
                first.chance[factor],
                # A sum of squares leaves 2e-16 where there is nothing.
                tuple(round(row.share[factor], 5) for row in rows),
            )
            for factor in sorted(first.share, key=_position)
        ),
    )


def _position(factor: str) -> tuple[int, str]:
    known = _ORDER.index(factor) if factor in _ORDER else len(_ORDER)
    return known + (factor == "residual"), factor


def told_apart(found: BatchEffects | None) -> str:
    """How many treatments are found again, in one line; empty where none was tested."""
    uncorrected = found.result() if found else None
    labels = uncorrected.labels if uncorrected else ()
    scopes = sorted({row.scope for row in labels} - {SCOPE_ALL})
    whole = SCOPE_ALL if any(row.scope == SCOPE_ALL for row in labels) else next(iter(scopes), "")
    n_apart, n_tested = _counts(labels, whole)
    if not n_tested:
        return ""
    text = (
        f"{n_apart:,} of {count(n_tested, 'treatment')} are told apart from the others across "
        f"experiments at q < {MAX_Q:g}"
    )
    if len(scopes) > 1:
        by_type = [(scope, *_counts(labels, scope)) for scope in scopes]
        text += f" ({', '.join(f'{scope} {n:,} of {of:,}' for scope, n, of in by_type)})"
    return f"{text}."


def _counts(labels: tuple[LabelRow, ...], scope: str) -> tuple[int, int]:
    """Treatments told apart and tested; a q that is not known is not below the bound."""
    tested = [row.corrected_p_value for row in labels if row.scope == scope]
    return sum(q < MAX_Q for q in tested), len(tested)


def variance_entries(rows: tuple[VarianceRow, ...]) -> list[dict[str, Any]]:
    """Rows of ``variance`` in ``metrics.json``: all components."""
    return [dataclasses.asdict(row) for row in rows]


def treatment_entries(found: BatchEffects) -> list[dict[str, Any]]:
    """``treatments`` in ``metrics.json``: without correction, as 1,108 of them are many lines."""
    uncorrected = found.result()
    return [
        {
            "scope": row.scope,
            "treatment": row.label,
            "n_wells": row.n_wells,
            "n_experiments": row.n_experiments,
            "mean_average_precision": row.mean_average_precision,
            "p_value": row.p_value,
            "q_value": row.corrected_p_value,
        }
        for row in (uncorrected.labels if uncorrected else ())
    ]
