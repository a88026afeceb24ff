"""The command line: parses arguments and hands over to one module a command.

Nothing heavy is imported here: ``platewise --help`` answers at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pipelines.commands import (
    check,
    compile,
    fetch,
    metrics,
    predict,
    report,
    run,
    schedule,
    simulate,
    status,
    submit,
)
from pipelines.flags import dotted_to_set
from trainer.strict import ConfigError

USAGE_ERROR = 2

_EPILOG = """\
Start here:
  platewise run --demo                       simulate a small screen and run everything on it
  platewise check SCREEN                     what is wrong with a screen, in seconds
  platewise run --config rxrx1 --screen.root SCREEN
                                             the whole pipeline on real RxRx1
  platewise submit --config FILE --dry-run   what it would be and cost on Vertex AI
Exit codes: 0 done, 1 failed (one message and the log's path), 2 wrong usage or
configuration, 130 stopped by Ctrl-C."""


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="platewise",
        description="From plates of fluorescence images to a blessed model, and a page that says\n"
        "experiment by experiment how far to trust it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    local = (simulate, check, run, predict, report, metrics)
    for module in (*local, compile, submit, schedule, status, fetch):
        module.add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is the return value."""
    parser = build_parser()
    try:
        args = parser.parse_args(dotted_to_set(sys.argv[1:] if arguments is None else arguments))
        return int(args.execute(args))
    except ConfigError as error:
        print(f"platewise: {error}", file=sys.stderr)  # noqa: T201 - the command's own voice
        return USAGE_ERROR
    except KeyboardInterrupt:
        print("platewise: stopped", file=sys.stderr)  # noqa: T201 - the command's own voice
        return 130


if __name__ == "__main__":
    sys.exit(main())
