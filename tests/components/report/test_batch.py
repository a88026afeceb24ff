"""Which correction a card names, and what the batch section says of variance and treatments."""

from __future__ import annotations

import html
import math
import re

import pytest

from components.batch_effect_evaluator.results import BatchEffects, CorrectedResult
from components.report import batch, machine
from components.report.explained import SHOWN_COMPONENTS, told_apart, variance_lines
from components.report.render import render_page
from trainer.metrics.batch_cards import BatchCards, ExperimentCard
from trainer.metrics.batch_effect import LabelRow, VarianceRow
from trainer.metrics.intervals import accuracy


def shown(page: str) -> str:
    """Text of a page, its tags left out."""
    text = html.unescape(re.sub(r"<[^>]*>", "", page)).replace("\u202f", " ")
    return " ".join(text.split())


WELL = accuracy([True] * 9 + [False])


def card(guessed: float, found_again: float | None) -> ExperimentCard:
    n = round(100 * guessed)
    share = accuracy([True] * n + [False] * (100 - n))
    return ExperimentCard("U2OS-04", "U2OS", 100, share, 0.25, found_again, 0.05)


@pytest.mark.parametrize(
    ("after", "named", "biology"),
    [
        # Lower than chance is not better: the one that keeps the biology.
        ({"centring": (0.20, 0.50), "tvn": (0.05, 0.10)}, "centring brings that to 20 %", "0.50"),
        ({"tvn": (0.05, 0.10), "centring": (0.25, 0.50)}, "centring brings that to 25 %", "0.50"),
        # One that is not at chance is not named, however much biology it keeps.
        ({"centring": (0.60, 0.90), "tvn": (0.20, 0.10)}, "tvn brings that to 20 %", "0.10"),
        # None at chance: the lowest.
        ({"centring": (0.60, 0.90), "tvn": (0.40, 0.10)}, "tvn brings that to 40 %", "0.10"),
        # Nothing known of the treatments: the lowest.
        ({"centring": (0.20, None), "tvn": (0.05, None)}, "tvn brings that to 5.0 %", ""),
        ({"centring": (0.95, 0.9)}, "No correction that was tried lowers that.", ""),
        ({}, "batch effect is left.", ""),
    ],
)
def test_the_correction_that_is_named(after: dict, named: str, biology: str) -> None:
    cards = {"none": card(0.90, 0.45)} | {name: card(*own) for name, own in after.items()}
    text = batch.card_sentence(WELL, cards).replace("\u202f", " ")
    assert named in text and biology in text


def variance(scope: str, component: int) -> VarianceRow:
    # The order of a JSON file with sorted keys.
    share = {"experiment": 0.3, "plate": 0.1, "position": 0.1, "residual": 0.25, "treatment": 0.25}
    chance = dict(zip(share, (0.031, 0.02, 0.1, 0.8, 0.049), strict=True))
    return VarianceRow(scope, component, 1.0 if component == 0 else 0.123, share, chance, 96)


def label(scope: str, q: float) -> LabelRow:
    return LabelRow(scope, "s11111<b>", 4, 4, 0.75, q / 2, q)


def effects() -> BatchEffects:
    cards = BatchCards((card(0.9, 0.5),), WELL, 0.25)
    labels = (
        *(label("all", q) for q in (0.01, 0.02, 0.05, math.nan)),
        *(label("HUVEC", q) for q in (0.01, 0.5)),
        *(label("U2OS", q) for q in (0.5, 0.5)),
    )
    rows = tuple(variance(scope, k) for scope in ("all", "U2OS") for k in range(11))
    own = CorrectedResult("none", (), cards, labels, rows)
    return BatchEffects((own, CorrectedResult("tvn", (), cards, (), rows[:1])), 10, 0, 2)


def test_treatments_that_are_told_apart_are_counted() -> None:
    assert told_apart(effects()) == (
        "2 of 4 treatments are told apart from the others across experiments at q < 0.05 "
        "(HUVEC 1 of 2, U2OS 0 of 2)."
    )
    assert told_apart(None) == told_apart(BatchEffects((), 0, 0, 0)) == ""


def test_variance_lines_put_biology_first_and_all_wells_last() -> None:
    own, whole = variance_lines(effects())
    assert (own.scope, whole.scope, own.n) == ("U2OS", "all", 96)
    assert [line.factor for line in own.factors] == [
        "treatment",
        "experiment",
        "plate",
        "well position",
        "none of them (residual)",
    ]
    assert own.factors[0].chance == 0.049
    assert own.factors[0].share_K == (0.25,) * (1 + SHOWN_COMPONENTS)
    assert own.variance_share_K == (1.0, *[0.123] * SHOWN_COMPONENTS)
    almost = {"treatment": 1 - 2e-16, "residual": 2e-16}
    row = VarianceRow("U2OS", 0, 1.0, almost, {"treatment": 1.0, "residual": 0.0}, 4)
    bare = CorrectedResult("none", (), BatchCards((), WELL, 0.25), (), (row,))
    (part,) = variance_lines(BatchEffects((bare,), 4, 0, 2))
    assert [line.share_K for line in part.factors] == [(1.0,), (0.0,)]
    assert variance_lines(None) == variance_lines(BatchEffects((), 0, 0, 0)) == ()


def test_both_are_on_the_page_and_in_metrics_json(rows, page_data) -> None:
    data = page_data(rows, batch_effects=effects())
    text = shown(render_page(data))
    assert "2 of 4 treatments are told apart" in text
    assert "The whole, and 5 principal components" in text
    assert "treatmentU2OS4.9 %25 %25 %" in text and "share of all varianceU2OS100 %12 %" in text
    found = machine.metrics(data)["batch_effects"]
    assert found["told_apart"] == told_apart(effects())
    assert len(found["corrections"]["none"]["variance"]) == 22
    assert found["corrections"]["tvn"]["variance"][0]["share"]["treatment"] == 0.25
    assert found["treatments"][0] == {
        "scope": "all",
        "treatment": "s11111<b>",
        "n_wells": 4,
        "n_experiments": 4,
        "mean_average_precision": 0.75,
        "p_value": 0.005,
        "q_value": 0.01,
    }
    assert found["treatments"][3]["q_value"] is None


def test_without_them_the_page_says_nothing(rows, page_data) -> None:
    bare = CorrectedResult("none", (), BatchCards((), WELL, 0.25))
    data = page_data(rows, batch_effects=BatchEffects((bare,), 10, 0, 2))
    text = shown(render_page(data))
    assert "Batch against biology" in text
    assert "are told apart" not in text and "What the embedding is made of" not in text
