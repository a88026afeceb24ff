"""``platewise submit``: a run on Vertex AI."""

from __future__ import annotations

import argparse
import json
import shutil
from typing import TYPE_CHECKING, Any

from pipelines.commands.common import CONFIG_EPILOG, add_command, add_config_options
from pipelines.commands.vertex_options import add_pipeline_options, compiles, run_quietly
from pipelines.logs import Terminal
from trainer.strict import ConfigError

if TYPE_CHECKING:
    from pipelines.config import PlatewiseConfig

_DESCRIPTION = """\
Start a run on Vertex AI and print its resource name and the address of its page in the console.
--dry-run sends nothing and needs no network: it shows exactly what would be sent, on which
machines, with which values, and what they cost an hour."""

_EXAMPLES = """\
Examples:
  platewise submit --config my.toml --dry-run
  platewise submit --config my.toml --wait
  platewise submit --config my.toml --spec pipeline.json --parameter epochs=30
  platewise submit --config my.toml --kind scoring --model gs://BUCKET/pushed/3
  platewise submit --config my.toml --dry-run --json > request.json

Exit codes: 0 Vertex AI has the job, or with --wait it succeeded; 1 refused, failed, cancelled, or
not ended in time; 2 wrong usage or configuration; 130 Ctrl-C, and the job goes on.

"""


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(commands, "submit", "start a run on Vertex AI", _DESCRIPTION)
    add_pipeline_options(parser)
    parser.add_argument("--job-id", metavar="ID", default="", help="id of the job (default: new)")
    dry = parser.add_argument_group("without sending")
    dry.add_argument("--dry-run", action="store_true", help="show what would be sent, and stop")
    dry.add_argument(
        "--json", action="store_true", help="with --dry-run: the request itself, as JSON"
    )
    dry.add_argument(
        "--prices",
        metavar="FILE",
        help="with --dry-run: a price table of your own, TOML (default: the one that ships)",
    )
    dry.add_argument(
        "--hours",
        metavar="STEP=HOURS",
        action="append",
        default=[],
        help="with --dry-run: hours that a step will take, for the cost of the run; may be "
        "repeated (default: none)",
    )
    wait = parser.add_argument_group("waiting")
    add_wait_options(wait)
    add_config_options(parser)
    parser.epilog = _EXAMPLES + CONFIG_EPILOG
    parser.set_defaults(execute=execute)


def add_wait_options(group: Any) -> None:
    """``--wait`` and what goes with it."""
    group.add_argument(
        "--wait",
        action="store_true",
        help="follow the steps to the job's end; its end is the exit code",
    )
    group.add_argument(
        "--timeout",
        metavar="MINUTES",
        type=_positive,
        help="with --wait: give up waiting after (default: never)",
    )
    group.add_argument(
        "--poll",
        metavar="SECONDS",
        type=_positive,
        default=15.0,
        help="with --wait: between two looks (default: 15)",
    )
    group.add_argument(
        "--cancel-on-interrupt",
        action="store_true",
        help="with --wait: Ctrl-C cancels the job too (default: it goes on)",
    )


def execute(args: argparse.Namespace) -> int:
    """Submit, or show what would be submitted."""
    if not args.dry_run and (args.json or args.prices or args.hours):
        raise ConfigError("--json, --prices and --hours belong to --dry-run")
    if not (args.config or args.set):
        raise ConfigError("say what to submit: platewise submit --config FILE (submit --help)")
    config = compiles(args)

    def work(terminal: Terminal) -> int:
        from pipelines.vertex.submit import load_job, make_request, say, submit

        if not args.spec and terminal.err.isatty():
            say(terminal, "compiling the pipeline, which takes up to half a minute ...")
        job = load_job(args.spec, config, args.kind, args.model)
        cache = False if args.no_cache else None
        request = make_request(job, config, args.parameter, args.job_id, cache, args.model)
        if args.dry_run:
            _show(request, config, args, terminal)
            return 0
        return submit(request, config, terminal, waiting(args))

    return run_quietly(work, "submit", args.debug)


def waiting(args: argparse.Namespace) -> Any:
    """How to wait; None: not at all."""
    from pipelines.vertex.submit import Waiting

    if not args.wait:
        return None
    timeout_s = None if args.timeout is None else 60.0 * args.timeout
    return Waiting(args.poll, timeout_s, args.cancel_on_interrupt)


def _show(
    request: Any, config: PlatewiseConfig, args: argparse.Namespace, terminal: Terminal
) -> None:
    from pipelines.vertex.plan import make_plan, parse_hours
    from pipelines.vertex.plan_text import render
    from pipelines.vertex.prices import load_prices
    from pipelines.vertex.redact import redacted
    from pipelines.vertex.request import to_json
    from pipelines.vertex.steps import read_steps

    if args.json:
        text = json.dumps(redacted(to_json(request)), indent=1, sort_keys=True)
        print(text, file=terminal.out)
        return
    message = to_json(request)
    hours = parse_hours(args.hours, read_steps(message["pipelineJob"]))
    plan = make_plan(request, load_prices(args.prices), hours)
    width = shutil.get_terminal_size((100, 24)).columns
    print(render(plan, config.vertex.experiment, width), file=terminal.out)
    print("Nothing was sent: this was a dry run.", file=terminal.out)


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"must be positive; got {text}")
    return value
