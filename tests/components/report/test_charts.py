"""Charts: geometry in the right place, well-formed SVG."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest

from components.report import charts
from trainer.metrics.intervals import Proportion, accuracy


def elements(svg: str, kind: str) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(svg)
    return [e for e in root.iter() if kind in e.get("class", "").split()]


def test_bar_is_to_scale():
    svg = charts.bar(Proportion(100, 25, 0.25, 0.2, 0.3), 0.5, chance=0.1)
    (fill,) = elements(svg, "fill")
    assert float(fill.get("width")) == 50
    (whisker,) = elements(svg, "whisker")
    assert whisker.get("d").startswith("M40.00 9H60.00")
    (chance,) = elements(svg, "chance")
    assert chance.get("d").startswith("M20.00 ")


def test_bar_without_rows_has_no_fill():
    svg = charts.bar(accuracy([]), 1.0, chance=0.1)
    assert elements(svg, "fill") == [] and len(elements(svg, "chance")) == 1


@pytest.mark.parametrize(
    ("shares", "end"), [([0.004], 0.01), ([0.3, None], 0.5), ([0.51], 1.0), ([], 1.0), ([None], 1)]
)
def test_bar_scale_is_round_and_holds_all(shares, end):
    assert charts.bar_scale(shares) == end


def test_curves_keep_order_and_leave_gaps():
    svg = charts.curves("Loss", [1, 2, 3, 4], {"a<b": [4.0, math.nan, 2.0, 1.0]}, "epoch")
    (line,) = elements(svg, "line")
    assert re.findall("[ML]", line.get("d")) == ["M", "M", "L"]
    x, y = zip(
        *[map(float, p.split()) for p in re.findall(r"[\d.]+ [\d.]+", line.get("d"))], strict=True
    )
    assert list(x) == sorted(x) and list(y) == sorted(y)  # falling values run down the page
    assert len(elements(svg, "dot")) == 3


def test_curves_of_shares_start_at_zero_and_show_chance():
    svg = charts.curves("Accuracy", [1, 2], {"a": [0.5, 0.9]}, "epoch", True, 0.02)
    texts = [e.text for e in ElementTree.fromstring(svg).iter("text")]
    assert "0 %" in texts and len(elements(svg, "chance")) == 1


@pytest.mark.parametrize("values", [[5.0, 5.0], [0.0, 0.0], [-3.0, 1e-9], [1e6, 2e6]])
def test_curves_survive_any_range(values):
    svg = charts.curves("x", [1, 2], {"a": values}, "epoch")
    (line,) = elements(svg, "line")
    numbers = [float(n) for n in re.findall(r"-?[\d.]+", line.get("d"))]
    assert all(0 <= n <= 360 for n in numbers)


def test_nothing_to_draw_is_nothing():
    assert charts.curves("x", [1], {"a": [math.nan]}, "epoch") == ""
    assert charts.curves("x", [], {}, "epoch") == ""


def test_columns_are_relative_to_the_highest():
    svg = charts.columns([1, 0, 4], 'label "quoted"')
    heights = [float(e.get("height")) for e in elements(svg, "fill")]
    assert heights == [7.5, 0, 30]
    assert ElementTree.fromstring(svg).get("aria-label") == 'label "quoted"'
