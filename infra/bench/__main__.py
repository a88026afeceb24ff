"""`make bench`: every stage against its peer, interleaved; prints one table of ratios.

Each ``bench_<stage>.py`` here holds the peer's way as a short honest baseline and a function
``rows(repetitions)``. Machines are noisy: read ratios, not seconds.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from timing import table  # noqa: E402  (the folder is run as a script, not a package)


def main() -> int:
    """Run the named benchmarks, or all of them."""
    stages = sorted(p.stem.removeprefix("bench_") for p in HERE.glob("bench_*.py"))
    for alone in ("denoise", "train"):  # without a peer to take turns with: make bench-denoise
        stages.remove(alone)
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=", ".join(stages))
    parser.add_argument("--repetitions", type=int, default=5)
    args = parser.parse_args()
    unknown = set(args.stages) - set(stages)
    if unknown:
        parser.error(f"unknown stage {sorted(unknown)[0]!r}; known: {', '.join(stages)}")
    rows = []
    for stage in args.stages or stages:
        print(f"measuring {stage} ...", file=sys.stderr, flush=True)
        rows += importlib.import_module(f"bench_{stage}").rows(args.repetitions)
    print(table(rows))
    return 0 if all(r.met for r in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
