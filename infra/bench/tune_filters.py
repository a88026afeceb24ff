"""Where the strengths of the classical filters come from; run it again after changing a filter.

Every filter with a strength is tried over a grid on TRAINING experiments of the simulated screen,
blind, at all levels of its noise: Gaussian sigma 10, 25 and 50, and for `vst-nlm` peaks of 255, 60
and 15 photons. What is printed as best belongs into `trainer/filters/settings.py`.

  .venv/bin/python infra/bench/tune_filters.py --fields 4
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

from trainer.denoising_benchmark import ALL_CASES, NoiseCase, simulated_fields
from trainer.denoising_benchmark.fields import TRAINING_EXPERIMENTS
from trainer.filters import find
from trainer.filters.tune import Pair, tune

GRIDS: dict[str, tuple[str, dict[str, Sequence[Any]]]] = {
    "gaussian": ("gaussian", {"sigma_px": (0.8, 1.0, 1.4, 2.0, 2.8)}),
    "bilateral": (
        "gaussian",
        {"sigma_px": (4.0, 5.5, 8.0), "range_in_sigmas": (5.0, 8.0, 12.0)},
    ),
    "tv": ("gaussian", {"weight_in_sigmas": (2.0, 3.0, 4.5, 6.0, 8.0)}),
    "wavelet": ("gaussian", {"strength_in_sigmas": (1.0, 1.5, 2.0, 3.0)}),
    "nlm": ("gaussian", {"cutoff_in_sigmas": (0.8, 1.0, 1.2, 1.5, 1.8, 2.2)}),
    "vst-nlm": ("poisson", {"cutoff_in_sigmas": (0.6, 0.8, 1.0, 1.2)}),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was tried, best first, and whether the defaults are it."""
    parser = argparse.ArgumentParser(
        prog="tune_filters.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--fields", type=int, default=4, metavar="N")
    parser.add_argument("--size", type=int, default=256, metavar="PX")
    parser.add_argument("--filters", nargs="+", choices=GRIDS, default=list(GRIDS))
    args = parser.parse_args(arguments)
    from trainer.simulation import SimulationConfig

    fields = simulated_fields(SimulationConfig(), args.fields, TRAINING_EXPERIMENTS, args.size)
    clean = {field.key: field.clean_HWC for field in fields}
    for name in args.filters:
        kind, grid = GRIDS[name]
        cases = [case for case in ALL_CASES if case.kind == kind and not case.clipped]
        found = tune(name, [_pair(case, key, clean[key]) for case in cases for key in clean], grid)
        shipped = dataclasses.asdict(find(name).settings())
        for point, psnr_db in found.tried[:4]:
            here = "  (shipped)" if all(shipped[key] == point[key] for key in point) else ""
            values = ", ".join(f"{key} = {value:g}" for key, value in point.items())
            print(f"{name:10} {psnr_db:6.2f} dB  {values}{here}", flush=True)
    return 0


def _pair(case: NoiseCase, key: str, clean_HWC: Any) -> Pair:
    return Pair(clean_HWC, case.corrupt(clean_HWC[None], key)[0])


if __name__ == "__main__":
    sys.exit(main())
