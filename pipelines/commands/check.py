"""``platewise check``: what is wrong with a screen, without running anything."""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Iterator
from typing import Any

from pipelines.commands.common import (
    FAILED,
    add_command,
    add_config_options,
    guarded,
    load_config,
)
from pipelines.logs import Terminal, temporary_log_file
from trainer.errors import PlatewiseError
from trainer.strict import ConfigError

_DESCRIPTION = """\
Read a screen's tables and images and say what is wrong with it: rows without files and
files without rows, incomplete and corrupt sites, leaks between splits (shared wells, the same
image under two names, treatments told by plate or position). Nothing is written.
Every image is decoded; --quality.decode false looks at headers alone, which is faster.
Exits with 1 when the share of unusable sites is above [quality]'s threshold, the tables
cannot be used, or the leak audit fails ([leaks] says how strict it is)."""


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(commands, "check", "say what is wrong with a screen", _DESCRIPTION)
    parser.add_argument(
        "screen",
        metavar="SCREEN",
        nargs="?",
        help="folder of the screen, local or gs:// (default: screen.root of the configuration)",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print counts and lists as JSON on stdout, and nothing else (default: a summary)",
    )
    add_config_options(parser)
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Run the command."""
    if args.screen is None and not (args.config or args.set):
        raise ConfigError("say what to check: platewise check SCREEN, or --config FILE")
    root = [] if args.screen is None else [("screen.root", args.screen)]
    config = load_config(args, root)

    def work(terminal: Terminal) -> int:
        from components.leak_audit.check import with_audit
        from components.plate_example_gen.check import check_screen

        try:
            with _shown(terminal):
                report = check_screen(
                    config.screen, config.splits, config.quality, config.beam.extra_args
                )
                report = with_audit(report, config.leaks)
        except PlatewiseError as error:
            if args.json:
                print(json.dumps(_unreadable(config.screen.root, error)), file=terminal.out)
            raise
        text = json.dumps(report.to_json(), indent=1) if args.json else report.summary()
        print(text, file=terminal.out)
        return FAILED if report.failed else 0

    return guarded(work, temporary_log_file("check"), args.debug, keep_log=False)


def _unreadable(root: str, error: PlatewiseError) -> dict[str, Any]:
    """What a machine reads where nothing could be counted."""
    said = [str(error)]
    return {"root": root, "errors": 1, "errors_list": said, "reasons_list": said, "failed": True}


@contextlib.contextmanager
def _shown(terminal: Terminal) -> Iterator[None]:
    """Elapsed time where somebody watches: a whole screen takes minutes."""
    if not terminal.err.isatty():
        yield
        return
    from pipelines.commands.demo_screen import progress_on

    with progress_on(terminal) as progress:
        progress.step_started("Check")
        yield
        progress.step_finished("Check", "run")
