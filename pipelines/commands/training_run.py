"""One run of the training pipeline with its display, its record and its last words."""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import absl.logging

from components.plate_example_gen.storage import require_folder
from pipelines.commands.demo_screen import ensure_demo_screen, progress_on
from pipelines.config import PlatewiseConfig
from pipelines.logs import Terminal
from pipelines.progress import Progress
from trainer.errors import PlatewiseError

if TYPE_CHECKING:
    from tfx.orchestration.pipeline import Pipeline

    from components.report.data import Kind
    from pipelines.outcome import NodeEvent, RunResult
    from pipelines.run_record import RunRecord

#: The trainer's component tells here how training goes, in ``record.update``.
TRAINING_LOGGER = "platewise.progress"


def run_training(config: PlatewiseConfig, terminal: Terminal, demo: bool) -> int:
    """Run the training pipeline and say what came of it; returns the exit code."""
    run_dir, say = Path(config.run.folder), lines_on(terminal)
    refuse_other_kind(run_dir, "training")
    announce(config, terminal)
    if demo:
        ensure_demo_screen(config.simulation, config.screen.root, terminal)
    require_folder(config.screen.root)  # before TFX is loaded, which takes many seconds

    def make() -> Pipeline:
        from pipelines.training import create_pipeline

        return create_pipeline(config)

    record = run_pipeline("training", make, config, run_dir, terminal)
    from pipelines.commands.page import tell_page, write_page

    tell_page(write_page(record, run_dir), run_dir, say)
    if demo and config.normalizer.method != "none":
        say("")
        say("Compare with no normalisation at all:")
        say("  platewise run --demo --normalizer.method none --run.name demo-none")
    return 0


def announce(config: PlatewiseConfig, terminal: Terminal, *more: str) -> None:
    """What is about to run, and where the log is."""
    say = lines_on(terminal)
    say(f"screen  {config.screen.root}")
    for line in more:
        say(line)
    say(f"folder  {config.run.folder}")
    say(f"log     {terminal.log_path}")


def refuse_other_kind(run_dir: Path, kind: Kind) -> None:
    """A folder holds runs of one kind: a scoring run must not replace a training run's page."""
    from pipelines.run_record import RECORD_NAME, read_record

    if (run_dir / RECORD_NAME).is_file():
        there = read_record(run_dir).kind
        if there != kind:
            raise PlatewiseError(
                f"{run_dir} holds a {there} run; give the {kind} run another name or folder"
            )


def run_pipeline(
    kind: Kind,
    make: Callable[[], Pipeline],
    config: PlatewiseConfig,
    run_dir: Path,
    terminal: Terminal,
) -> RunRecord:
    """Run a pipeline with the display; its record is written whether it ends or fails."""
    started, clock_s = datetime.datetime.now().astimezone(), time.monotonic()
    with progress_on(terminal) as progress:
        # Loading TensorFlow and TFX takes seconds that would otherwise look like a hang.
        progress.step_started("Start")
        # TFX tells through absl what its launcher did; absl would drop that from the log.
        absl.logging.set_verbosity(absl.logging.INFO)
        from pipelines.local import run_local
        from pipelines.outcome import ComponentFailed
        from pipelines.run_record import record_of, write_record

        pipeline = make()
        progress.step_finished("Start", "run")

        def record_it(result: RunResult) -> RunRecord:
            seconds = time.monotonic() - clock_s
            started_text = started.isoformat(timespec="seconds")
            record = record_of(kind, result, config, started_text, seconds)
            write_record(run_dir, record)
            return record

        with training_shown(progress):
            try:
                result = run_local(pipeline, run_dir, lambda event: show_event(progress, event))
            except ComponentFailed as failed:
                record_it(failed.result)
                raise
        for distrusted in result.distrusted:
            progress.say(f"  not taken from the cache: {distrusted.reason}")
        return record_it(result)


def show_event(progress: Progress, event: NodeEvent) -> None:
    """Show that a component started or ended."""
    if event.state == "started":
        progress.step_started(event.node_id)
    else:
        progress.step_finished(event.node_id, event.state, event.seconds)


@contextmanager
def training_shown(progress: Progress) -> Iterator[None]:
    """Show what the trainer's component tells while it runs."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            update = getattr(record, "update", None)
            if isinstance(update, dict):
                progress.training(update)

    logger, handler = logging.getLogger(TRAINING_LOGGER), Handler()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def lines_on(terminal: Terminal) -> Callable[[str], None]:
    """A function that writes one line of the command's result."""

    def say(text: str) -> None:
        print(text, file=terminal.out)

    return say
