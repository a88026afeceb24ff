"""Executor of PlateExporter."""

from __future__ import annotations

from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from components.trainer.shared import export_model


class PlateExporterExecutor(base_executor.BaseExecutor):
    """Exports in this process, on CPU."""

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Load the weights, attach the Transform graph, write the SavedModel.

        Raises
        ------
        PlatewiseError
            The weights are missing, damaged, or do not fit their description.
        """
        export_model(
            artifact_utils.get_single_uri(input_dict["model_run"]),
            artifact_utils.get_single_uri(input_dict["transform_graph"]),
            artifact_utils.get_single_uri(output_dict["model"]),
        )
