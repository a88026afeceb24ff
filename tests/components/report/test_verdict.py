"""The first sentence says what is known, and no more."""

from __future__ import annotations

import dataclasses

import pytest

from components.report import data as d
from components.report.verdict import headline_sentence, join, percent
from trainer.metrics.intervals import Proportion


def proportion(value: float, low: float, high: float, n: int = 100) -> Proportion:
    return Proportion(n, round(value * n), value, low, high, "wilson")


NO_ROWS = Proportion(0, 0, None, None, None)


def slice_of(name: str, well: Proportion) -> d.SliceScore:
    return d.SliceScore(name, "", well, well, well)


@pytest.fixture
def data() -> d.ReportData:
    top = d.Headline(proportion(0.41, 0.38, 0.44), NO_ROWS, 0.009, 111, 2, 0.3, 0.01, 0.95)
    return d.ReportData(
        "training",
        headline=top,
        experiments=(
            slice_of("U2OS-04", proportion(0.12, 0.1, 0.14)),
            slice_of("HUVEC-17", proportion(0.5, 0.4, 0.6)),
        ),
        blessing=d.Blessing(False, ("below the threshold of 20 %",)),
    )


def plain(data: d.ReportData) -> str:
    return headline_sentence(data).replace("\u202f", " ")


def test_the_whole_sentence(data):
    assert plain(data) == (
        "On experiments it never saw, the model names the right treatment in 41 % of wells "
        "(38 to 44; chance 0.9). Worst experiment: U2OS-04, 12 %. "
        "Not blessed: below the threshold of 20 %."
    )


def test_chance_inside_the_interval_is_said(data):
    weak = dataclasses.replace(data.headline, well=proportion(0.012, 0.004, 0.03))
    text = plain(dataclasses.replace(data, headline=weak))
    assert "1.2 % of wells (0.4 to 3.0; chance 0.9). That cannot be told from guessing." in text


def test_an_empty_experiment_is_named(data):
    rows = (*data.experiments, slice_of("RPE-08", NO_ROWS))
    text = plain(dataclasses.replace(data, experiments=rows))
    assert "Worst experiment: U2OS-04" in text
    assert "No well could be scored in RPE-08." in text


@pytest.mark.parametrize(
    ("blessing", "end"),
    [
        (d.Blessing(True), "12 %. Blessed."),
        (d.Blessing(None), "No evaluation decided whether to bless it."),
        (d.Blessing(False), "12 %. Not blessed."),
        (d.Blessing(False, ("a.", "b", "c")), "Not blessed: a (and 2 more reasons)."),
    ],
)
def test_blessing(data, blessing, end):
    assert plain(dataclasses.replace(data, blessing=blessing)).endswith(end)


def test_no_held_out_wells(data):
    nothing = dataclasses.replace(data.headline, well=NO_ROWS)
    for headline in (nothing, None):
        text = plain(dataclasses.replace(data, headline=headline))
        assert text.startswith("No held-out experiment has wells")


def test_scoring_promises_nothing():
    scored = d.ScoredExperiment("E", "", 2, 20, 40, 1, 0.5, (0,) * 10)
    text = plain(
        d.ReportData("scoring", scoring=d.Scoring((scored,), 1108, unknown_plates=("E_2",)))
    )
    assert "20 wells on 2 plates of 1 experiment, out of 1,108 it knows" in text
    assert "nothing here says how often it is right" in text
    assert "1 plate was unknown to the normaliser" in text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0"),
        (0.412, "41"),
        (0.0995, "10"),
        (0.0321, "3.2"),
        (0.009, "0.9"),
        (1 / 1108, "0.09"),
        (1, "100"),
        (0.9996, "99.96"),
        (0.99999, "99.99"),
        (None, "n/a"),
        (float("nan"), "n/a"),
    ],
)
def test_percent(share, text):
    assert percent(share, unit=False) == text


def test_join_cuts_long_lists():
    assert join(["a"]) == "a"
    assert join(["a", "b", "c"]) == "a, b and c"
    assert join(list("abcdefg")) == "a, b, c, d, e and 2 more"
