"""``platewise compile``: a pipeline as a file that Vertex AI runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pipelines.commands.common import add_command, add_config_options, load_config
from pipelines.commands.vertex_options import run_quietly
from pipelines.logs import Terminal

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
        help="scoring: the model's folder (default: none; model_uri names it at the start)",
    )
    add_config_options(parser)
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Compile and write; returns the exit code."""
    from pipelines.vertex.compile import check_suffix

    check_suffix(Path(args.output).suffix)
    config = load_config(args)

    def work(terminal: Terminal) -> int:
        from pipelines.vertex.compile import compile_pipeline, write

        job = compile_pipeline(config, args.kind, args.model)
        write(job, args.output)
        spec = job["pipelineSpec"]
        parameters = spec["root"]["inputDefinitions"]["parameters"]
        schema = spec["schemaVersion"]
        lines = [f"{args.kind} pipeline, schema {schema}, {len(parameters)} parameters"]
        lines += [f"  {name} = {p['defaultValue']!r}" for name, p in sorted(parameters.items())]
        print(*lines, f"written to {args.output}", sep="\n", file=terminal.out)
        return 0

    return run_quietly(work, "compile", args.debug)
