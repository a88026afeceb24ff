"""What Beam workers import before they unpickle our stages."""

from __future__ import annotations

import subprocess
import sys

import pytest
from apache_beam.options.pipeline_options import SetupOptions

from components.beam_options import IN_PROCESS
from components.evaluator.executor import PlateEvaluatorExecutor
from components.normaliser.executor import PlateTransformExecutor

#: Parts of it stand in the pickled stages of Transform.
UNPICKLED = "import tensorflow_data_validation.statistics.stats_options"


@pytest.mark.parametrize("executor", [PlateTransformExecutor, PlateEvaluatorExecutor])
def test_stages_name_what_workers_import(executor: type) -> None:
    plugins = _plugins(executor)
    assert "json" in plugins  # the user's own stay
    assert set(plugins) - {"json"} == set(_plugins(PlateTransformExecutor)) - {"json"} != set()


def test_workers_can_unpickle_what_they_are_sent() -> None:
    imported = [f"import {name}" for name in _plugins(PlateTransformExecutor)]
    program = "\n".join([*imported, UNPICKLED])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _plugins(executor: type) -> list[str]:
    arguments = [*IN_PROCESS, "--beam_plugins=json"]
    context = executor.Context(beam_pipeline_args=arguments, unique_id="1")
    pipeline = executor(context)._make_beam_pipeline()
    return list(pipeline.options.view_as(SetupOptions).beam_plugins)
