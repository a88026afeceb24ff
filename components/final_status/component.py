"""FinalStatus: the exit handler of a pipeline on Vertex AI."""

from __future__ import annotations

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec

from components.final_status.executor import FinalStatusExecutor


class FinalStatusSpec(component_spec.ComponentSpec):
    """How the pipeline ended, and where to write it; no artifacts."""

    PARAMETERS = {  # noqa: RUF012 - TFX reads a plain dict
        "final_status": component_spec.ExecutionParameter(type=str),
        "folder": component_spec.ExecutionParameter(type=str),
        "code_digest": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {}  # noqa: RUF012
    OUTPUTS = {}  # noqa: RUF012


class FinalStatus(base_component.BaseComponent):
    """Records the end of a pipeline, failures above all.

    Parameters
    ----------
    final_status
        TFX's ``FinalStatusStr``, in whose place Vertex AI puts the status as JSON.
    folder
        Receives one file a run.
    code_digest
        Digest of the code this step depends on.
    """

    SPEC_CLASS = FinalStatusSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(FinalStatusExecutor)

    def __init__(self, final_status: str, folder: str, code_digest: str = "") -> None:
        spec = FinalStatusSpec(final_status=final_status, folder=folder, code_digest=code_digest)
        super().__init__(spec=spec)
