"""Metrics before and after correction as one table for people."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.profiles.table import Profiles
from trainer.corrections.compare import CorrectedMetrics
from trainer.metrics.batch_effect import SCOPE_ALL, MetricRow, VarianceRow

_KINDS = {
    "batch": "BATCH: how far are experiments told apart?",
    "biology": "BIOLOGY: how far are labels told apart?",
}
_COMPONENTS_SHOWN = 3


def describe(profiles: Profiles) -> list[str]:
    """What was read, in two lines and the notes."""
    n_controls = int(profiles.control_N.sum())
    counts = [
        f"{len(profiles.label_N):,} rows",
        f"{len(profiles.feature_names):,} features",
        f"{len(set(profiles.label_N)):,} labels",
        f"{len(set(profiles.experiment_N)):,} experiments",
    ]
    if profiles.cell_type_N is not None:
        counts.append(f"{len(set(profiles.cell_type_N)):,} cell types")
    if n_controls:
        counts.append(f"{n_controls:,} control rows")
    first, last = profiles.feature_names[0], profiles.feature_names[-1]
    lines = [f"{profiles.path}: " + ", ".join(counts), f"features: {first} ... {last}"]
    return lines + [f"note: {note}" for note in profiles.notes]


def metrics_text(compared: Sequence[CorrectedMetrics]) -> list[str]:
    """One block a scope: metrics down, corrections across."""
    scopes = list(dict.fromkeys(row.scope for row in compared[0].result.rows))
    lines: list[str] = []
    for scope in scopes:
        lines += ["", _scope_title(scope, scopes), *_scope_table(scope, compared)]
        lines += why_not_defined(scope, compared)
        table = [row for row in compared[0].result.variance if row.scope == scope]
        if table:
            lines += ["", *_variance_text(table[: 1 + _COMPONENTS_SHOWN])]
    lines += ["", *_legend(compared)]
    return lines


def _scope_title(scope: str, scopes: Sequence[str]) -> str:
    if scope != SCOPE_ALL:
        return f"== within {scope} =="
    if len(scopes) == 1:
        return "== all rows =="
    return "== all cell types together (rewards erasing their difference: read those above) =="


def _scope_table(scope: str, compared: Sequence[CorrectedMetrics]) -> list[str]:
    names = [c.correction for c in compared]
    rows = [["", "better", "no effect", *names, "n", "seconds"]]
    last_kind = ""
    for first in (row for row in compared[0].result.rows if row.scope == scope):
        if first.info.kind != last_kind:
            last_kind = first.info.kind
            rows.append([_KINDS[last_kind]])
        found = [c.result.row(first.metric, scope) for c in compared]
        rows.append(
            [
                "  " + first.info.title,
                first.info.better,
                _number(first.chance),
                *(_value(row) for row in found),
                f"{first.n:,} {first.n_of}",
                f"{sum(row.seconds for row in found):.1f}",
            ]
        )
    return _aligned(rows)


def _value(row: MetricRow) -> str:
    if row.low is None or row.high is None or row.value is None:
        return _number(row.value)
    return f"{row.value:.4f} ({row.low:.2f}-{row.high:.2f})"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _variance_text(table: Sequence[VarianceRow]) -> list[str]:
    """Shares of variance before any correction."""
    factors = list(table[0].share)
    rows = [["variance, uncorrected", "of all", *factors]]
    for row in table:
        name = f"  PC {row.component}" if row.component else "  whole embedding"
        shares = [f"{100 * row.share[factor]:.1f} %" for factor in factors]
        rows.append([name, f"{100 * row.variance_share:.1f} %", *shares])
    chance = [f"{100 * table[0].chance[factor]:.1f} %" for factor in factors]
    return _aligned([*rows, ["  by chance", "", *chance]])


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns under each other; a row of one cell runs over all."""
    whole = [row for row in rows if len(row) > 1]
    widths = [max(len(row[i]) for row in whole) for i in range(len(whole[0]))]
    lines = []
    for row in rows:
        if len(row) == 1:
            lines.append(row[0])
            continue
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return lines


def why_not_defined(scope: str, compared: Sequence[CorrectedMetrics]) -> list[str]:
    """The reason of every value of a scope that is not there; one line a reason."""
    places: dict[str, dict[str, list[str]]] = {}
    for one in compared:
        for row in one.result.rows:
            if row.scope == scope and row.value is None:
                metrics = places.setdefault(_reason(row), {})
                metrics.setdefault(row.info.title, []).append(one.correction)
    lines = []
    for reason, metrics in places.items():
        titles = [
            title if len(found) == len(compared) else f"{title} ({', '.join(found)})"
            for title, found in metrics.items()
        ]
        lines.append(f"note: - for {', '.join(titles)}: {reason}")
    return lines


def _reason(row: MetricRow) -> str:
    if row.metric == "replicate_correlation" and not row.n:
        return "no label has rows in two experiments"
    if row.note.startswith("not defined: "):
        return row.note.removeprefix("not defined: ")
    if row.note in ("", "not defined on these rows"):
        return "not defined on these rows"
    return f"not defined on these rows: {row.note}"


def _settings(rows: Sequence[MetricRow]) -> str:
    """Notes of one metric's values, by scope where they differ."""
    notes: dict[str, list[str]] = {}
    for row in rows:
        if row.value is not None and row.note:
            notes.setdefault(row.note, []).append(row.scope)
    if not notes:
        return ""
    note, scopes = next(iter(notes.items()))
    if len(scopes) == len(rows):
        return f" [{note}]"
    return " [" + "; ".join(f"{', '.join(at)}: {text}" for text, at in notes.items()) + "]"


def _legend(compared: Sequence[CorrectedMetrics]) -> list[str]:
    lines = [
        "what they mean (no effect: the value without any effect of experiment or label;",
        "in brackets: settings, and what was left out; both of the uncorrected rows):",
    ]
    rows = compared[0].result.rows
    for first in {row.metric: row for row in rows}.values():
        note = _settings([row for row in rows if row.metric == first.metric])
        lines.append(f"  {first.info.title}: {first.info.meaning}{note}")
    if any(row.chance is None and row.value is not None for row in rows):
        lines.append("  - under no effect: that value depends on the data and is not computed")
    for one in compared:
        lines += [f"note: {one.correction}: {note}" for note in one.notes]
    if len(compared) > 1:
        lines.append(
            "corrections are fitted on these same rows; on held-out experiments they do less"
        )
    return lines
