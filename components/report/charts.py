"""Numbers to inline SVG. Colours come from the page's style sheet, through classes.

No ``style`` attribute is written: the page's content security policy forbids them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from markupsafe import Markup, escape

from trainer.metrics.intervals import Proportion

_BAR_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0)
_WIDTH, _HEIGHT = 360, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 14, 34


def bar_scale(shares: Sequence[float | None]) -> float:
    """Smallest round share that holds all of ``shares``: the end of every bar's axis."""
    largest = max((s for s in shares if s is not None), default=1.0)
    return next((step for step in _BAR_STEPS if step >= largest), 1.0)


def bar(score: Proportion, end: float, chance: float | None = None, colour: str = "c0") -> Markup:
    """A bar with its interval as a whisker and the chance level as a dashed line.

    Parameters
    ----------
    score
        Without rows only the axis and the chance line are drawn.
    end
        Share at the right edge, from :func:`bar_scale`.
    colour
        Class that gives the fill.
    """

    def at(share: float) -> str:
        return f"{100 * min(max(share / end, 0.0), 1.0):.2f}"

    parts = ['<rect class="track" x="0" y="3" width="100" height="12"/>']
    if score.value is not None and score.low is not None and score.high is not None:
        parts.append(
            f'<rect class="fill {colour}" x="0" y="3" width="{at(score.value)}" height="12"/>'
            f'<path class="whisker" d="M{at(score.low)} 9H{at(score.high)}'
            f'M{at(score.low)} 5v8M{at(score.high)} 5v8"/>'
        )
    if chance is not None and chance <= end:
        parts.append(f'<path class="chance" d="M{at(chance)} 0v18"/>')
    return Markup(
        '<svg class="bar" viewBox="0 0 100 18" preserveAspectRatio="none" aria-hidden="true">'
        f"{''.join(parts)}</svg>"
    )


def columns(counts: Sequence[int], label: str) -> Markup:
    """Small column chart of counts over equal bins; ``label`` is read to those who listen."""
    top = max([*counts, 1])
    width = 100 / max(len(counts), 1)
    rects = "".join(
        f'<rect class="fill c0" x="{i * width + 0.5:.2f}" y="{30 - 30 * n / top:.2f}" '
        f'width="{width - 1:.2f}" height="{30 * n / top:.2f}"/>'
        for i, n in enumerate(counts)
    )
    return Markup(
        f'<svg class="columns" viewBox="0 0 100 30" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label)}"><path class="axis" d="M0 30H100"/>{rects}</svg>'
    )


def curves(
    title: str,
    x_N: Sequence[float],
    series: Mapping[str, Sequence[float]],
    x_label: str,
    as_percent: bool = False,
    baseline: float | None = None,
) -> Markup:
    """Line chart with axes and a legend.

    Parameters
    ----------
    x_N
        Common positions of all points.
    series
        Name -> values, shape [N]; a value that is not finite leaves a gap.
    as_percent
        Values are shares, ticks are written as per cent and start at 0.
    baseline
        Drawn as a dashed line, such as the chance level.
    """
    finite = [v for values in series.values() for v in values if math.isfinite(v)]
    if not finite or not x_N:
        return Markup("")
    low = 0.0 if as_percent else min(*finite, finite[0])
    ticks = _ticks(low, max([*finite, baseline or low]))
    y_low, y_high = ticks[0], ticks[-1]
    x_low, x_high = min(x_N), max(x_N)

    def px(x: float) -> float:
        share = (x - x_low) / (x_high - x_low) if x_high > x_low else 0.5
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def py(y: float) -> float:
        return _HEIGHT - _BOTTOM - (y - y_low) / (y_high - y_low) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [_grid(ticks, py, as_percent), _x_axis(x_low, x_high, px, x_label)]
    if baseline is not None:
        parts.append(f'<path class="chance" d="M{_LEFT} {py(baseline):.1f}H{_WIDTH - _RIGHT}"/>')
    for i, values in enumerate(series.values()):
        points = [
            (px(x), py(v)) if math.isfinite(v) else None for x, v in zip(x_N, values, strict=True)
        ]
        parts.append(_line(points, f"c{i % 7}"))
    label = escape(f"{title} over {x_label}, {len(x_N)} points")
    return Markup(
        f'<svg class="curves" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">'
        f"{''.join(parts)}</svg>"
    )


def _grid(ticks: Sequence[float], py: Callable[[float], float], as_percent: bool) -> str:
    parts = []
    for tick in ticks:
        text = f"{100 * tick:.3g} %" if as_percent else f"{tick:.4g}"
        parts.append(
            f'<path class="grid" d="M{_LEFT} {py(tick):.1f}H{_WIDTH - _RIGHT}"/>'
            f'<text x="{_LEFT - 6}" y="{py(tick) + 4:.1f}" text-anchor="end">{text}</text>'
        )
    return "".join(parts)


def _x_axis(low: float, high: float, px: Callable[[float], float], label: str) -> str:
    y = _HEIGHT - _BOTTOM + 16
    ends = f'<text x="{px(low):.1f}" y="{y}" text-anchor="middle">{low:g}</text>'
    if high > low:
        ends += f'<text x="{px(high):.1f}" y="{y}" text-anchor="end">{high:g}</text>'
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    return f'{ends}<text x="{middle}" y="{y + 12}" text-anchor="middle">{escape(label)}</text>'


def _line(points: Sequence[tuple[float, float] | None], colour: str) -> str:
    path, pen_up = [], True
    for point in points:
        if point is not None:
            path.append(f"{'M' if pen_up else 'L'}{point[0]:.1f} {point[1]:.1f}")
        pen_up = point is None
    dots = "".join(
        f'<circle class="dot {colour}" cx="{p[0]:.1f}" cy="{p[1]:.1f}" r="2.2"/>'
        for p in points
        if p is not None and len(points) <= 40
    )
    return f'<path class="line {colour}" d="{"".join(path)}"/>{dots}'


def _ticks(low: float, high: float) -> list[float]:
    """About four round steps that hold both ends."""
    span = (high - low) or abs(high) or 1.0
    step = 10.0 ** math.floor(math.log10(span / 4))
    step *= next(m for m in (1, 2, 2.5, 5, 10) if step * m >= span / 4)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [i * step for i in range(first, max(last, first + 1) + 1)]
