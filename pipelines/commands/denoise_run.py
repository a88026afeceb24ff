"""What ``platewise denoise`` does once its options are known."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import typing
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.flags import parse_set, parse_value
from pipelines.logs import Terminal
from pipelines.progress import Progress
from trainer.denoise_folder import (
    RECORDS,
    Denoise,
    Outcome,
    Unit,
    check_folders,
    check_outputs,
    denoise_units,
    image_files,
    single_files,
)
from trainer.denoise_sites import DEFAULT_PATTERN, PlateStatistics, sites
from trainer.errors import PlatewiseError
from trainer.filters import apply, find
from trainer.strict import ConfigError, build, to_mapping

DEFAULT_FILTER = "switching+vst-nlm"
#: Failures told one by one; the rest are counted.
_TOLD = 10


def check_options(args: argparse.Namespace) -> None:
    """Refuse options that do not go together, before anything is read."""
    if args.model:
        for name in ("set", "list_settings", "white"):
            if getattr(args, name):
                flag = f"--{name.replace('_', '-')}"
                raise ConfigError(f"{flag} belongs to filters; --model has nothing to set")
        if args.tile < 16:
            raise ConfigError(f"--tile must be at least 16 px; got {args.tile}")
    else:
        if args.pattern is not None or args.statistics != "plate":
            raise ConfigError("--pattern and --statistics are for --model; filters need neither")
        if args.white < 0:
            raise ConfigError(f"--white must be positive; got {args.white:g}")
        settings_of(args)


def settings_of(args: argparse.Namespace) -> Any:
    """The filter's settings from ``--set``, strictly."""
    kind = find(args.filter or DEFAULT_FILTER).settings
    hints = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    for assignment in args.set:
        key, text = parse_set(assignment)
        values[key] = parse_value(hints[key], text, f"--set {key}") if key in hints else text
    return build(kind, values)


def list_settings(args: argparse.Namespace) -> int:
    """Print the settings of the chosen filter."""
    name = args.filter or DEFAULT_FILTER
    settings = settings_of(args)
    doc = (type(settings).__doc__ or "").strip()
    lines = [f"{name}: {doc}"]
    lines += [
        f"  --set {field.name}={getattr(settings, field.name)}"
        for field in dataclasses.fields(settings)
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Denoise the folder and say what was done; 1 where anything was left out."""
    source, target = Path(args.source), Path(args.target)
    check_folders(source, target)
    paths = image_files(source)
    with Progress(terminal.err, terminal.err.isatty()) as progress:
        progress.step_started("prepare")
        units, denoise, method, left_out = (
            _with_model(args, source, paths) if args.model else _with_filter(args, paths)
        )
        check_outputs(units, args.float)
        progress.step_finished("prepare", "run")
        progress.step_started("denoise")

        def tell(done: int, total: int, name: str) -> None:
            progress.detail(f"{done}/{total}, {name}")

        outcome = denoise_units(
            source,
            target,
            units,
            denoise,
            method,
            white_grey_level=args.white,
            as_float=args.float,
            progress=tell,
        )
        progress.step_finished("denoise", "run" if not outcome.failures else "failed")
    outcome.failures[:0] = left_out
    terminal.out.write(_summary(outcome, args, target))
    return 1 if outcome.failures else 0


def _with_filter(
    args: argparse.Namespace, paths: list[Path]
) -> tuple[list[Unit], Denoise, str, list[str]]:
    name, settings = args.filter or DEFAULT_FILTER, settings_of(args)

    def denoise(unit: Unit, image_HWC: np.ndarray) -> np.ndarray:
        return apply(name, image_HWC, settings)

    return single_files(paths), denoise, f"{name} {to_mapping(settings)}", []


def _with_model(
    args: argparse.Namespace, source: Path, paths: list[Path]
) -> tuple[list[Unit], Denoise, str, list[str]]:
    from pipelines.model_folder import find_denoiser, model_digest
    from trainer.denoise import load_denoiser

    folder = find_denoiser(args.model)
    denoiser = load_denoiser(folder, args.tile)
    if not denoiser.site_channels:
        _refuse_plate_options(args)
        method = f"model {model_digest(folder)}"
        return single_files(paths), lambda _, image_HWC: denoiser(image_HWC), method, []
    units, left_out = sites(paths, denoiser.site_channels, args.pattern or DEFAULT_PATTERN)
    statistics = PlateStatistics(source, units, denoiser, args.statistics)

    def denoise(unit: Unit, image_HWC: np.ndarray) -> np.ndarray:
        return denoiser(image_HWC, *statistics(unit))

    method = f"model {model_digest(folder)} {args.statistics} {statistics.digest_text}"
    return statistics.usable, denoise, method, [*left_out, *statistics.left_out]


def _refuse_plate_options(args: argparse.Namespace) -> None:
    if args.pattern is not None or args.statistics != "plate":
        raise PlatewiseError(
            f"--model {args.model} was trained on images alone and denoises each file by itself; "
            "--pattern and --statistics are for models of a screen"
        )


def _summary(outcome: Outcome, args: argparse.Namespace, target: Path) -> str:
    how = f"model {args.model}" if args.model else f"filter {args.filter or DEFAULT_FILTER}"
    kind = (
        "float32 TIFF in the grey levels of the input, not rounded"
        if args.float
        else "dtype and grey-level scale as in the input, rounded"
    )
    lines = [
        f"{outcome.written} images denoised ({how}), {outcome.skipped} were done already: {target}",
        f"{kind}; {RECORDS} in it tells what was made how",
    ]
    if outcome.clipped_share > 0:
        share = 100 * outcome.clipped_share
        lines.append(
            f"at most {share:.2g} % of an image's pixels left its range and were clipped "
            f"({outcome.clipped_path}); --float keeps them"
        )
    if outcome.failures:
        lines.append(f"{len(outcome.failures)} left out:")
        lines += [f"  {text}" for text in outcome.failures[:_TOLD]]
        if len(outcome.failures) > _TOLD:
            lines.append(f"  and {len(outcome.failures) - _TOLD} more")
    return "\n".join(lines) + "\n"
