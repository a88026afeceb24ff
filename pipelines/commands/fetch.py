"""``platewise fetch``: a run's report, brought from the bucket."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pipelines.commands.common import CONFIG_EPILOG, add_command, add_config_options
from pipelines.commands.vertex_options import JOB_HELP, load_vertex_config, run_quietly
from pipelines.logs import Terminal

_DESCRIPTION = """\
Bring report.html and metrics.json of a run on Vertex AI from its bucket into a local folder, and
print their paths. What is there already is replaced; a file appears whole or not at all."""

_EXAMPLES = """\
Examples:
  platewise fetch projects/PROJECT/locations/REGION/pipelineJobs/ID
  platewise fetch ID --config my.toml --out results --all
  platewise fetch ID --config my.toml --artifact PlateEvaluator.evaluation
  platewise fetch ID --config my.toml --list

"""


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(commands, "fetch", "bring a run's report down", _DESCRIPTION)
    parser.add_argument("job", metavar="JOB", help=JOB_HELP)
    parser.add_argument(
        "--out", metavar="DIR", help="local folder (default: RUN.ROOT/ID, such as runs/ID)"
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="every file of the report, such as the predictions of a scoring run",
    )
    parser.add_argument(
        "--artifact",
        metavar="STEP.OUTPUT",
        action="append",
        default=[],
        help="all files of another output too, into DIR/STEP.OUTPUT; may be "
        "repeated (default: none)",
    )
    parser.add_argument(
        "--list", action="store_true", help="only show the outputs that the run has"
    )
    add_config_options(parser)
    parser.epilog = _EXAMPLES + CONFIG_EPILOG
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Find the artifacts in the job's details and bring them."""
    config = load_vertex_config(args)

    def work(terminal: Terminal) -> int:
        from pipelines.vertex.fetch import MAIN_FILES, REPORT, artifact_uris, fetch, find_artifact
        from pipelines.vertex.service import Service, parse_name

        name = parse_name(args.job, config.vertex.project, config.vertex.region)
        job = Service(name.project, name.region).get(str(name))
        if args.list:
            for output, uris in sorted(artifact_uris(job).items()):
                print(f"{output}  {' '.join(uris)}", file=terminal.out)
            return 0
        folder = Path(args.out or Path(config.run.root) / name.id)
        wanted = [(find_artifact(job, REPORT), folder, () if args.all else MAIN_FILES)]
        wanted += [(find_artifact(job, more), folder / more, ()) for more in args.artifact]
        for uri, target, files in wanted:
            for fetched in fetch(uri, target, files, name.project):
                print(fetched.path, file=terminal.out, flush=True)
        return 0

    return run_quietly(work, "fetch", args.debug)
