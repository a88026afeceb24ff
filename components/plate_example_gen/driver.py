"""Fingerprint of the screen before the cache is asked: the pre-cache check of a managed step.

    python -m components.plate_example_gen.driver --json_serialized_invocation_args JSON ...

Vertex AI runs it before it looks for a cached result. It writes ``screen_fingerprint`` into the
task's ``executor_output.json``, and the service takes it for the step's own parameter: a screen
whose files changed is ingested again, and one that did not is not. TFX's stock driver does the
same for the example generators that ship with it, and for no other.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.dsl.io import fileio
from tfx.orchestration.kubeflow.v2.container.kubeflow_v2_entrypoint_utils import (
    parse_execution_properties,
)

from components.plate_example_gen.fingerprint import screen_fingerprint
from components.plate_example_gen.properties import read_properties

FINGERPRINT = "screen_fingerprint"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the check; the exit code is the return value."""
    parser = argparse.ArgumentParser(prog="python -m components.plate_example_gen.driver")
    parser.add_argument("--json_serialized_invocation_args", required=True, metavar="JSON")
    parser.add_argument("--json_serialized_inputs_spec_args", default="{}", metavar="JSON")
    args, beam_args = parser.parse_known_args(arguments)
    run: Any = pipeline_spec_pb2.ExecutorInput()
    inputs: Any = pipeline_spec_pb2.ComponentInputsSpec()
    json_format.Parse(args.json_serialized_invocation_args, run, ignore_unknown_fields=True)
    json_format.Parse(args.json_serialized_inputs_spec_args, inputs, ignore_unknown_fields=True)
    properties = parse_execution_properties(
        run.inputs.parameter_values, run.inputs.parameters, inputs
    )
    screen, _, _ = read_properties(properties)
    found = {"parameterValues": {FINGERPRINT: screen_fingerprint(screen, beam_args)}}
    path = run.outputs.output_file
    fileio.makedirs(path.rpartition("/")[0])
    with fileio.open(path, "w") as stream:
        stream.write(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
