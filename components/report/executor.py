"""Executor of PlateReport: finds its inputs and writes the page."""

from __future__ import annotations

import json
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from components.report.data import ReportSources
from components.report.write import write_report

_INPUTS = (
    "examples",
    "quality",
    "transform_graph",
    "model",
    "model_run",
    "predictions",
    "evaluation",
    "blessing",
    "leaks",
    "batch_effects",
)


class PlateReportExecutor(base_executor.BaseExecutor):
    """Writes the page without timings, which are known only when the run has ended."""

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Write the report.

        Raises
        ------
        PlatewiseError
            An input that is damaged.
        """
        found = {
            key: artifact_utils.get_single_uri(input_dict[key])
            for key in _INPUTS
            if input_dict.get(key)
        }
        config = json.loads(exec_properties["config_json"] or "{}")
        sources = ReportSources(config=config, **found)
        write_report(sources, artifact_utils.get_single_uri(output_dict["report"]))
