"""``platewise schedule``: runs on Vertex AI at times that a cron expression gives."""

from __future__ import annotations

import argparse
import json
from typing import Any

from pipelines.commands.common import CONFIG_EPILOG, add_command, add_config_options
from pipelines.commands.vertex_options import (
    add_pipeline_options,
    compiles,
    load_vertex_config,
    run_quietly,
)
from pipelines.logs import Terminal

_DESCRIPTION = """\
Run a pipeline on Vertex AI again and again. A run starts with the pipeline and the parameters as
they were when the schedule was made: make it anew after a change."""

_EXAMPLES = """\
Examples:
  platewise schedule create --config my.toml --cron "TZ=Etc/UTC 0 3 * * 1"
  platewise schedule list --config my.toml
  platewise schedule pause ID --config my.toml

"""
_ACTIONS = {
    "pause": ("start no more runs until it is resumed", "paused"),
    "resume": ("start runs again; those that were missed stay missed", "resumed"),
    "delete": ("end it for good; runs that have started go on", "deleted"),
}


def add_parser(commands: Any) -> None:
    """Declare the command and its actions."""
    parser = add_command(commands, "schedule", "runs on Vertex AI at fixed times", _DESCRIPTION)
    parser.epilog = _EXAMPLES
    actions = parser.add_subparsers(
        dest="action", metavar="ACTION", required=True, help="what to do with schedules"
    )
    create = add_command(actions, "create", "make a schedule", _DESCRIPTION)
    add_pipeline_options(create)
    create.add_argument("--cron", default="", help="when (default: vertex.cron)")
    create.add_argument("--name", default="", help="its name (default: the pipeline's)")
    create.add_argument(
        "--most-at-once",
        metavar="N",
        type=_positive,
        default=1,
        help="runs side by side (default: 1)",
    )
    create.add_argument(
        "--most-runs",
        metavar="N",
        type=_positive,
        default=0,
        help="end after N runs (default: never)",
    )
    create.add_argument("--dry-run", action="store_true", help="send nothing; show it as JSON")
    listing = add_command(actions, "list", "show all schedules", "Show all schedules of a project.")
    listing.add_argument("--json", action="store_true", help="for machines")
    for action, (summary, _) in _ACTIONS.items():
        one = add_command(actions, action, summary, f"{action.capitalize()} a schedule: {summary}.")
        one.add_argument(
            "schedule", metavar="ID", help="its id, full resource name or console address"
        )
    for action, sub in actions.choices.items():
        add_config_options(sub)
        sub.epilog = (_EXAMPLES if action == "create" else "") + CONFIG_EPILOG
        sub.set_defaults(execute=_EXECUTE.get(action, _execute_one))


def _execute_create(args: argparse.Namespace) -> int:
    config = compiles(args)

    def work(terminal: Terminal) -> int:
        from pipelines.vertex.redact import redacted
        from pipelines.vertex.request import console_address, to_json
        from pipelines.vertex.schedule import build_schedule, check_cron, create
        from pipelines.vertex.service import Service
        from pipelines.vertex.submit import load_job, make_request

        cron = check_cron(args.cron or config.vertex.cron)
        job = load_job(args.spec, config, args.kind, args.model)
        cache = False if args.no_cache else None
        request = make_request(job, config, args.parameter, "", cache, args.model)
        name = args.name or request.pipeline_job.display_name
        schedule = build_schedule(request, cron, name, args.most_at_once, args.most_runs)
        if args.dry_run:
            shown = {"parent": request.parent, "schedule": to_json(schedule)}
            print(json.dumps(redacted(shown), indent=1, sort_keys=True), file=terminal.out)
            return 0
        made = create(Service(config.vertex.project, config.vertex.region), schedule)
        print(made.name, file=terminal.out)
        print(console_address(made.name), file=terminal.out)
        return 0

    return run_quietly(work, "schedule", args.debug)


def _execute_list(args: argparse.Namespace) -> int:
    config = load_vertex_config(args)

    def work(terminal: Terminal) -> int:
        from pipelines.vertex.request import to_json
        from pipelines.vertex.schedule import describe
        from pipelines.vertex.service import Service

        config.vertex.require("project", "region")
        found = Service(config.vertex.project, config.vertex.region).schedules()
        if args.json:
            shown = [{**to_json(s), "createPipelineJobRequest": None} for s in found]
            print(json.dumps(shown, indent=1), file=terminal.out)
        else:
            where = f"{config.vertex.project}, {config.vertex.region}"
            lines = describe(found) or [f"no schedules in {where}"]
            print("\n".join(lines), file=terminal.out)
        return 0

    return run_quietly(work, "schedule", args.debug)


def _execute_one(args: argparse.Namespace) -> int:
    config = load_vertex_config(args)

    def work(terminal: Terminal) -> int:
        from pipelines.vertex.service import Service, parse_name

        vertex = config.vertex
        name = parse_name(args.schedule, vertex.project, vertex.region, "schedules")
        Service(name.project, name.region).schedule(args.action, str(name))
        print(f"{_ACTIONS[args.action][1]} {name}", file=terminal.out)
        return 0

    return run_quietly(work, "schedule", args.debug)


_EXECUTE = {"create": _execute_create, "list": _execute_list}


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1; got {text}")
    return value
