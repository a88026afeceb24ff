"""The metrics of one set of rows: a cell type, or all."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.metrics.batch_effect.average_precision import (
    AveragePrecisionReducer,
    LabelPrecision,
    mean_average_precision,
)
from trainer.metrics.batch_effect.config import BatchEffectConfig
from trainer.metrics.batch_effect.graph_connectivity import graph_connectivity
from trainer.metrics.batch_effect.kbet import kbet
from trainer.metrics.batch_effect.lisi import clisi, ilisi
from trainer.metrics.batch_effect.neighbors import NeighborReducer, Neighbors
from trainer.metrics.batch_effect.pairs import PairReducer, scan_pairs
from trainer.metrics.batch_effect.pcr import principal_component_regression
from trainer.metrics.batch_effect.probe import batch_probe
from trainer.metrics.batch_effect.replicates import ReplicateConsistency, replicate_consistency
from trainer.metrics.batch_effect.rows import MetricRow, defined
from trainer.metrics.batch_effect.silhouette import SilhouetteReducer, batch_asw_by_label
from trainer.metrics.batch_effect.variance import VarianceTable, variance_table
from trainer.metrics.intervals import normal_quantile, wilson_interval

_NEED_NEIGHBORS = {
    "kbet": "kbet_neighbors",
    "ilisi": "lisi_neighbors",
    "clisi": "lisi_neighbors",
    "graph_connectivity": "graph_neighbors",
}
_MAP = ("map", "map_significant")
_REPLICATES = ("replicate_correlation", "percent_replicating")
_VARIANCE = ("variance_experiment", "variance_treatment")
_NEED_TWO_LABELS = ("label_asw", "clisi", *_MAP, "percent_replicating", "variance_treatment")
_NEED_TWO_EXPERIMENTS = ("batch_probe", "batch_asw", "kbet", "ilisi", "pcr", *_MAP, *_REPLICATES)


@dataclass(frozen=True)
class Profiles:
    """Rows with their names, sorted by label so that the passes over pairs can be shared."""

    embedding_ND: NDArray[np.floating]
    label_N: NDArray[np.int64]
    label_names: NDArray[np.str_]
    experiment_N: NDArray[np.str_]
    #: Unique within its experiment.
    well_N: NDArray[np.str_] | None = None
    plate_N: NDArray[np.str_] | None = None
    position_N: NDArray[np.str_] | None = None


@dataclass
class ScopeMetrics:
    """Computes the rows of one scope; what several metrics share is computed once."""

    scope: str
    profiles: Profiles
    config: BatchEffectConfig
    names: tuple[str, ...]
    rows: list[MetricRow] = field(default_factory=list)
    label_precisions: list[LabelPrecision] = field(default_factory=list)
    consistency: ReplicateConsistency | None = None
    variance: VarianceTable | None = None

    def run(self) -> None:
        """Fill ``rows`` and the tables, in the catalogue's order."""
        self.n = len(self.profiles.embedding_ND)
        wanted = [name for name in self.names if self._why_not(name) is None]
        self._scan(wanted)
        for name in self.names:
            why = self._why_not(name)
            start = time.perf_counter()
            row = self._empty(name, why) if why else getattr(self, f"_{name}")()
            took = time.perf_counter() - start + (self._shared_s if name in self._sharing else 0)
            self.rows.append(MetricRow(**{**vars(row), "seconds": took}))

    def _why_not(self, name: str) -> str | None:
        experiments = np.unique(self.profiles.experiment_N).size
        labels = np.unique(self.profiles.label_N).size
        if self.n < 3:
            return f"needs 3 rows or more; there are {self.n}"
        if name in _NEED_TWO_EXPERIMENTS and experiments < 2:
            return "needs two experiments; there is one"
        if name in _NEED_TWO_LABELS and labels < 2:
            return "needs two labels; there is one"
        return None

    def _empty(self, name: str, why: str) -> MetricRow:
        return MetricRow(name, self.scope, None, n=self.n, note=f"not defined: {why}")

    def _scan(self, wanted: list[str]) -> None:
        """One pass over all pairs for all metrics that need one."""
        p = self.profiles
        start = time.perf_counter()
        neighbor = silhouette = precision = None
        counts = [getattr(self.config, _NEED_NEIGHBORS[n]) for n in wanted if n in _NEED_NEIGHBORS]
        if counts:
            neighbor = NeighborReducer(p.embedding_ND, max(counts))
        if "label_asw" in wanted:
            silhouette = SilhouetteReducer(p.label_N)
        if set(_MAP) & set(wanted):
            experiment = np.unique(p.experiment_N, return_inverse=True)[1]
            precision = AveragePrecisionReducer(p.label_N, experiment)
        reducers: list[PairReducer] = [r for r in (neighbor, silhouette, precision) if r]
        scan_pairs(p.embedding_ND, reducers)
        self._neighbors = neighbor.result() if neighbor else None
        self._silhouette = silhouette.result() if silhouette else None
        self._precision = precision.result() if precision else None
        uses = (*_NEED_NEIGHBORS, "label_asw", *_MAP)
        self._sharing = [name for name in wanted if name in uses]
        self._shared_s = (time.perf_counter() - start) / max(1, len(self._sharing))

    def _row(self, name: str, value: float, **more: Any) -> MetricRow:
        shown = defined(value)
        if shown is None and "note" not in more:
            more["note"] = "not defined on these rows"
        return MetricRow(name, self.scope, shown, **{"n": self.n, **more})

    def _near(self, name: str) -> tuple[Neighbors, str]:
        assert self._neighbors is not None
        asked = getattr(self.config, _NEED_NEIGHBORS[name])
        cut = self._neighbors.first(asked)
        k = cut.index_Nk.shape[1]
        return cut, f"k = {k}" + (f", cut from {asked}: no more rows" if k < asked else "")

    def _batch_probe(self) -> MetricRow:
        c, p = self.config, self.profiles
        try:
            probe = batch_probe(
                p.embedding_ND,
                p.experiment_N,
                p.well_N,
                n_folds=c.probe_folds,
                inverse_penalty=c.probe_inverse_penalty,
                max_rows=c.probe_max_rows,
                confidence=c.confidence,
                seed=c.seed,
            )
        except ValueError as error:
            return self._empty("batch_probe", str(error))
        found = probe.accuracy
        note = f"{probe.n_folds} folds of whole wells"
        if probe.n_rows < self.n:
            note += f"; {probe.n_rows} of {self.n} rows drawn"
        value = math.nan if found.value is None else found.value
        more = {"chance": probe.chance, "low": found.low, "high": found.high}
        return self._row("batch_probe", value, n=probe.n_rows, note=note, **more)

    def _batch_asw(self) -> MetricRow:
        p = self.profiles
        by_label = batch_asw_by_label(p.embedding_ND, p.label_N, p.experiment_N)
        value = float(np.mean(list(by_label.values()))) if by_label else math.nan
        skipped = np.unique(p.label_N).size - len(by_label)
        note = f"{skipped} labels within one experiment, or never twice in one" if skipped else ""
        return self._row("batch_asw", value, n=len(by_label), n_of="labels", note=note)

    def _kbet(self) -> MetricRow:
        near, note = self._near("kbet")
        alpha = self.config.kbet_alpha
        value = kbet(near, self.profiles.experiment_N, alpha)
        return self._row("kbet", value, chance=1 - alpha, note=f"{note}, alpha = {alpha}")

    def _ilisi(self) -> MetricRow:
        near, note = self._near("ilisi")
        return self._row("ilisi", ilisi(near, self.profiles.experiment_N), note=note)

    def _pcr(self) -> MetricRow:
        p = self.profiles
        chance = (np.unique(p.experiment_N).size - 1) / (self.n - 1)
        value = principal_component_regression(p.embedding_ND, p.experiment_N)
        return self._row("pcr", value, chance=chance)

    def _graph_connectivity(self) -> MetricRow:
        near, note = self._near("graph_connectivity")
        value = graph_connectivity(near, self.profiles.label_N)
        n_labels = np.unique(self.profiles.label_N).size
        return self._row("graph_connectivity", value, n=n_labels, n_of="labels", note=note)

    def _label_asw(self) -> MetricRow:
        assert self._silhouette is not None
        return self._row("label_asw", float((self._silhouette.mean() + 1) / 2), chance=0.5)

    def _clisi(self) -> MetricRow:
        near, note = self._near("clisi")
        return self._row("clisi", clisi(near, self.profiles.label_N), note=note)

    def _precisions(self) -> list[LabelPrecision]:
        if not self.label_precisions:
            assert self._precision is not None
            c, names = self.config, self.profiles.label_names[self.profiles.label_N]
            self.label_precisions = mean_average_precision(
                self._precision, names, c.n_permutations, c.seed
            )
        return self.label_precisions

    def _map(self) -> MetricRow:
        found = self._precisions()
        scores = np.array([row.mean_average_precision for row in found])
        if not scores.size:
            return self._empty("map", "no label has wells in two experiments")
        more: dict[str, Any] = {"chance": float(np.mean([row.expected for row in found]))}
        if scores.size > 1:
            half = normal_quantile(self.config.confidence) * scores.std(ddof=1) / scores.size**0.5
            more |= {"low": max(0.0, scores.mean() - half), "high": min(1.0, scores.mean() + half)}
        left_out = np.unique(self.profiles.label_N).size - len(found)
        note = f"{left_out} labels within one experiment left out" if left_out else ""
        return self._row("map", scores.mean(), n=len(found), n_of="labels", note=note, **more)

    def _map_significant(self) -> MetricRow:
        found, level = self._precisions(), self.config.significance
        good = sum(row.corrected_p_value < level for row in found)
        note = f"corrected p < {level}, {self.config.n_permutations} permutations"
        return self._share("map_significant", good, len(found), 0.0, note)

    def _share(self, name: str, good: int, n: int, chance: float, note: str) -> MetricRow:
        """A share of labels with Wilson's interval."""
        if not n:
            return self._empty(name, "no label has wells in two experiments")
        low, high = wilson_interval(good, n, self.config.confidence)
        more = {"low": low, "high": high, "n": n, "n_of": "labels", "note": note}
        return self._row(name, good / n, chance=chance, **more)

    def _replicates(self) -> ReplicateConsistency:
        if self.consistency is None:
            p, c = self.profiles, self.config
            names = p.label_names[p.label_N]
            self.consistency = replicate_consistency(
                p.embedding_ND, names, p.experiment_N, min(1000, c.n_permutations), c.seed
            )
        return self.consistency

    def _replicate_correlation(self) -> MetricRow:
        found = list(self._replicates().median_by_label.values())
        value = float(np.median(found)) if found else math.nan
        chance = defined(self._replicates().null_median)
        more: dict[str, Any] = {"chance": chance, "n": len(found), "n_of": "labels"}
        return self._row("replicate_correlation", value, **more)

    def _percent_replicating(self) -> MetricRow:
        found = self._replicates()
        if math.isnan(found.threshold):
            return self._empty("percent_replicating", "no two wells differ in both names")
        note = f"threshold {found.threshold:.3f}"
        n = len(found.median_by_label)
        return self._share("percent_replicating", found.replicating, n, 0.05, note)

    def _variances(self) -> VarianceTable:
        if self.variance is None:
            p = self.profiles
            factors: dict[str, Any] = {"experiment": p.experiment_N}
            if p.plate_N is not None:
                factors["plate"] = p.plate_N
            if p.position_N is not None:
                factors["position"] = p.position_N
            factors["treatment"] = p.label_N
            n_components = self.config.variance_components
            self.variance = variance_table(p.embedding_ND, factors, n_components)
        return self.variance

    def _variance_row(self, name: str, factors: tuple[str, ...]) -> MetricRow:
        try:
            table = self._variances()
        except ValueError as error:
            return self._empty(name, str(error))
        at = [i for i, factor in enumerate(table.factors) if factor in factors]
        note = "sequential: " + ", ".join(table.factors[:-1])
        value, chance = float(table.share_KF[0, at].sum()), float(table.chance_F[at].sum())
        return self._row(name, value, chance=chance, note=note)

    def _variance_experiment(self) -> MetricRow:
        return self._variance_row("variance_experiment", ("experiment", "plate"))

    def _variance_treatment(self) -> MetricRow:
        return self._variance_row("variance_treatment", ("treatment",))
