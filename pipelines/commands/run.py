"""``platewise run``: the training pipeline, from a screen to a blessed model and a report."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from pipelines.commands.common import (
    CONFIG_EPILOG,
    add_command,
    add_config_options,
    flags_of,
    guarded,
    load_config,
)
from pipelines.logs import Terminal, log_file
from trainer.strict import ConfigError

if TYPE_CHECKING:
    from pipelines.config import PlatewiseConfig

_DESCRIPTION = """\
Run the whole pipeline on a screen: read and check it, fit the normaliser plate by plate,
train, predict, evaluate, bless or refuse, push, report. What an earlier run of the same name
made from the same inputs, code and configuration comes from the cache; a run that was stopped
goes on where it was. Everything is written under RUN.ROOT/RUN.NAME (default: runs/NAME):
report.html, metrics.json, logs/ and the artifacts."""

_EXAMPLES = """\
Examples:
  platewise run --demo
  platewise run --demo --normalizer.method none --run.name demo-none
  platewise run --config rxrx1 --screen.root /data/rxrx1 --training.loop.epochs=90
  platewise run --config rxrx1 --print-config > my.toml

"""


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(commands, "run", "run the whole pipeline on a screen", _DESCRIPTION)
    parser.add_argument(
        "--demo",
        action="store_true",
        help="simulate the demo's screen (unless it is there) and run on it with demo.toml",
    )
    parser.add_argument(
        "--print-config",
        action="store_true",
        help="print the configuration that would run, as TOML with the meaning, unit and value "
        "of every key, and stop",
    )
    add_config_options(parser)
    parser.epilog = _EXAMPLES + CONFIG_EPILOG
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Run the command."""
    config = _configuration(args)
    if args.print_config:
        from pipelines.toml_text import to_toml

        print(to_toml(config), end="")  # noqa: T201 - the command's result
        return 0

    def work(terminal: Terminal) -> int:
        from pipelines.commands.training_run import run_training

        return run_training(config, terminal, demo=args.demo)

    return guarded(work, log_file(f"{config.run.folder}/logs", "run"), args.debug)


def _configuration(args: argparse.Namespace) -> PlatewiseConfig:
    base: dict[str, Any] = {}
    if args.demo:
        import os

        from pipelines.config import RunConfig
        from trainer.simulation.config import demo_config
        from trainer.strict import to_mapping

        if args.config:
            raise ConfigError("--demo brings its own configuration: leave --config out, or --demo")
        args.config = "demo"
        root = dict(flags_of(args)).get("run.root", RunConfig.root)
        base = {
            "simulation": to_mapping(demo_config()),
            "screen": {"root": os.path.join(root, "demo-screen")},
        }
    elif args.print_config:
        base = {"screen": {"root": "path/to/screen"}}
    elif not args.config and not args.set:
        raise ConfigError(
            "say what to run: platewise run --demo, or platewise run --config FILE "
            "(platewise run --help has examples)"
        )
    return load_config(args, base=base)
