"""``platewise compile``: a pipeline as a file that Vertex AI runs."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from pipelines.commands.common import add_command, add_config_options, load_config

_DESCRIPTION = """\
Compile the training or the scoring pipeline to a KFP pipeline specification, schema 2.1.0. No
network and no bucket is touched, and the same configuration gives the same bytes.
A .json file holds the whole job, as `platewise submit --spec` takes it; a .yaml file holds the
specification alone, as KFP's template registry takes it."""


def add_parser(commands: Any) -> None:
    """Add the command to the command line."""
    parser = add_command(
        commands, "compile", "compile a pipeline for Vertex AI, without a network", _DESCRIPTION
    )
    parser.add_argument(
        "--kind", choices=("training", "scoring"), default="training", help="(default: training)"
    )
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="ends in .json, .yaml or .yml"
    )
    parser.add_argument(
        "--model",
        default="",
        metavar="URI",
        help="scoring: the model's folder, unless model_uri is given when it is submitted",
    )
    add_config_options(parser)
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Compile and write; returns the exit code."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported
    config = load_config(args)
    from pipelines.logs import quiet_libraries

    quiet_libraries()
    from pipelines.vertex.compile import compile_pipeline, write

    job = compile_pipeline(config, args.kind, args.model)
    write(job, args.output)
    spec = job["pipelineSpec"]
    parameters = spec["root"]["inputDefinitions"]["parameters"]
    say = sys.stdout.write
    say(f"{args.kind} pipeline, schema {spec['schemaVersion']}, {len(parameters)} parameters\n")
    for name, declared in sorted(parameters.items()):
        say(f"  {name} = {declared['defaultValue']!r}\n")
    say(f"written to {Path(args.output)}\n")
    return 0
