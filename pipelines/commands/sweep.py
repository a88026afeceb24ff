"""``platewise sweep``: run an experiment's arms over seeds and compare them."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.commands.common import FAILED, add_command, guarded
from pipelines.logs import Terminal, log_file
from trainer.strict import ConfigError

if TYPE_CHECKING:
    from pipelines.sweeps.plan import Arm, Experiment

_DESCRIPTION = """\
Run an experiment: every arm with every seed, on simulated screens, through the pipeline's own
ingest, Transform, training and prediction. Writes table.csv, table.md and table.json under
OUT/NAME: means over seeds with their intervals, and differences from the first arm, seed by
seed. What is finished is not run again: the same command goes on where it was stopped. An arm
that fails is told, and the others go on."""


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(commands, "sweep", "run an experiment's arms and compare", _DESCRIPTION)
    parser.add_argument(
        "experiment",
        metavar="NAME",
        nargs="?",
        help="an experiment that ships (see --list), or a TOML file of the same form",
    )
    parser.add_argument("--list", action="store_true", help="say which experiments ship, and stop")
    parser.add_argument(
        "--seeds", default="0,1,2", metavar="A,B,...", help="seeds, with commas (default: 0,1,2)"
    )
    parser.add_argument(
        "--arms", default="", metavar="A,B,...", help="arms to run (default: all of the file)"
    )
    parser.add_argument(
        "--out",
        default="runs/sweeps",
        metavar="DIR",
        help="folder of all sweeps, which share screens and checkpoints (default: runs/sweeps)",
    )
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Run the command."""
    from pipelines.sweeps.plan import known, read_experiment

    if args.list:
        for name in known():
            experiment = read_experiment(name)
            print(_listed(experiment))  # noqa: T201 - the command's result
        return 0
    if args.experiment is None:
        raise ConfigError(f"say which: platewise sweep NAME; there are {', '.join(known())}")
    experiment = read_experiment(args.experiment)
    arms, seeds = _arms(experiment, args.arms), _seeds(args.seeds)
    out = Path(args.out)

    def work(terminal: Terminal) -> int:
        return _run(experiment, arms, seeds, out, terminal)

    return guarded(work, log_file(out / "logs", f"sweep-{experiment.name}"), args.debug)


def _run(
    experiment: Experiment, arms: list[Arm], seeds: list[int], out: Path, terminal: Terminal
) -> int:
    from pipelines.commands.demo_screen import progress_on, usable_cores
    from pipelines.failures import root_cause
    from pipelines.sweeps.arm import read_result, result_path, run_arm

    results, failed = [], []
    with progress_on(terminal) as progress:
        # Seeds first: after one seed of every arm there is something to compare.
        for seed in seeds:
            for arm in arms:
                name = f"{arm.name} {seed}"
                done = read_result(result_path(out, experiment, arm, seed))
                progress.step_started(name)
                if done is not None:
                    results.append(done)
                    progress.step_finished(name, "cached")
                    continue
                started_s = time.monotonic()
                try:
                    results.append(
                        run_arm(experiment, arm, seed, out, usable_cores(), progress.detail)
                    )
                except Exception as error:  # noqa: BLE001 - told below; the other arms go on
                    import traceback

                    traceback.print_exc()  # into the log
                    failed.append(f"{name}: {root_cause(error)}")
                    progress.step_finished(name, "failed", time.monotonic() - started_s)
                    continue
                progress.step_finished(name, "run", time.monotonic() - started_s)
                _write(experiment, results, out)  # a sweep that is stopped has a table too
    if results:
        print(_write(experiment, results, out), file=terminal.out)
        print(f"table   {out / experiment.name / 'table.md'}", file=terminal.out)
    for message in failed:
        print(f"failed: {message}", file=terminal.err)
    return FAILED if failed else 0


def _write(experiment: Experiment, results: list[dict[str, Any]], out: Path) -> str:
    from pipelines.sweeps.table import table, to_csv, to_json, to_markdown

    cells = table(experiment, results)
    text = to_markdown(experiment, cells)
    folder = out / experiment.name
    folder.mkdir(parents=True, exist_ok=True)
    contents = {"csv": to_csv(cells), "json": to_json(experiment, cells, results), "md": text}
    for suffix, content in contents.items():
        temporary = folder / f".table.{suffix}.tmp"
        temporary.write_text(content, "utf-8")
        temporary.replace(folder / f"table.{suffix}")
    return text


def _listed(experiment: Experiment) -> str:
    minutes = f"{experiment.minutes:g} minutes" if experiment.minutes else "time not measured yet"
    arms = ", ".join(arm.name for arm in experiment.arms)
    return f"{experiment.name}: {experiment.purpose}\n    arms: {arms}; {minutes}\n" + (
        f"    expected: {experiment.expected}"
    )


def _arms(experiment: Experiment, text: str) -> list[Arm]:
    by_name = {arm.name: arm for arm in experiment.arms}
    wanted = [name.strip() for name in text.split(",") if name.strip()] or list(by_name)
    for name in wanted:
        if name not in by_name:
            raise ConfigError(f"--arms: no arm {name!r}; there are {', '.join(by_name)}")
    return [by_name[name] for name in wanted]


def _seeds(text: str) -> list[int]:
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"--seeds takes whole numbers with commas; got {text!r}") from None
    if min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise ConfigError(f"--seeds must be 0 or more and differ; got {text!r}")
    return seeds
