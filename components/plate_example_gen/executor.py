"""TFX's side of ingest: execution properties in, artifacts out."""

from __future__ import annotations

from typing import Any

from tfx import types
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils

from components.plate_example_gen.ingest import Destination, ingest
from components.plate_example_gen.properties import read_properties


class Executor(base_beam_executor.BaseBeamExecutor):
    """Runs :func:`ingest.ingest` on the Beam runner that the pipeline was given."""

    def Do(  # noqa: N802  (TFX's name)
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Write the artifacts ``examples``, ``quality`` and ``schema``.

        Raises
        ------
        ScreenError, ConfigError
            What the user has to mend.
        """
        examples = artifact_utils.get_single_instance(output_dict["examples"])
        manifest = ingest(
            *read_properties(exec_properties),
            Destination(
                examples=examples.uri,
                quality=artifact_utils.get_single_uri(output_dict["quality"]),
                schema=artifact_utils.get_single_uri(output_dict["schema"]),
            ),
            self._make_beam_pipeline,
            [str(argument) for argument in self._beam_pipeline_args],
        )
        # Splits without a single shard would make every reader's file pattern fail.
        filled = [split for split in manifest.splits() if manifest.of_split(split)]
        examples.split_names = artifact_utils.encode_split_names(filled)
