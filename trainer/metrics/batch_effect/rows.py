"""The rows of the table of batch-effect metrics."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from trainer.metrics.batch_effect.catalogue import CATALOGUE, MetricInfo

#: Scope of a row that takes all rows together.
SCOPE_ALL = "all"


@dataclass(frozen=True)
class MetricRow:
    """One metric in one scope.

    ``value`` is None where the metric is not defined; ``note`` then says why.
    """

    metric: str
    #: A cell type, or ``all``.
    scope: str
    value: float | None
    #: What no structure would score (no batch effect for batch metrics, no biology for
    #: biology metrics); None where it depends on the data.
    chance: float | None = None
    #: Interval of ``value``; None where none is sensible.
    low: float | None = None
    high: float | None = None
    #: What was averaged over: rows, labels or neighbourhoods, as ``n_of`` says.
    n: int = 0
    n_of: str = "wells"
    seconds: float = 0.0
    #: Settings that a reader needs to repeat the number, or why there is none.
    note: str = ""

    @property
    def info(self) -> MetricInfo:
        """Meaning, direction and ideal value."""
        return CATALOGUE[self.metric]

    def to_json(self) -> dict[str, Any]:
        """The row with its meaning, for machines."""
        info = self.info
        return {
            **dataclasses.asdict(self),
            "title": info.title,
            "kind": info.kind,
            "better": info.better,
            "ideal": info.ideal,
            "meaning": info.meaning,
        }


@dataclass(frozen=True)
class LabelRow:
    """One label (treatment) in one scope: is it found again in other experiments?"""

    scope: str
    label: str
    n_wells: int
    n_experiments: int
    mean_average_precision: float
    p_value: float
    #: After Benjamini-Hochberg over the labels of the scope.
    corrected_p_value: float
    #: Median correlation of its wells across experiments; None if not asked for.
    replicate_correlation: float | None = None


@dataclass(frozen=True)
class VarianceRow:
    """Shares of one principal component's variance (0..1); they add up to 1.

    ``component`` counts from 1; 0 is the whole embedding (all components, weighted by
    their variance).
    """

    scope: str
    component: int
    #: Of the whole variance.
    variance_share: float
    #: By factor, in the order in which they were fitted, ``residual`` last.
    share: dict[str, float]
    #: Share that a factor without any effect takes by chance: its degrees of freedom / (n - 1).
    chance: dict[str, float]
    n: int


@dataclass(frozen=True)
class BatchEffectResult:
    """All that :func:`batch_effect_metrics` returns."""

    rows: tuple[MetricRow, ...]
    labels: tuple[LabelRow, ...] = ()
    variance: tuple[VarianceRow, ...] = ()

    def row(self, metric: str, scope: str = SCOPE_ALL) -> MetricRow:
        """The row of a metric in a scope.

        Raises
        ------
        KeyError
            There is no such row.
        """
        for row in self.rows:
            if (row.metric, row.scope) == (metric, scope):
                return row
        raise KeyError(f"no row for metric {metric!r} in scope {scope!r}")

    def to_json(self) -> dict[str, Any]:
        """Plain lists and dictionaries; what is not defined is null."""
        return {
            "rows": [row.to_json() for row in self.rows],
            "labels": [dataclasses.asdict(row) for row in self.labels],
            "variance": [dataclasses.asdict(row) for row in self.variance],
        }


def defined(value: float) -> float | None:
    """The number, or None for NaN: JSON and readers have no other word for it."""
    return None if math.isnan(value) else float(value)
