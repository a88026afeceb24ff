"""Options that the commands for Vertex AI share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pipelines.commands.common import guarded, load_config, tell
from pipelines.logs import Terminal, temporary_log_file
from trainer.strict import ConfigError

if TYPE_CHECKING:
    from pipelines.config import PlatewiseConfig

USAGE_ERROR = 2

JOB_HELP = "id of the job, its full resource name, or the address of its page in the console"


def add_pipeline_options(parser: argparse.ArgumentParser) -> None:
    """Which pipeline runs, and with which values."""
    parser.add_argument(
        "--kind",
        choices=("training", "scoring"),
        default="training",
        help="which pipeline (default: training)",
    )
    parser.add_argument(
        "--model",
        metavar="URI",
        default="",
        help="with --kind scoring: folder of the pushed model, gs://... (default: none)",
    )
    parser.add_argument(
        "--spec",
        metavar="FILE",
        help="a pipeline compiled before (platewise compile), .json or .yaml (default: it is "
        "compiled now from the configuration)",
    )
    parser.add_argument(
        "--parameter",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="value of a runtime parameter; may be repeated (default: as compiled; --dry-run lists "
        "them)",
    )
    parser.add_argument(
        "--no-cache",
        action="store_true",
        help="run every step anew (default: as the pipeline was compiled)",
    )


def load_vertex_config(args: argparse.Namespace) -> PlatewiseConfig:
    """Configuration of a command that needs ``[vertex]`` and no screen."""
    return load_config(args, base={"screen": {"root": "gs://unused"}})


def compiles(args: argparse.Namespace) -> PlatewiseConfig:
    """Configuration of a command that compiles a pipeline, unless one is given."""
    base: dict[str, Any] = {"screen": {"root": "gs://unused"}} if args.spec else {}
    return load_config(args, base=base)


def run_quietly(work: Callable[[Terminal], int], name: str, debug: bool) -> int:
    """Do the work of a command; what is wrong with its arguments is told as wrong usage.

    Compiling is noisy, so arguments that need the compiled pipeline are checked only once the
    libraries' noise goes to a log.
    """

    def checked(terminal: Terminal) -> int:
        try:
            return work(terminal)
        except ConfigError as error:
            if debug:
                raise
            tell(Terminal(terminal.out, terminal.err), str(error))  # no log explains more
            return USAGE_ERROR

    return guarded(checked, temporary_log_file(name), debug, keep_log=False)
