"""The command line of a training worker."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from typing import Any

from trainer.config import TrainerConfig
from trainer.errors import PlatewiseError
from trainer.preemption import EXIT_CODE, StopRequest, TrainingInterrupted
from trainer.presets import preset
from trainer.progress import Progress, ProgressCallback, ProgressFile, print_line
from trainer.strict import ConfigError, build

_EPILOG = """\
The configuration is --config or --preset, changed by --set. Interrupted training goes on
from --checkpoints when the same command is given again. Paths are local or gs://.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = _parser()
    args = parser.parse_args(arguments)
    to_file = ProgressFile(args.progress) if args.progress else None
    try:
        config = _config(args)
        # TensorFlow is slow to import and logs at once: only when there is work.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        if (config.loop.strategy, config.loop.tpu_address) == ("tpu", "pod"):
            # The servers of the slice hold the chips; TensorFlow reads this while it is imported.
            os.environ.setdefault("TPU_LOAD_LIBRARY", "0")
        from trainer.train import train

        result = train(
            args.examples,
            args.transform,
            config,
            args.checkpoints,
            args.out,
            progress=_progress(to_file),
            log_dir=args.logs,
            stop=StopRequest(),
        )
        if args.export:
            from trainer.export import export

            export(args.out, args.transform, args.export)
    except TrainingInterrupted as interrupted:
        parser.exit(EXIT_CODE, f"interrupted: {interrupted}\n")
    except (PlatewiseError, ConfigError) as error:
        if to_file is not None:
            to_file.fail(str(error))
        parser.exit(1, f"error: {error}\n")
    except Exception as error:
        lost = _lost_host(error)
        if lost is None:
            raise
        parser.exit(EXIT_CODE, f"interrupted: {lost}\n")
    trained = result.trained
    print(  # noqa: T201  (this is the command's answer)
        json.dumps(
            {
                "out": result.out_dir,
                "n_steps": trained.n_steps,
                "resumed_at_step": result.resumed_at_step,
                "sites_per_s": round(trained.sites_per_s, 1),
                "input_wait_share": round(trained.input_wait_share, 4),
                "seconds": round(result.seconds, 1),
            }
        )
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainer",
        description="Train a denoiser and a classifier on Examples and a Transform graph.",
        epilog=_EPILOG,
    )
    parser.add_argument("--examples", required=True, metavar="DIR", help="Examples with manifest")
    parser.add_argument("--transform", required=True, metavar="DIR", help="Transform graph")
    parser.add_argument("--out", required=True, metavar="DIR", help="receives the weights")
    parser.add_argument("--checkpoints", required=True, metavar="DIR")
    parser.add_argument("--export", metavar="DIR", help="receives a SavedModel as well")
    parser.add_argument("--logs", metavar="DIR", help="receives TensorBoard scalars")
    parser.add_argument(
        "--progress", metavar="FILE", help="receives the latest progress, or why it failed"
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--config", metavar="FILE", help="JSON of a trainer configuration")
    source.add_argument("--preset", default="base", help="tiny, base or full")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="such as loop.epochs=3; repeatable",
    )
    return parser


def _progress(to_file: ProgressFile | None) -> ProgressCallback:
    def tell(progress: Progress) -> None:
        print_line(progress)
        if to_file is not None:
            to_file(progress)

    return tell


def _lost_host(error: Exception) -> str | None:
    """What to say where another host of the run went away; ``None`` of any other error."""
    import tensorflow as tf

    gone = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)
    if not isinstance(error, gone):
        return None
    return (
        f"a device or another host of this run was lost ({type(error).__name__}: "
        f"{str(error).splitlines()[0]}); started again, all go on from the last checkpoint"
    )


def _config(args: argparse.Namespace) -> TrainerConfig:
    overrides: dict[str, Any] = {}
    for assignment in args.set:
        key, equals, text = assignment.partition("=")
        section, _, name = key.partition(".")
        if not equals or not name:
            raise ConfigError(
                f"--set wants section.key=value, such as loop.epochs=3; got {assignment!r}"
            )
        overrides.setdefault(section, {})[name] = _value(text)
    if args.config is None:
        return preset(args.preset, overrides)
    plain = _read_json(args.config)
    for section, values in overrides.items():
        plain[section] = plain.get(section, {}) | values
    return build(TrainerConfig, plain)


def _read_json(path: str) -> dict[str, Any]:
    try:
        if "://" in path:
            import tensorflow as tf

            with tf.io.gfile.GFile(path) as stream:
                plain = json.loads(stream.read())
        else:
            with open(path) as stream:
                plain = json.load(stream)
    except (OSError, ValueError) as error:
        raise ConfigError(f"--config {path} cannot be read as JSON: {error}") from None
    if not isinstance(plain, dict):
        raise ConfigError(f"--config {path} must hold a JSON object, got {type(plain).__name__}")
    # A trainer.json that training wrote has the configuration inside.
    return plain["config"] if isinstance(plain.get("config"), dict) else plain


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
