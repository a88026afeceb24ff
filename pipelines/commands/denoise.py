"""``platewise denoise``: denoise a folder of images with a filter or a trained model."""

from __future__ import annotations

import argparse
from typing import Any

from pipelines.commands.common import add_command, guarded
from pipelines.logs import Terminal, temporary_log_file
from trainer.filters import FILTERS

_DESCRIPTION = """\
Denoise the PNGs and TIFFs of a folder into another of the same layout. Names, dtype and
grey-level scale are kept: 8 bits in, 8 bits out, rounded. A run that was stopped goes on
where it was; what is finished and unchanged is skipped."""

_EPILOG = "Filters:\n" + "\n".join(
    f"  {entry.name:<18} {entry.summary}" for entry in FILTERS.values()
)


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(
        commands, "denoise", "denoise a folder of images", _DESCRIPTION, epilog=_EPILOG
    )
    parser.add_argument("source", metavar="IN", help="folder of PNG or TIFF images, any layout")
    parser.add_argument("target", metavar="OUT", help="folder for the denoised images")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--filter", metavar="NAME", help="a classical filter (default: switching+vst-nlm)"
    )
    how.add_argument(
        "--model",
        metavar="DIR",
        help="a trained model: a pushed version, a folder of versions, or a run's folder (the "
        "channels of a site are denoised together); what python -m trainer.denoising wrote; or "
        "generic, the one that comes with Platewise (default: none, the filter)",
    )
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="one setting of the filter; may be repeated; --list-settings shows them",
    )
    parser.add_argument(
        "--list-settings", action="store_true", help="show the filter's settings and stop"
    )
    parser.add_argument(
        "--white",
        type=float,
        default=0.0,
        metavar="LEVEL",
        help="grey level of the files that a filter takes for 255, such as 4095 for a 12-bit "
        "camera (default: the largest of the dtype)",
    )
    parser.add_argument(
        "--float", action="store_true", help="write float32 TIFFs, neither rounded nor clipped"
    )
    _add_model_options(parser)
    parser.set_defaults(execute=execute)


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--statistics",
        choices=("plate", "image"),
        default="plate",
        help="with a model: normalise by all sites of a folder, or each site by itself "
        "(default: plate)",
    )
    parser.add_argument(
        "--pattern",
        metavar="REGEX",
        help="with a model: file names, with groups site and channel "
        "(default: RxRx1's, B02_s1_w3.png)",
    )
    parser.add_argument(
        "--tile",
        type=int,
        default=512,
        metavar="PX",
        help="with a model: side of the tiles, which bounds memory and changes no pixel "
        "(default: 512)",
    )


def execute(args: argparse.Namespace) -> int:
    """Run the command."""
    from pipelines.commands.denoise_run import check_options, list_settings, run

    check_options(args)
    if args.list_settings:
        return list_settings(args)

    def work(terminal: Terminal) -> int:
        return run(args, terminal)

    return guarded(work, temporary_log_file("denoise"), args.debug, keep_log=False)
