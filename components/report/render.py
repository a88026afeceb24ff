"""A page of :class:`ReportData`: one HTML file that asks nothing of any network.

Style and script are inlined and named by their digest in the page's content security
policy, which allows nothing else: text from metadata that slipped past the escaping
would still not run, and no image, font or request could leave the page.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup

from components.report import charts
from components.report.batch import batch_cards, metric_lines
from components.report.batch import title as correction_title
from components.report.data import ReportData, SliceScore
from components.report.explained import told_apart, variance_lines
from components.report.reliability import diagram
from components.report.verdict import THIN, count, headline_sentence, percent
from components.report.wells import NAMES, with_ladder
from trainer.metrics.calibrated import CalibrationScores
from trainer.metrics.intervals import Proportion, accuracy
from trainer.metrics.ladder import USES_LAYOUT

_TEMPLATES = Path(__file__).parent / "templates"
#: Key of a test of the leak audit -> its name on the page.
LEAK_NAMES = {
    "experiments": "Experiments in two parts",
    "wells": "Wells in two parts",
    "sites": "Sites in two parts",
    "pixels": "One image under two names",
    "copies": "Flipped or turned copies",
    "repeats": "Images counted twice",
    "groups": "Treatments that always share a plate",
    "position": "Well position tells the treatment",
    "shuffled": "Training on shuffled labels",
}
#: Columns of a history that are no curves for this page; ``metrics.json`` has them all.
_NOT_DRAWN = ("epoch", "step", "gradient_norm")


def render_page(data: ReportData) -> str:
    """HTML text of the whole page, deterministic for equal ``data``."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "csv_percent": csv_percent,
        "interval": interval,
        "ece_interval": ece_interval,
        "decibel": _decibel,
        "duration": duration,
        "gain": gain,
        "value": plain_value,
    }
    environment.globals |= {
        "bar": charts.bar,
        "columns": charts.columns,
        "count": count,
        "anchor": anchor,
        "leak_names": LEAK_NAMES,
        "diagram": diagram,
        "correction_title": correction_title,
        "anchor_of": anchor_of,
        "with_ladder": with_ladder,
        "rung_names": NAMES,
        "layout_rungs": USES_LAYOUT,
        "nothing": accuracy([]),
    }
    style, script = _asset("page.css"), _asset("page.js")
    return environment.get_template("page.html.j2").render(
        data=data,
        sentence=headline_sentence(data),
        policy=_policy(style, script),
        style=Markup(style),  # our own files, not text of a user
        script=Markup(script),
        batch=batch_cards(data.experiments, data.batch_effects),
        metric_lines=metric_lines(data.batch_effects),
        variance=variance_lines(data.batch_effects),
        told_apart=told_apart(data.batch_effects),
        bar_end=_bar_end(data),
        colours=_colours(data),
        figures=_figures(data),
        chance=data.headline.chance if data.headline else None,
    )


def _asset(name: str) -> str:
    text = (_TEMPLATES / name).read_text(encoding="utf-8")
    if "</s" in text.lower():
        raise ValueError(f"{name} would end its own element")
    return text


def _policy(style: str, script: str) -> str:
    def named(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

    return (
        f"default-src 'none'; style-src {named(style)}; script-src {named(script)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _bar_end(data: ReportData) -> float:
    rows = [*data.experiments, *data.cell_types]
    shares = [p.high for row in rows for p in (row.well, row.site)]
    return charts.bar_scale([*shares, data.headline.chance if data.headline else None])


def _colours(data: ReportData) -> dict[str, str]:
    """Cell type -> colour class, in alphabetical order so that pages compare."""
    rows: list[str] = [e.cell_type for e in data.experiments]
    rows += [p.cell_type for p in data.quality.plates]
    rows += [e.cell_type for e in data.scoring.experiments] if data.scoring else []
    return {name: f"c{i % 7}" for i, name in enumerate(sorted(set(rows)))}


def _figures(data: ReportData) -> list[dict[str, object]]:
    """Training curves; the reconstruction term is far smaller than the others and apart."""
    history = dict(data.training.history)
    x = next((history[k] for k in ("epoch", "step") if k in history), ())
    groups: dict[str, dict[str, Sequence[float]]] = {}
    for name, values in history.items():
        if name not in _NOT_DRAWN:
            groups.setdefault(_figure_of(name), {})[name.replace("_", " ")] = values
    figures: list[dict[str, object]] = []
    for title, series in groups.items():
        shares = title == "Accuracy"
        chance = data.headline.chance if data.headline and shares else None
        svg = charts.curves(title, list(x), series, "epoch", shares, chance)
        if svg:
            names = [(f"c{i % 7}", name) for i, name in enumerate(series)]
            figures.append({"title": title, "svg": svg, "names": names, "chance": chance})
    return figures


def _figure_of(name: str) -> str:
    if "accuracy" in name:
        return "Accuracy"
    return "Reconstruction loss" if "reconstruction" in name else "Loss"


def interval(score: Proportion) -> str:
    """``38.1 to 44.0`` in per cent; a dash without rows."""
    if score.low is None or score.high is None:
        return "n/a"
    return f"{100 * score.low:.1f} to {100 * score.high:.1f}"


def ece_interval(scores: CalibrationScores) -> str:
    """``3.1 to 8.0`` in per cent; a dash where it is not known."""
    if scores.ece_low is None or scores.ece_high is None:
        return "n/a"
    return f"{100 * scores.ece_low:.1f} to {100 * scores.ece_high:.1f}"


def csv_percent(share: float | None) -> str:
    """A share in per cent for a table's CSV, where the heading says the unit; empty if none."""
    return "" if share is None else f"{100 * share:.6g}"


def _decibel(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2f}"


def gain(value_db: float) -> str:
    """``+4.98``, ``-0.31``, and ``0.00`` for what rounds to nothing."""
    return "0.00" if abs(value_db) < 0.005 else f"{value_db:+.2f}"


def duration(seconds: float | None) -> str:
    """``0.4 s``, ``12 s``, ``3 min 05 s``, ``2 h 07 min``."""
    if seconds is None:
        return "n/a"
    if seconds < 59.5:
        return f"{seconds:.1f}{THIN}s" if seconds < 9.95 else f"{seconds:.0f}{THIN}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{THIN}min {rest:02d}{THIN}s"
    return f"{minutes // 60}{THIN}h {minutes % 60:02d}{THIN}min"


def plain_value(value: object) -> str:
    """A configuration value as one would write it."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(plain_value(v) for v in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def anchor(row: SliceScore) -> str:
    """Name of an experiment's card for deep links; letters, digits, dash and dot alone."""
    return anchor_of(row.name)


def anchor_of(name: str) -> str:
    """The same for the name of an experiment."""
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "-.") else "_" for c in name)
    if safe == name:
        return f"experiment-{safe}"
    return f"experiment-{safe}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
