"""Which batch-effect metrics are computed, and with which settings."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.metrics.batch_effect.catalogue import METRIC_NAMES
from trainer.strict import ConfigError


@dataclass(frozen=True)
class BatchEffectConfig:
    """Settings of :func:`trainer.metrics.batch_effect.batch_effect_metrics`.

    Neighbour numbers count the row itself, as scib-metrics does; they are cut to the number of
    rows where there are fewer.
    """

    #: Names out of METRIC_NAMES; the order of the table is always the catalogue's.
    metrics: tuple[str, ...] = METRIC_NAMES
    #: Neighbours whose experiments kBET counts (scib-metrics: 50).
    kbet_neighbors: int = 50
    #: Significance level of kBET's test in one neighbourhood.
    kbet_alpha: float = 0.05
    #: Neighbours of iLISI and cLISI; their perplexity is a third of it (scib-metrics: 90).
    lisi_neighbors: int = 90
    #: Neighbours in the graph of graph connectivity (scib-metrics: 15).
    graph_neighbors: int = 15
    #: Groups of wells in the probe's cross-validation.
    probe_folds: int = 5
    #: Inverse strength of the probe's L2 penalty (scikit-learn's C).
    probe_inverse_penalty: float = 1.0
    #: Rows that the probe sees; of more, whole wells are drawn evenly from the experiments.
    probe_max_rows: int = 20_000
    #: Draws of the null distribution of mAP and of replicate consistency.
    n_permutations: int = 10_000
    #: Principal components that the variance table lists.
    variance_components: int = 10
    #: Level of the intervals.
    confidence: float = 0.95
    #: False discovery rate and p-value that count as significant.
    significance: float = 0.05
    #: Seed of every draw.
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = [name for name in self.metrics if name not in METRIC_NAMES]
        if unknown:
            raise ConfigError(f"metrics: {unknown[0]!r} is none of {', '.join(METRIC_NAMES)}")
        for name in ("kbet_neighbors", "lisi_neighbors", "graph_neighbors"):
            if getattr(self, name) < 2:
                raise ConfigError(f"{name} must be at least 2; got {getattr(self, name)}")
        for name in ("kbet_alpha", "confidence", "significance"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"{name} must lie between 0 and 1; got {getattr(self, name)}")
        if self.probe_folds < 2:
            raise ConfigError(f"probe_folds must be at least 2; got {self.probe_folds}")
        if self.probe_inverse_penalty <= 0:
            raise ConfigError("probe_inverse_penalty must be positive")
        if min(self.probe_max_rows, self.n_permutations, self.variance_components) < 1:
            raise ConfigError(
                "probe_max_rows, n_permutations and variance_components must be at least 1"
            )
