"""``platewise simulate``: write a simulated screen."""

from __future__ import annotations

import argparse
from typing import Any

from pipelines.commands.common import add_command, add_config_options, guarded, load_config
from pipelines.logs import Terminal, temporary_log_file

_DESCRIPTION = """\
Write a simulated screen in RxRx1's layout: metadata.csv and one PNG a channel. The dials
(biology, each batch effect, noise) are the keys of the section [simulation]."""


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(commands, "simulate", "write a simulated screen", _DESCRIPTION)
    parser.add_argument("out", metavar="OUT", help="folder of the screen; must be new or empty")
    parser.add_argument(
        "--preset",
        choices=("full", "demo", "tiny"),
        default="demo",
        help="size to start from: full (1108 treatments, 512 px), demo (24 treatments, 64 px), "
        "tiny (8 treatments, 32 px) (default: demo)",
    )
    parser.add_argument(
        "--clean", metavar="DIR", help="write the noise-free images here too (default: not written)"
    )
    parser.add_argument(
        "--processes",
        type=int,
        default=0,
        metavar="N",
        help="processes; the images do not depend on it (default: one for each core)",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace a simulated screen that is there already (default: refuse)",
    )
    add_config_options(parser)
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Run the command."""
    from trainer.simulation.config import SimulationConfig, demo_config, tiny_config
    from trainer.strict import to_mapping

    presets = {"full": SimulationConfig(), "demo": demo_config(), "tiny": tiny_config()}
    base = {"simulation": to_mapping(presets[args.preset])}
    config = load_config(args, [("screen.root", args.out)], base)

    def work(terminal: Terminal) -> int:
        from pipelines.commands.demo_screen import simulate_with_progress

        summary = simulate_with_progress(
            config.simulation, args.out, terminal, args.processes, args.clean, args.overwrite
        )
        print(
            f"{args.out}: {summary.n_experiments} experiments, {summary.n_plates} plates, "
            f"{summary.n_sites} sites, {summary.n_images} images",
            file=terminal.out,
        )
        return 0

    return guarded(work, temporary_log_file("simulate"), args.debug, keep_log=False)
