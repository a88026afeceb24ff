"""PlateExporter: trained weights become a model, as a TFX component."""

from __future__ import annotations

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.exporter.executor import PlateExporterExecutor


class PlateExporterSpec(component_spec.ComponentSpec):
    """What goes into the export and what comes out."""

    PARAMETERS = {  # noqa: RUF012 - TFX reads a plain dict
        "code_digest": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        "model_run": component_spec.ChannelParameter(type=standard_artifacts.ModelRun),
        "transform_graph": component_spec.ChannelParameter(type=standard_artifacts.TransformGraph),
    }
    OUTPUTS = {  # noqa: RUF012
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
    }


class PlateExporter(base_component.BaseComponent):
    """Loads weights, attaches the Transform graph and exports; output ``model``.

    Parameters
    ----------
    model_run
        From PlateTrainingJob: weights and their description.
    transform_graph
        What the weights were trained with.
    code_digest
        Digest of the code this step depends on; a new one makes it run again.
    """

    SPEC_CLASS = PlateExporterSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(PlateExporterExecutor)

    def __init__(
        self,
        model_run: types.BaseChannel,
        transform_graph: types.BaseChannel,
        code_digest: str = "",
    ) -> None:
        spec = PlateExporterSpec(
            model_run=model_run,
            transform_graph=transform_graph,
            code_digest=code_digest,
            model=types.Channel(type=standard_artifacts.Model),
        )
        super().__init__(spec=spec)
