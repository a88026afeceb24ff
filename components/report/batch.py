"""Batch against biology as the page shows it: a card for each experiment, a table of metrics."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from components.batch_effect_evaluator.results import NONE, BatchEffects
from components.report.data import SliceScore
from components.report.explained import told_apart, treatment_entries, variance_entries
from components.report.verdict import percent
from trainer.metrics.batch_cards import ExperimentCard, by_experiment
from trainer.metrics.batch_effect import METRIC_NAMES, SCOPE_ALL, MetricInfo, MetricRow
from trainer.metrics.intervals import Proportion

_TITLES = {NONE: "As the network gives it"}


def title(correction: str) -> str:
    """Name of a correction for a table."""
    return _TITLES.get(correction, correction)


@dataclass(frozen=True)
class BatchCard:
    """One held-out experiment: accuracy, guessability, and what corrections do to it."""

    experiment: str
    cell_type: str
    well: Proportion
    #: Correction -> what was found after it, ``none`` first.
    after: dict[str, ExperimentCard]
    sentence: str


def batch_cards(
    experiments: tuple[SliceScore, ...], found: BatchEffects | None
) -> tuple[BatchCard, ...]:
    """Cards in the order of the page's experiments; none where nothing was measured."""
    if found is None:
        return ()
    after = {result.correction: by_experiment(result.cards) for result in found.results}
    cards = []
    for experiment in experiments:
        mine = {name: own[experiment.name] for name, own in after.items() if experiment.name in own}
        if mine:
            text = card_sentence(experiment.well, mine)
            cards.append(
                BatchCard(experiment.name, experiment.cell_type, experiment.well, mine, text)
            )
    return tuple(cards)


def card_sentence(well: Proportion, after: dict[str, ExperimentCard]) -> str:
    """What the numbers say, in plain words."""
    own = after.get(NONE)
    right = f"The right treatment is named in {percent(well.value)} of its wells"
    if own is None or own.guessed.value is None or own.chance is None:
        return (
            f"{right}. How far it stands apart cannot be said: no other experiment of its cell "
            "type was read."
        )
    guessed, chance = own.guessed, own.chance
    shown = f"{percent(guessed.value)} of them (guessing: {percent(chance)})"
    if guessed.low is not None and guessed.low > chance:
        text = (
            f"{right}, but a linear reader also names the experiment of {shown}: batch effect is "
            "left."
        )
        name = _best_correction(after, chance)
        best = after.get(name)
        if best is not None and (best.guessed.value or 0) < (guessed.value or 0):
            text += f" {name} brings that to {percent(best.guessed.value)}"
            text += _biology(own, best)
        elif len(after) > 1:
            text += " No correction that was tried lowers that."
        return text
    return (
        f"{right}, and a linear reader names the experiment of no more than {shown}: it finds no "
        "batch effect, so a correction has nothing to remove."
    )


def _best_correction(after: dict[str, ExperimentCard], chance: float) -> str:
    """Name of the correction to recommend; empty where none was tried.

    At chance nothing of the experiment is left, and lower is not better: of the corrections that
    come so far, the one after which treatments are found again best. Of others the lowest.
    """
    tried = {
        name: (card.guessed.value, card.found_again or 0.0)
        for name, card in after.items()
        if name != NONE and card.guessed.value is not None
    }
    there = [name for name, (guessed, _) in tried.items() if guessed <= chance]
    if any(tried[name][1] for name in there):
        return max(there, key=lambda name: tried[name][1])
    return min(tried, key=lambda name: tried[name][0], default="")


def _biology(before: ExperimentCard, after: ExperimentCard) -> str:
    """Whether treatments are found again as well as before a correction."""
    if before.found_again is None or after.found_again is None:
        return "."
    change = after.found_again - before.found_again
    found = f"{before.found_again:.2f} to {after.found_again:.2f}"
    if change < -0.02:
        return f", at the price of biology (treatments found again: {found})."
    if change > 0.02:
        return f", and treatments are found again better ({found})."
    return f", and treatments are found again as well as before ({found})."


@dataclass(frozen=True)
class MetricLine:
    """One metric in one scope, as it is and after each correction."""

    info: MetricInfo
    scope: str
    #: Correction -> row.
    values: dict[str, MetricRow]

    @property
    def first(self) -> MetricRow:
        """The row without correction."""
        return self.values[NONE]


def metric_lines(found: BatchEffects | None) -> tuple[MetricLine, ...]:
    """Lines of the table, metric by metric, cell types first and all wells last."""
    if found is None or found.result() is None:
        return ()
    lines: dict[tuple[str, str], dict[str, MetricRow]] = {}
    for result in found.results:
        for row in result.rows:
            lines.setdefault((row.metric, row.scope), {})[result.correction] = row

    def order(key: tuple[str, str]) -> tuple[int, bool, str]:
        return METRIC_NAMES.index(key[0]), key[1] == SCOPE_ALL, key[1]

    return tuple(
        MetricLine(lines[key][NONE].info, key[1], lines[key])
        for key in sorted(lines, key=order)
        if NONE in lines[key]
    )


def machine(
    experiments: tuple[SliceScore, ...], found: BatchEffects | None
) -> dict[str, Any] | None:
    """Entry ``batch_effects`` of ``metrics.json``."""
    if found is None:
        return None
    return {
        "n_wells": found.n_wells,
        "n_controls": found.n_controls,
        "n_experiments": found.n_experiments,
        "fitted_on": list(found.fitted_on),
        "left_out": dict(found.left_out),
        "baseline_guessed": found.baseline_guessed and dataclasses.asdict(found.baseline_guessed),
        "corrections": {
            result.correction: {
                "guessed": dataclasses.asdict(result.cards.guessed),
                "chance": result.cards.chance,
                "metrics": [row.to_json() for row in result.rows],
                "notes": list(result.notes),
                "variance": variance_entries(result.variance),
            }
            for result in found.results
        },
        "treatments": treatment_entries(found),
        "told_apart": told_apart(found),
        "cards": [
            {
                "experiment": card.experiment,
                "cell_type": card.cell_type,
                "accuracy_per_well": card.well.value,
                "low": card.well.low,
                "high": card.well.high,
                "sentence": card.sentence,
                "after": {name: dataclasses.asdict(own) for name, own in card.after.items()},
            }
            for card in batch_cards(experiments, found)
        ],
    }
