"""``platewise status``: how a run on Vertex AI stands."""

from __future__ import annotations

import argparse
import json
from typing import Any

from pipelines.commands.common import (
    CONFIG_EPILOG,
    FAILED,
    add_command,
    add_config_options,
)
from pipelines.commands.submit import add_wait_options, waiting
from pipelines.commands.vertex_options import JOB_HELP, load_vertex_config, run_quietly
from pipelines.logs import Terminal

_DESCRIPTION = """\
Show the steps of a run on Vertex AI with their state, duration and error; follow it to its end, or
cancel it."""

_EXAMPLES = """\
Examples:
  platewise status projects/PROJECT/locations/REGION/pipelineJobs/ID
  platewise status ID --config my.toml --wait
  platewise status ID --vertex.project PROJECT --cancel

Exit codes: 0 the job runs or has succeeded; 1 it failed or was cancelled, or cannot be reached;
2 wrong usage or configuration; 130 Ctrl-C while waiting, and the job goes on.

"""


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(commands, "status", "how a run on Vertex AI stands", _DESCRIPTION)
    parser.add_argument("job", metavar="JOB", help=JOB_HELP)
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.add_argument("--cancel", action="store_true", help="ask Vertex AI to stop the job")
    add_wait_options(parser.add_argument_group("waiting"))
    add_config_options(parser)
    parser.epilog = _EXAMPLES + CONFIG_EPILOG
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Show, follow or cancel a job."""
    config = load_vertex_config(args)

    def work(terminal: Terminal) -> int:
        from pipelines.vertex.service import Service, parse_name
        from pipelines.vertex.status import as_json, describe
        from pipelines.vertex.submit import say, wait_for
        from pipelines.vertex.watch import ended, job_state

        name = parse_name(args.job, config.vertex.project, config.vertex.region)
        service = Service(name.project, name.region)
        if args.cancel:
            service.cancel(str(name))
            say(terminal, f"asked Vertex AI to cancel {name.id}; it stops within minutes")
        good = ("SUCCEEDED", "CANCELLED") if args.cancel else ("SUCCEEDED",)
        how = waiting(args)
        code = 0 if how is None else wait_for(service, str(name), terminal, how, good)
        if how is None or args.json:
            job = service.get(str(name))
            text = json.dumps(as_json(job), indent=1) if args.json else "\n".join(describe(job))
            print(text, file=terminal.out)
            code = code or (FAILED if ended(job) and job_state(job) not in good else 0)
        return code

    return run_quietly(work, "status", args.debug)
