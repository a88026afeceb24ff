"""The command that trains a channel-wise denoiser on images alone."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from trainer.denoiser_config import DenoiserFit
from trainer.errors import PlatewiseError
from trainer.strict import ConfigError, build, to_mapping

_EPILOG = """\
Without --images it trains on textures and simulated fields. Images are taken as free of noise;
with --set target=neighbours they are noisy themselves, and their own noise is what it learns to
take away. A killed run goes on from --checkpoints when the same command is given again. Load the
result with trainer.denoise.load_denoiser(DIR).
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m trainer.denoising",
        description="Train a channel-wise denoiser on images alone.",
        epilog=_EPILOG,
    )
    parser.add_argument("--images", metavar="DIR", help="8-bit grey PNG and TIFF files below it")
    parser.add_argument(
        "--start",
        default="",
        metavar="DIR",
        help="go on from this denoiser; generic: the one that ships",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="receives the denoiser")
    parser.add_argument("--checkpoints", metavar="DIR", help="default: OUT/checkpoints")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="such as steps=500, noise.impulse_share=0; repeatable",
    )
    args = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        base = _like(args.start) if args.start else DenoiserFit()
        config = build(DenoiserFit, _overrides(args.set, base))
        from trainer.denoising.fit import fit
        from trainer.denoising.pool import folder_pool, generic_pool
        from trainer.denoising.saved import write_denoiser

        if config.target == "neighbours" and not args.images:
            raise ConfigError("target=neighbours learns from noisy images: give --images DIR")
        pool_NHW = folder_pool(args.images, config) if args.images else generic_pool(config)
        checkpoints = args.checkpoints or f"{args.out}/checkpoints"
        model = fit(pool_NHW, config, checkpoints, _tell, args.start)
        source = "images of a folder" if args.images else "textures and simulated fields"
        notes = {"source": source, "patches": len(pool_NHW), "command": _command(args)}
        write_denoiser(args.out, config, model, notes)
    except (PlatewiseError, ConfigError) as error:
        parser.exit(1, f"error: {error}\n")
    print(f"denoiser written to {args.out}")  # noqa: T201  (this is the command's answer)
    return 0


def _like(start: str) -> DenoiserFit:
    """The defaults with the architecture and the patches of a trained denoiser."""
    from trainer.denoising.saved import named_folder, read_denoiser

    _, fit = read_denoiser(named_folder(start))
    kept = ("widths", "space_to_depth", "design", "patch_px", "pool_patch_px")
    return DenoiserFit(**{name: getattr(fit, name) for name in kept})


def _overrides(assignments: Sequence[str], base: DenoiserFit) -> dict[str, Any]:
    plain: dict[str, Any] = to_mapping(base)
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise ConfigError(f"--set wants key=value, such as steps=500; got {assignment!r}")
        *sections, name = key.split(".")
        place = plain
        for section in sections:
            place = place.setdefault(section, {})
        try:
            place[name] = json.loads(text)
        except ValueError:
            place[name] = text
    return plain


def _command(args: argparse.Namespace) -> str:
    """What to type for the same again; folders are left out, they differ by machine."""
    images = " --images DIR" if args.images else ""
    start = {"": "", "generic": " --start generic"}.get(args.start, " --start DIR")
    changes = "".join(f" --set {assignment}" for assignment in args.set)
    return f"python -m trainer.denoising{images}{start} --out DIR{changes}"


def _tell(step: int, n_steps: int, loss_db: float, seconds_left: float) -> None:
    line = f"step {step}/{n_steps}  loss {loss_db:.2f}  {seconds_left:.0f} s left"
    print(line, file=sys.stderr, flush=True)  # noqa: T201
