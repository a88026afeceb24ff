"""What the commands share: options, and how errors reach the user."""

from __future__ import annotations

import argparse
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.flags import parse_set
from pipelines.logs import Terminal, plain_terminal, quiet_libraries, redirected

if TYPE_CHECKING:
    from pipelines.config import PlatewiseConfig

FAILED, INTERRUPTED = 1, 130

CONFIG_EPILOG = """\
Configuration: every key can be given as --SECTION.KEY VALUE, --SECTION.KEY=VALUE or
--set SECTION.KEY=VALUE; flags win over the file, and the last one wins. A list is written
a,b,c; true and false as such. Paths are relative to the current directory.
All keys with their meaning, unit and default: platewise run --print-config"""


def add_command(
    commands: Any, name: str, summary: str, description: str, **options: Any
) -> argparse.ArgumentParser:
    """A command's parser with the options that every command has."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        **options,
    )
    parser.add_argument(
        "--debug", action="store_true", help="show the whole trace of an error (default: one line)"
    )
    return parser


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """``--config`` and ``--set``; ``--section.key`` is rewritten to ``--set`` before parsing."""
    parser.epilog = CONFIG_EPILOG
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="TOML file, or the name of a shipped one: demo, rxrx1, wilds (default: none)",
    )
    parser.add_argument(
        "--set",
        metavar="SECTION.KEY=VALUE",
        action="append",
        default=[],
        help="one key of the configuration; may be repeated; --SECTION.KEY VALUE is the same",
    )


def load_config(
    args: argparse.Namespace,
    extra: list[tuple[str, str]] | None = None,
    base: dict[str, Any] | None = None,
) -> PlatewiseConfig:
    """Configuration from ``--config``, the flags, and what the command itself adds."""
    from pipelines.config import load

    return load(args.config, [*flags_of(args), *(extra or [])], base)


def flags_of(args: argparse.Namespace) -> list[tuple[str, str]]:
    """Keys and values of the flags, in order."""
    return [parse_set(assignment) for assignment in args.set]


def guarded(
    work: Callable[[Terminal], int], log_path: Path, debug: bool, keep_log: bool = True
) -> int:
    """Do the work of a command with the libraries' noise in a log file.

    Parameters
    ----------
    work
        Gets the terminal; returns the exit code.
    log_path
        Log file; removed unless the work raised or ``keep_log`` is set.
    debug
        Show the whole trace of an error, which the log has in any case.

    Returns
    -------
    int
        The exit code: the work's own, 1 for an error, 130 after Ctrl-C.
    """
    quiet_libraries()
    try:
        log_path.parent.mkdir(parents=True, exist_ok=True)
        log_path.touch()
    except OSError as error:
        reason = error.strerror or error
        tell(plain_terminal(), f"cannot write to {log_path.parent}: {reason}; give another folder")
        return FAILED
    with redirected(log_path) as terminal:
        code, raised = _guard(work, terminal, debug)
    if not (raised or keep_log):
        log_path.unlink(missing_ok=True)
    return code


def _guard(work: Callable[[Terminal], int], terminal: Terminal, debug: bool) -> tuple[int, bool]:
    """Exit code, and whether the work raised something that the log explains."""
    try:
        code = work(terminal)
        terminal.out.flush()
        return code, False
    except BrokenPipeError:
        return FAILED, False  # whoever read our output has gone: there is nobody to tell
    except KeyboardInterrupt:
        traceback.print_exc()  # into the log
        tell(terminal, "stopped; what was finished is kept, the same command goes on from there")
        return INTERRUPTED, True
    except Exception as error:  # noqa: BLE001 - whatever fails becomes one message, trace in the log
        from pipelines.failures import root_cause

        trace = traceback.format_exc()
        traceback.print_exc()  # into the log
        tell(terminal, f"{trace}\n{root_cause(error)}" if debug else root_cause(error))
        return FAILED, True


def tell(terminal: Terminal, message: str) -> None:
    """An error on the terminal, with the log's path."""
    print(f"platewise: {message}", file=terminal.err)
    if terminal.log_path is not None:
        print(f"log: {terminal.log_path}", file=terminal.err)
