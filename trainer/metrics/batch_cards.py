"""Batch against biology, one experiment at a time.

Two questions of every experiment, asked within its cell type: how often does a linear reader
name it (the batch probe's answers for its own wells), and how well are its treatments found
again in the other experiments (cross-experiment average precision of its own wells)?
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainer.metrics.batch_effect.average_precision import (
    average_precision,
    expected_average_precision,
)
from trainer.metrics.batch_effect.config import BatchEffectConfig
from trainer.metrics.batch_effect.probe import ask_held_out
from trainer.metrics.intervals import Proportion, accuracy, clustered_interval


@dataclass(frozen=True)
class ExperimentCard:
    """One experiment in one embedding. None: there is no other experiment of its cell type."""

    experiment: str
    cell_type: str
    n_wells: int
    #: Share of its wells that the probe names rightly (0..1; lower is better).
    guessed: Proportion
    #: Its share of the wells of its cell type: what guessing would name.
    chance: float | None
    #: Mean over its wells of the average precision of same-treatment wells of other experiments
    #: (0..1, higher is better), and what a random ranking would score.
    found_again: float | None = None
    found_again_chance: float | None = None


@dataclass(frozen=True)
class BatchCards:
    """All experiments, and the probe over all of them within their cell types."""

    cards: tuple[ExperimentCard, ...]
    #: Wells of all cell types together whose experiment was named; experiments are clusters.
    guessed: Proportion
    #: What naming the largest experiment of each cell type would score.
    chance: float | None


def batch_cards(
    embedding_ND: ArrayLike,
    label_N: ArrayLike | None,
    experiment_N: ArrayLike,
    cell_type_N: ArrayLike,
    config: BatchEffectConfig | None = None,
) -> BatchCards:
    """A card for every experiment.

    Parameters
    ----------
    embedding_ND
        One row a well.
    label_N
        Treatment of each row; None where none is known.
    experiment_N, cell_type_N
        Names.
    config
        Folds, penalty, rows and seed of the probe.
    """
    config = config or BatchEffectConfig()
    embedding = np.asarray(embedding_ND)
    experiment, cell_type = np.asarray(experiment_N, str), np.asarray(cell_type_N, str)
    named = np.zeros(len(embedding), dtype=bool)
    asked = np.zeros(len(embedding), dtype=bool)
    found = np.full((len(embedding), 2), np.nan)
    largest: dict[str, tuple[float, int]] = {}
    for name in np.unique(cell_type):
        rows = np.flatnonzero(cell_type == name)
        codes = np.unique(experiment[rows], return_inverse=True)[1]
        if codes.max(initial=0) < 1:
            continue
        answers = ask_held_out(
            embedding[rows],
            codes,
            np.arange(len(rows)),
            n_folds=config.probe_folds,
            inverse_penalty=config.probe_inverse_penalty,
            max_rows=config.probe_max_rows,
            seed=config.seed,
        )
        kept = answers.row_M
        asked[rows[kept]], named[rows[kept]] = True, answers.correct_M
        if len(kept):
            largest[str(name)] = (float(np.bincount(codes[kept]).max() / len(kept)), len(kept))
        if label_N is not None:
            label = np.asarray(label_N, str)[rows]
            ap = average_precision(embedding[rows], label, experiment[rows])
            found[rows, 0] = ap.score_N
            found[rows, 1] = expected_average_precision(ap.n_positives_N, ap.n_pairs_N)
    cards = tuple(
        _card(str(name), experiment, cell_type, asked, named, found)
        for name in np.unique(experiment)
    )
    total = sum(n for _, n in largest.values())
    return BatchCards(
        cards,
        clustered_interval(named[asked], experiment[asked], confidence=config.confidence),
        sum(share * n for share, n in largest.values()) / total if total else None,
    )


def _card(
    name: str,
    experiment: NDArray[np.str_],
    cell_type: NDArray[np.str_],
    asked: NDArray[np.bool_],
    named: NDArray[np.bool_],
    found: NDArray[np.float64],
) -> ExperimentCard:
    mine = experiment == name
    kind = str(cell_type[mine][0])
    peers = asked & (cell_type == kind)
    ap, expected = found[mine].T
    known = np.isfinite(ap)
    return ExperimentCard(
        experiment=name,
        cell_type=kind,
        n_wells=int(mine.sum()),
        guessed=accuracy(named[mine & asked]),
        chance=float((mine & peers).sum() / peers.sum()) if (mine & peers).any() else None,
        found_again=float(ap[known].mean()) if known.any() else None,
        found_again_chance=float(expected[known].mean()) if known.any() else None,
    )


def by_experiment(cards: BatchCards) -> Mapping[str, ExperimentCard]:
    """Cards by their experiment."""
    return {card.experiment: card for card in cards.cards}
