"""How often the first choice is right against how sure it was, as inline SVG."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from trainer.metrics.calibration import Bin

_SIDE, _LEFT, _TOP, _BOTTOM = 200, 44, 8, 34


def diagram(before: Sequence[Bin], after: Sequence[Bin]) -> Markup:
    """Reliability before and after temperature scaling; the dashed line is perfection.

    A dot's area is in proportion to the rows of its bin.
    """
    total = sum(b.n for b in before)
    if not total:
        return Markup("")
    width, height = _LEFT + _SIDE + 14, _TOP + _SIDE + _BOTTOM

    def at(x: float, y: float) -> str:
        return f"{_LEFT + _SIDE * x:.1f} {_TOP + _SIDE * (1 - y):.1f}"

    parts = []
    for share in (0.0, 0.5, 1.0):
        y = _TOP + _SIDE * (1 - share)
        x = _LEFT + _SIDE * share
        parts.append(
            f'<path class="grid" d="M{at(0, share)}H{_LEFT + _SIDE}"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{100 * share:g} %</text>'
            f'<text x="{x:.1f}" y="{_TOP + _SIDE + 15}" text-anchor="middle">{100 * share:g}</text>'
        )
    middle = _LEFT + _SIDE / 2
    parts.append(
        f'<text x="{middle}" y="{_TOP + _SIDE + 29}" text-anchor="middle">'
        "probability of the first choice, %</text>"
        f'<path class="chance" d="M{at(0, 0)}L{at(1, 1)}"/>'
    )
    for colour, bins in (("c4", before), ("c0", after)):
        if bins:
            line = "L".join(at(b.confidence, b.accuracy) for b in bins)
            parts.append(f'<path class="line {colour}" d="M{line}"/>')
        for b in bins:
            left, top = at(b.confidence, b.accuracy).split()
            radius = 1.5 + 9 * (b.n / total) ** 0.5
            parts.append(
                f'<circle class="dot {colour} clear" cx="{left}" cy="{top}" r="{radius:.1f}"/>'
            )
    label = f"share of wells named right over their probability, {len(before)} bins"
    return Markup(
        f'<svg class="reliability" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{label}">{"".join(parts)}</svg>'
    )
