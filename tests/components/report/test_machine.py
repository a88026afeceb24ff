"""metrics.json: strict JSON, documented keys, the page's figures."""

from __future__ import annotations

import json
import math
import re

from components.report import data as d
from components.report import machine


def read(data: d.ReportData) -> dict:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    return json.loads(machine.metrics_text(data), parse_constant=refuse)


def test_headline_keys_and_values(rows, page_data):
    data = page_data(rows)
    found = read(data)
    top = found["headline"]
    assert top["accuracy_per_well"] == data.headline.well.value == top["n_correct"] / top["n_wells"]
    assert top["low"] < top["accuracy_per_well"] < top["high"]
    assert math.isclose(top["times_chance"], top["accuracy_per_well"] / top["chance"])
    assert top["n_plates"] == 6
    assert found["worst_experiment"]["experiment"] == "U2OS-04"
    assert [e["n_wells"] for e in found["experiments"]] == [60, 60, 60]
    assert found["experiments"][0]["plates"][0]["sites"]["1"]["n"] == 30
    assert found["timings"] == {"X": {"seconds": 2.0, "state": "cached"}}
    assert found["blessing"]["blessed"] is False


def test_every_key_is_documented(rows, page_data):
    documented = set(re.findall(r"``(\w+)``", machine.__doc__))
    found = read(page_data(rows))
    assert set(found) <= documented
    assert set(found["headline"]) <= documented
    assert set(found["experiments"][0]) <= documented
    assert set(found["quality"]) <= documented


def test_empty_report_has_the_same_keys(rows, page_data):
    empty = read(d.ReportData("training"))
    assert set(empty) == set(read(page_data(rows)))
    assert empty["headline"] is None and empty["worst_experiment"] is None


def test_what_is_not_finite_becomes_null(rows, page_data):
    history = {"epoch": (1.0, 2.0), "loss": (1.0, math.nan)}
    found = read(page_data(rows, training=d.Training(2, history)))
    assert found["training"]["history"]["loss"] == [1.0, None]


def test_quality_is_summed_over_plates(rows, page_data):
    plates = (
        d.PlateQuality("A_1", "A", "", 10, 8, 1, 1, "dark"),
        d.PlateQuality("A_2", "A", "", 10, 10, 0, 0),
    )
    found = read(page_data(rows, quality=d.Quality(plates)))["quality"]
    assert (found["sites_expected"], found["sites_used"]) == (20, 18)
    assert found["outlier_plates"] == ["A_1"]
