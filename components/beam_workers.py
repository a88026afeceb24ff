"""What a Beam worker in another process or on another machine needs before it runs our stages."""

from __future__ import annotations

from typing import Any

from apache_beam.options.pipeline_options import SetupOptions
from tfx.dsl.components.base import base_beam_executor

#: TFX 1.21 puts a stand-in where tfx_bsl no longer has ``sql_util``. A worker unpickles parts of
#: TensorFlow Data Validation, which imports that, and fails unless TFX was imported before.
WORKER_IMPORTS = ("tfx",)


class PortableBeamExecutor(base_beam_executor.BaseBeamExecutor):
    """Makes workers import :data:`WORKER_IMPORTS` first, on any runner."""

    def _make_beam_pipeline(self) -> Any:
        pipeline = super()._make_beam_pipeline()
        setup = pipeline.options.view_as(SetupOptions)
        setup.beam_plugins = sorted({*(setup.beam_plugins or ()), *WORKER_IMPORTS})
        return pipeline
