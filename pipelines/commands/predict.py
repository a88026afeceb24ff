"""``platewise predict``: the scoring pipeline, on plates that training never saw."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pipelines.commands.common import add_command, add_config_options, flags_of, guarded
from pipelines.logs import Terminal, log_file

_DESCRIPTION = """\
Predict the treatments of a screen's plates with a trained model. No labels are needed: the
normaliser is fitted anew on the plates at hand. Written under OUT: predictions per site and
per well as CSV and Parquet, submission.csv where the screen's ids are Kaggle's, and a page.
--training.predict.adapt_batch_norm false keeps the BatchNorm statistics of training."""


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(commands, "predict", "score plates with a trained model", _DESCRIPTION)
    parser.add_argument("screen", metavar="SCREEN", help="folder of the screen, local or gs://")
    parser.add_argument(
        "--model",
        metavar="DIR",
        required=True,
        help="folder of a model: a pushed version, or a run's folder, whose newest pushed "
        "version is taken",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="folder for the results (default: runs/score-NAME, NAME being the screen's folder)",
    )
    add_config_options(parser)
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Run the command."""
    from pipelines.commands.scoring_run import configuration, refuse_unread, run_scoring

    flags = flags_of(args)
    refuse_unread(flags)
    config = configuration(args.config, flags, args.screen, args.out)

    def work(terminal: Terminal) -> int:
        return run_scoring(config, args.model, terminal, flags)

    return guarded(work, log_file(Path(config.run.folder) / "logs", "predict"), args.debug)
