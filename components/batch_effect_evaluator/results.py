"""What the BatchEffectEvaluator found, as plain data that every reader loads.

``batch_effects.json`` holds it all; ``metrics.parquet``, ``experiments.parquet``,
``labels.parquet`` and ``variance.parquet`` hold its tables with one row for each correction
(``none`` first); ``corrections/NAME`` the fitted corrections.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trainer.errors import PlatewiseError
from trainer.metrics.batch_cards import BatchCards, ExperimentCard
from trainer.metrics.batch_effect import LabelRow, MetricRow, VarianceRow
from trainer.metrics.intervals import Proportion

FILE_NAME = "batch_effects.json"
CORRECTIONS = "corrections"


def embeddings_file(correction: str) -> str:
    """Table of corrected embeddings, one row a well, in the artifact's folder."""
    return f"embeddings_{correction}.parquet"


#: Name of the embedding as the network gives it.
NONE = "none"


@dataclass(frozen=True)
class CorrectedResult:
    """Metrics of the embeddings after one correction, or as they are."""

    correction: str
    rows: tuple[MetricRow, ...]
    cards: BatchCards
    labels: tuple[LabelRow, ...] = ()
    variance: tuple[VarianceRow, ...] = ()
    #: Experiment -> how it was corrected: fitted, own rows, global part alone.
    sources: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class BatchEffects:
    """Everything found; ``none`` comes first among ``results``."""

    results: tuple[CorrectedResult, ...]
    n_wells: int
    n_controls: int
    n_experiments: int
    #: Experiments that corrections were fitted on.
    fitted_on: tuple[str, ...] = ()
    #: Correction -> why it could not be tried.
    left_out: Mapping[str, str] = field(default_factory=dict)
    #: The probe on the latest blessed model's embeddings of the same wells; None without them.
    baseline_guessed: Proportion | None = None

    def result(self, correction: str = NONE) -> CorrectedResult | None:
        """What was found after a correction; None where it was not tried."""
        return next((r for r in self.results if r.correction == correction), None)

    def to_json(self) -> str:
        """Text that :func:`from_json` reads."""
        return json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True) + "\n"


def from_json(text: str) -> BatchEffects:
    """Inverse of :meth:`BatchEffects.to_json`."""
    plain: dict[str, Any] = json.loads(text)
    baseline = plain["baseline_guessed"]
    return BatchEffects(
        results=tuple(_result(found) for found in plain["results"]),
        n_wells=plain["n_wells"],
        n_controls=plain["n_controls"],
        n_experiments=plain["n_experiments"],
        fitted_on=tuple(plain["fitted_on"]),
        left_out=plain["left_out"],
        baseline_guessed=Proportion(**baseline) if baseline else None,
    )


def _result(plain: Mapping[str, Any]) -> CorrectedResult:
    cards = plain["cards"]
    return CorrectedResult(
        correction=plain["correction"],
        rows=tuple(MetricRow(**row) for row in plain["rows"]),
        cards=BatchCards(
            tuple(
                ExperimentCard(**{**card, "guessed": Proportion(**card["guessed"])})
                for card in cards["cards"]
            ),
            Proportion(**cards["guessed"]),
            cards["chance"],
        ),
        labels=tuple(LabelRow(**row) for row in plain["labels"]),
        variance=tuple(VarianceRow(**row) for row in plain["variance"]),
        sources=plain["sources"],
        notes=tuple(plain["notes"]),
    )


def tables(found: BatchEffects) -> dict[str, list[dict[str, Any]]]:
    """Table name -> rows, each with the correction it was found after."""

    def rows(result: CorrectedResult, parts: Any) -> list[dict[str, Any]]:
        return [{"correction": result.correction, **dataclasses.asdict(part)} for part in parts]

    def card(result: CorrectedResult, part: ExperimentCard) -> dict[str, Any]:
        plain = dataclasses.asdict(part)
        guessed = plain.pop("guessed")
        named = {f"guessed_{key}": guessed[key] for key in ("value", "low", "high", "n")}
        return {"correction": result.correction, **plain, **named}

    return {
        "metrics": [row for r in found.results for row in rows(r, r.rows)],
        "experiments": [card(r, part) for r in found.results for part in r.cards.cards],
        "labels": [row for r in found.results for row in rows(r, r.labels)],
        "variance": [_flat(row) for r in found.results for row in rows(r, r.variance)],
    }


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    share, chance = row.pop("share"), row.pop("chance")
    return row | {
        **{f"share_{name}": value for name, value in share.items()},
        **{f"chance_{name}": value for name, value in chance.items()},
    }


def read_batch_effects(uri: str) -> BatchEffects:
    """Load what the component wrote.

    Raises
    ------
    PlatewiseError
        The folder holds no finished evaluation of batch effects.
    """
    import tensorflow as tf

    path = f"{uri.rstrip('/')}/{FILE_NAME}"
    try:
        with tf.io.gfile.GFile(path) as stream:
            return from_json(stream.read())
    except Exception as error:
        raise PlatewiseError(
            f"cannot read {path} ({type(error).__name__}: {error}): not a finished evaluation of "
            "batch effects; run the pipeline again"
        ) from error
