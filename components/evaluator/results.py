"""The evaluation as plain data: what the Evaluator writes and every reader loads.

``evaluation.json`` lies beside TFMA's own files and holds the same numbers, so that a page or
a comparison of two runs needs neither TFX nor TFMA.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from components.evaluator.config import EvaluationConfig
from trainer.errors import PlatewiseError
from trainer.strict import build

FILE_NAME = "evaluation.json"


@dataclass(frozen=True)
class Value:
    """A metric; the bounds are None where no interval was computed."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class SliceMetrics:
    """Metrics of the rows that share ``columns``."""

    #: Column -> value, ``level`` (site or well) among them.
    columns: Mapping[str, str]
    #: Rows in the slice.
    n: int
    #: Metric name -> value of the new model.
    metrics: Mapping[str, Value]
    #: The same of the latest blessed model, and new minus old; empty without one.
    baseline: Mapping[str, Value] = field(default_factory=dict)
    change: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Gate:
    """One threshold on one slice of the well rows of treatment wells."""

    metric: str
    #: Such as ``all wells`` or ``experiment HUVEC-18``.
    slice: str
    #: None where the slice has no row.
    value: float | None
    #: Such as ``>= 0.25``.
    threshold: str
    passed: bool
    #: Why there is no value, where more is known than that.
    reason: str = ""


@dataclass(frozen=True)
class Evaluation:
    """Everything the Evaluator found, and its verdict."""

    blessed: bool
    #: Why it was not blessed; empty where it was.
    reasons: tuple[str, ...]
    gates: tuple[Gate, ...]
    slices: tuple[SliceMetrics, ...]
    n_classes: int
    has_baseline: bool
    config: EvaluationConfig
    #: Thresholds against a latest blessed model that nothing can be compared with, each with the
    #: reason; they decide nothing.
    not_compared: tuple[Gate, ...] = ()

    def find(self, **columns: str) -> SliceMetrics | None:
        """The slice of exactly these columns: ``find(level="well", experiment="RPE-08")``."""
        return next((s for s in self.slices if dict(s.columns) == columns), None)

    def to_json(self) -> str:
        """Text that :func:`from_json` turns into an equal Evaluation."""
        return json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True) + "\n"


def from_json(text: str) -> Evaluation:
    """Inverse of :meth:`Evaluation.to_json`."""
    plain: dict[str, Any] = json.loads(text)

    def values(mapping: dict[str, Any]) -> dict[str, Value]:
        return {name: Value(**value) for name, value in mapping.items()}

    return Evaluation(
        blessed=plain["blessed"],
        reasons=tuple(plain["reasons"]),
        gates=tuple(Gate(**gate) for gate in plain["gates"]),
        slices=tuple(
            SliceMetrics(
                columns=part["columns"],
                n=part["n"],
                metrics=values(part["metrics"]),
                baseline=values(part["baseline"]),
                change=values(part["change"]),
            )
            for part in plain["slices"]
        ),
        n_classes=plain["n_classes"],
        has_baseline=plain["has_baseline"],
        config=build(EvaluationConfig, plain["config"], "evaluation."),
        not_compared=tuple(Gate(**gate) for gate in plain.get("not_compared", ())),
    )


def read_evaluation(uri: str) -> Evaluation:
    """Load what the Evaluator wrote into its ``evaluation`` artifact.

    Raises
    ------
    PlatewiseError
        The folder holds no finished evaluation.
    """
    path = f"{uri.rstrip('/')}/{FILE_NAME}"
    try:
        if "://" in path:
            import tensorflow as tf

            with tf.io.gfile.GFile(path) as stream:
                text = stream.read()
        else:
            with open(path) as stream:
                text = stream.read()
        return from_json(text)
    except Exception as error:
        raise PlatewiseError(
            f"cannot read {path} ({type(error).__name__}: {error}): not a finished evaluation; "
            "run the pipeline again"
        ) from error
