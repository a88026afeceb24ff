"""``platewise report``: make a run's page again from its artifacts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pipelines.commands.common import add_command, guarded
from pipelines.logs import Terminal, log_file, temporary_log_file

_DESCRIPTION = """\
Write report.html and metrics.json of a run again from its artifacts. Nothing is run and
nothing is trained; useful after a change to the page, or when the files were lost."""


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(commands, "report", "make a run's report again", _DESCRIPTION)
    parser.add_argument("run", metavar="RUN", help="folder of the run, such as runs/demo")
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Run the command."""
    run_dir = Path(args.run)

    def work(terminal: Terminal) -> int:
        from pipelines.commands.page import tell_page, write_page
        from pipelines.commands.training_run import lines_on
        from pipelines.run_record import read_record

        tell_page(write_page(read_record(run_dir), run_dir), run_dir, lines_on(terminal))
        return 0

    there = (run_dir / "run.json").is_file()  # else it is no run's folder: leave it as it is
    log_path = log_file(run_dir / "logs", "report") if there else temporary_log_file("report")
    return guarded(work, log_path, args.debug, keep_log=False)
