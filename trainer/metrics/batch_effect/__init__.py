"""Batch against biology: how much of an embedding is the experiment, how much the treatment.

Every metric is a pure function of an embedding and names (its module says shape, range and
direction); :func:`batch_effect_metrics` computes all of them within each cell type and over all
rows. They agree with scib-metrics, copairs and scikit-learn on fixtures (``tests/oracles``).
"""

from trainer.metrics.batch_effect.average_precision import (
    AveragePrecision,
    LabelPrecision,
    average_precision,
    mean_average_precision,
)
from trainer.metrics.batch_effect.catalogue import CATALOGUE, METRIC_NAMES, MetricInfo
from trainer.metrics.batch_effect.config import BatchEffectConfig
from trainer.metrics.batch_effect.graph_connectivity import graph_connectivity
from trainer.metrics.batch_effect.kbet import kbet
from trainer.metrics.batch_effect.lisi import clisi, ilisi, lisi
from trainer.metrics.batch_effect.neighbors import Neighbors, nearest_neighbors
from trainer.metrics.batch_effect.pcr import pcr_comparison, principal_component_regression
from trainer.metrics.batch_effect.probe import Probe, batch_probe
from trainer.metrics.batch_effect.replicates import ReplicateConsistency, replicate_consistency
from trainer.metrics.batch_effect.rows import (
    SCOPE_ALL,
    BatchEffectResult,
    LabelRow,
    MetricRow,
    VarianceRow,
)
from trainer.metrics.batch_effect.silhouette import batch_asw, label_asw, silhouette_samples
from trainer.metrics.batch_effect.summary import batch_effect_metrics
from trainer.metrics.batch_effect.variance import VarianceTable, variance_table

__all__ = [
    "CATALOGUE",
    "METRIC_NAMES",
    "SCOPE_ALL",
    "AveragePrecision",
    "BatchEffectConfig",
    "BatchEffectResult",
    "LabelPrecision",
    "LabelRow",
    "MetricInfo",
    "MetricRow",
    "Neighbors",
    "Probe",
    "ReplicateConsistency",
    "VarianceRow",
    "VarianceTable",
    "average_precision",
    "batch_asw",
    "batch_effect_metrics",
    "batch_probe",
    "clisi",
    "graph_connectivity",
    "ilisi",
    "kbet",
    "label_asw",
    "lisi",
    "mean_average_precision",
    "nearest_neighbors",
    "pcr_comparison",
    "principal_component_regression",
    "replicate_consistency",
    "silhouette_samples",
    "variance_table",
]
