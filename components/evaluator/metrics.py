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
    """Mean of one of :data:`SCORES` over the rows of a slice, by its name."""

    def __init__(self, name: str) -> None:
        super().__init__(tfma.metrics.merge_per_key_computations(_mean_score), name=name)


def _mean_score(name: str, model_name: str = "", output_name: str = "", **_: Any) -> list[Any]:
    sums_key = tfma.metrics.MetricKey(name=_SUMS, model_name=model_name, output_name=output_name)
    key = tfma.metrics.MetricKey(name=name, model_name=model_name, output_name=output_name)

    def result(metrics: dict[Any, np.ndarray]) -> dict[Any, float]:
        sums = metrics[sums_key]
        return {key: float(sums[SCORES.index(name)] / sums[-1]) if sums[-1] else float("nan")}

    return [
        # The same for all three metrics: TFMA computes it once.
        tfma.metrics.MetricComputation(
            keys=[sums_key], preprocessors=None, combiner=_SumScores(sums_key)
        ),
        tfma.metrics.DerivedMetricComputation(keys=[key], result=result),
    ]


class _SumScores(beam.CombineFn):
    """Sums of the scores, and the number of rows behind them."""

    def __init__(self, key: Any) -> None:
        self._key = key

    def create_accumulator(self) -> np.ndarray:
        return np.zeros(len(SCORES) + 1)

    def add_input(self, accumulator: np.ndarray, element: Any) -> np.ndarray:
        accumulator[:-1] += element.get_predictions(self._key.model_name, self._key.output_name)
        accumulator[-1] += 1
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[np.ndarray]) -> np.ndarray:
        return np.sum(list(accumulators), axis=0)

    def extract_output(self, accumulator: np.ndarray) -> dict[Any, np.ndarray]:
        return {self._key: accumulator}


metric_types.register_metric(MeanScore)
