"""Which correction a card names."""

from __future__ import annotations

import pytest

from components.report import batch
from trainer.metrics.batch_cards import ExperimentCard
from trainer.metrics.intervals import accuracy


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
