"""TFMA metrics that are means of a row's scores.

TFMA's Keras metrics run a TensorFlow graph per slice, model and jackknife sample, at K
probabilities a row. Here each row is scored once, in NumPy, and a slice sums three numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import numpy as np

from components.evaluator.tfma_api import metric_types, tfma

ACCURACY = "accuracy"
TOP_5 = "top_5_accuracy"
CROSS_ENTROPY = "cross_entropy"
#: Order of the scores of a row.
SCORES = (ACCURACY, TOP_5, CROSS_ENTROPY)
TOP_K = 5
#: Smallest probability in the logarithm (Keras' epsilon).
_EPSILON = 1e-7
_SUMS = "_score_sums"


def score_rows(probabilities_BK: np.ndarray, label_B: np.ndarray) -> np.ndarray:
    """Scores of each row, float64 [B, 3], in the order of :data:`SCORES`.

    Parameters
    ----------
    probabilities_BK
        Finite, 0..1.
    label_B
        0..K-1.

    Returns
    -------
    1 where the most probable class is the label (the first of equals counts); 1 where fewer
    than five classes are more probable than the label and it has any probability at all;
    cross-entropy in nats.
    """
    own_B = np.take_along_axis(probabilities_BK, label_B[:, None], 1)[:, 0]
    above_B = (probabilities_BK > own_B[:, None]).sum(1)
    return np.stack(
        [
            probabilities_BK.argmax(1) == label_B,
            (above_B < TOP_K) & (own_B > 0),
            -np.log(np.clip(own_B.astype(np.float64), _EPSILON, 1.0)),
        ],
        axis=1,
    ).astype(np.float64)


class MeanScore(tfma.metrics.Metric):
    """Mean of one of :data:`SCORES` over the rows of a slice, by its name.

    With ``intervals`` it carries the standard error of the delete-one jackknife, which for a
    mean has the closed form s / sqrt(n): TFMA's own jackknife deals rows at random into twenty
    parts, so that a rerun gives other intervals, and costs ten times as much. Against a
    baseline the difference is taken row by row, so its interval is that of paired rows.
    """

    def __init__(self, name: str, intervals: bool = True) -> None:
        computations = tfma.metrics.merge_per_key_computations(_mean_score)
        super().__init__(computations, name=name, intervals=intervals)


def _mean_score(
    name: str, intervals: bool, eval_config: Any = None, model_name: str = ""
) -> list[Any]:
    specs = eval_config.model_specs if eval_config else []
    baseline = next((spec.name for spec in specs if spec.is_baseline), None)
    compared = baseline if baseline != model_name else None
    sums_key = metric_types.MetricKey(name=_SUMS, model_name=model_name)
    key = metric_types.MetricKey(name=name, model_name=model_name)
    score = SCORES.index(name)

    def result(metrics: dict[Any, np.ndarray]) -> dict[Any, Any]:
        sums = metrics[sums_key]
        found = {key: _mean(sums[0, 0], sums[1:3, score], intervals)}
        if compared is not None:
            found[key.make_diff_key()] = _mean(sums[0, 0], sums[3:5, score], intervals)
        return found

    return [
        # The same for all three metrics: TFMA computes it once.
        metric_types.MetricComputation(
            keys=[sums_key], preprocessors=None, combiner=_SumScores(sums_key, compared)
        ),
        metric_types.DerivedMetricComputation(
            keys=[key] if compared is None else [key, key.make_diff_key()], result=result
        ),
    ]


def _mean(n: float, sums: np.ndarray, intervals: bool) -> Any:
    """A mean, with its standard error where it has one, from a sum and a sum of squares."""
    if n == 0:
        return float("nan")
    mean = float(sums[0] / n)
    if not intervals or n < 2:
        return mean
    variance = max(0.0, float(sums[1] - sums[0] * mean) / (n - 1))
    return tfma.types.ValueWithTDistribution(
        sample_mean=mean,
        sample_standard_deviation=float(np.sqrt(variance / n)),
        sample_degrees_of_freedom=int(n) - 1,
        unsampled_value=mean,
    )


class _SumScores(beam.CombineFn):
    """Number of rows; sums and sums of squares of the scores and of their differences."""

    def __init__(self, key: Any, compared: str | None) -> None:
        self._key = key
        self._compared = compared

    def create_accumulator(self) -> np.ndarray:
        return np.zeros((5, len(SCORES)))

    def add_input(self, accumulator: np.ndarray, element: Any) -> np.ndarray:
        scores = element.get_predictions(self._key.model_name)
        accumulator[0] += 1
        accumulator[1] += scores
        accumulator[2] += scores * scores
        if self._compared is not None:
            difference = scores - element.get_predictions(self._compared)
            accumulator[3] += difference
            accumulator[4] += difference * difference
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[np.ndarray]) -> np.ndarray:
        return np.sum(list(accumulators), axis=0)

    def extract_output(self, accumulator: np.ndarray) -> dict[Any, np.ndarray]:
        return {self._key: accumulator}


metric_types.register_metric(MeanScore)
