"""The metrics by name: what each says, which way is better, what is ideal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["batch", "biology"]
Direction = Literal["higher", "lower"]


@dataclass(frozen=True)
class MetricInfo:
    """What a metric means, in words for a table."""

    name: str
    title: str
    #: ``batch``: how far experiments mix; ``biology``: how far treatments are told apart.
    kind: Kind
    #: Which values are better.
    better: Direction
    #: The best value that can be had.
    ideal: float
    meaning: str


CATALOGUE = {
    info.name: info
    for info in (
        MetricInfo(
            "batch_probe",
            "batch probe",
            "batch",
            "lower",
            0.0,
            "how often a linear classifier names the experiment of wells it has not seen; "
            "at chance nothing of the experiment is left to a linear reader",
        ),
        MetricInfo(
            "batch_asw",
            "batch ASW",
            "batch",
            "higher",
            1.0,
            "1 - |silhouette of the experiments| within a label, averaged over labels; "
            "1 is perfectly mixed",
        ),
        MetricInfo(
            "kbet",
            "kBET acceptance",
            "batch",
            "higher",
            1.0,
            "share of neighbourhoods whose experiments are mixed as they are overall",
        ),
        MetricInfo(
            "ilisi",
            "iLISI",
            "batch",
            "higher",
            1.0,
            "effective number of experiments in a neighbourhood, 0 for one, 1 for all",
        ),
        MetricInfo(
            "pcr",
            "PCR of the experiment",
            "batch",
            "lower",
            0.0,
            "share of the variance that the experiment explains",
        ),
        MetricInfo(
            "graph_connectivity",
            "graph connectivity",
            "batch",
            "higher",
            1.0,
            "share of a label's rows that its own neighbour graph holds together",
        ),
        MetricInfo(
            "variance_experiment",
            "variance of the experiment",
            "batch",
            "lower",
            0.0,
            "share of the variance that the experiment and its plates explain",
        ),
        MetricInfo(
            "label_asw",
            "label ASW",
            "biology",
            "higher",
            1.0,
            "silhouette of the labels rescaled to 0..1; 0.5 is no structure",
        ),
        MetricInfo(
            "clisi",
            "cLISI",
            "biology",
            "higher",
            1.0,
            "1 where a neighbourhood holds one label alone, 0 where it holds all",
        ),
        MetricInfo(
            "map",
            "cross-experiment mAP",
            "biology",
            "higher",
            1.0,
            "how high a well's replicates from OTHER experiments rank among wells of other labels",
        ),
        MetricInfo(
            "map_significant",
            "labels with significant mAP",
            "biology",
            "higher",
            1.0,
            "share of labels found again in other experiments (permutation test, "
            "Benjamini-Hochberg)",
        ),
        MetricInfo(
            "replicate_correlation",
            "replicate correlation",
            "biology",
            "higher",
            1.0,
            "median over labels of the median correlation of a label's wells across experiments",
        ),
        MetricInfo(
            "percent_replicating",
            "share replicating",
            "biology",
            "higher",
            1.0,
            "share of labels whose replicate correlation exceeds 95 % of random groups",
        ),
        MetricInfo(
            "variance_treatment",
            "variance of the treatment",
            "biology",
            "higher",
            1.0,
            "share of the variance that the label explains after experiment, plate and position",
        ),
    )
}
METRIC_NAMES = tuple(CATALOGUE)
