"""The evaluation, in the terms of the registry."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from components.evaluator.metrics import ACCURACY, CROSS_ENTROPY, TOP_5
from components.evaluator.results import Evaluation, SliceMetrics
from components.registry.versions import Version, model_client
from components.vertex_api import attempt
from trainer import schema

#: What the gate and the headline read: the well rows of treatment wells.
_GATE_ROWS = {schema.LEVEL: schema.LEVEL_WELL, schema.WELL_TYPE: schema.WELL_TREATMENT}
#: Further columns of the slices that go along.
_SLICES: tuple[set[str], ...] = (set(), {schema.EXPERIMENT}, {schema.CELL_TYPE})

#: The registry's own words for classification; it knows no others, so ours go to the metadata.
METRICS_SCHEMA = (
    "gs://google-cloud-aiplatform/schema/modelevaluation/classification_metrics_1.0.0.yaml"
)


def attach(library: Any, version: Version, evaluation: Evaluation, pipeline_job: str) -> str:
    """Attach an evaluation to a version, once for each pipeline job.

    Returns
    -------
    Resource name of the evaluation.

    Raises
    ------
    VertexError
    """
    client = model_client(library)
    title = f"platewise {pipeline_job.rpartition('/')[2]}".strip()

    def find_or_import() -> str:
        for known in client.list_model_evaluations(parent=version.resource_name):
            if known.display_name == title:
                return str(known.name)
        message = {
            "display_name": title,
            "metrics_schema_uri": METRICS_SCHEMA,
            "metrics": _metrics(evaluation.find(**_GATE_ROWS)),
            "metadata": _metadata(evaluation, pipeline_job),
        }
        # The library makes no Value of a mapping in a mapping: the message is made first.
        request = library.gapic.ModelEvaluation(message)
        added = client.import_model_evaluation(
            parent=version.resource_name, model_evaluation=request
        )
        return str(added.name)

    return attempt(f"attach the evaluation to {version.resource_name}", find_or_import)


def _metrics(headline: SliceMetrics | None) -> dict[str, Any]:
    """With one label a well, top-k accuracy is recall at k, and precision is a k-th of it."""
    values = _finite(headline) if headline else {}
    return {
        **({"logLoss": values[CROSS_ENTROPY]} if CROSS_ENTROPY in values else {}),
        "confidenceMetrics": [
            {
                "confidenceThreshold": 0.0,
                "maxPredictions": k,
                "recall": values[name],
                "precision": values[name] / k,
            }
            for name, k in ((ACCURACY, 1), (TOP_5, 5))
            if name in values
        ],
    }


def _metadata(evaluation: Evaluation, pipeline_job: str) -> dict[str, Any]:
    """Our own numbers: the gates, and the treatment wells of each experiment and cell type."""
    slices = [
        {**part.columns, "n": part.n, **_finite(part)}
        for part in evaluation.slices
        if _GATE_ROWS.items() <= dict(part.columns).items()
        and set(part.columns) - set(_GATE_ROWS) in _SLICES
    ]
    found: dict[str, Any] = {
        "blessed": evaluation.blessed,
        "n_classes": evaluation.n_classes,
        "gates": [dataclasses.asdict(gate) for gate in evaluation.gates],
        "slices": slices,
    }
    if pipeline_job:
        found["pipeline_job_id"] = pipeline_job.rpartition("/")[2]
        found["pipeline_job_resource_name"] = pipeline_job
    return found


def _finite(part: SliceMetrics) -> dict[str, float]:
    """JSON has no infinity; a cross-entropy may be one."""
    return {name: value.value for name, value in part.metrics.items() if math.isfinite(value.value)}
