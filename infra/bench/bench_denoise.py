"""`make bench-denoise`: filters and a trained denoiser on one noise; prints tables and gates.

Three sets of fields: held-out experiments of a simulated screen; real RxRx1 fields taken as free
of noise; real pairs of a noisy and a clean image. The last two are read from
PLATEWISE_REAL_DATA and left out, saying so, where it is not set.

  make bench-denoise                     (the denoiser that ships)
  make bench-denoise MODEL=runs/demo BENCH="--fields 16 --size 512"
  make bench-denoise MODEL=none          (filters alone)
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

from trainer.denoising_benchmark import (
    ALL_CASES,
    CAPTURED,
    TOLD_CASES,
    Field,
    Method,
    NoiseCase,
    Scores,
    captured_pairs,
    channel_table,
    check_gates,
    classical_methods,
    evaluate,
    gate_table,
    noisy_method,
    pure_noise_gate,
    rxrx1_fields,
    simulated_fields,
    table,
    told_method,
)

LEARNED_NAME, TOLD_NAME = "model", "model (told)"
REAL_DATA = "PLATEWISE_REAL_DATA"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print everything; 1 where a gate of the model on held-out simulated fields fails."""
    args = _parser().parse_args(arguments)
    import cv2

    cv2.setNumThreads(1)  # waiting threads would count as processor time
    learned = [] if args.model == "none" else [_model(args.model)]
    methods = [noisy_method, *classical_methods(), *learned]
    if args.told:
        methods += classical_methods(told=True, names=("nlm", "vst-nlm", "tv", "wavelet"))
    cases = [case for case in ALL_CASES if not args.case or case.name.startswith(args.case)]
    if not cases:
        sys.exit(f"no case begins with {args.case!r}: {', '.join(c.name for c in ALL_CASES)}")
    passed = True
    if "simulated" in args.sets:
        from trainer.simulation import SimulationConfig, demo_config

        config = demo_config() if args.screen == "demo" else SimulationConfig()
        size_px = 0 if args.screen == "demo" else args.size
        fields = simulated_fields(config, args.fields, size_px=size_px)
        scores = _report(
            f"Simulated screen ({args.screen}), held-out experiments", fields, methods, cases
        )
        if learned:
            told = _told(args.model, fields, cases)
            gates = check_gates([*scores, *told], LEARNED_NAME, TOLD_NAME if told else "")
            if not args.case:
                gates.append(pure_noise_gate(learned[0].for_case(ALL_CASES[0]), fields))
            print(f"\nGates\n{gate_table(gates)}")
            passed = all(gate.passed for gate in gates)
    _real(args, methods, cases, bool(learned))
    return 0 if passed else 1


def _real(
    args: argparse.Namespace, methods: Sequence[Method], cases: Sequence[NoiseCase], learned: bool
) -> None:
    folder = os.environ.get(REAL_DATA)
    if not folder:
        if {"rxrx1", "pairs"} & set(args.sets):
            print(f"\nReal fields are left out: {REAL_DATA} is not set")
        return
    if "rxrx1" in args.sets:
        fields = rxrx1_fields(Path(folder) / "rxrx1", args.size)
        title = "Real RxRx1 fields, taken as free of noise (their own noise caps the PSNR)"
        scores = _report(title, fields, methods, cases)
        if learned:
            print(f"\nGates, on real fields\n{gate_table(check_gates(scores, LEARNED_NAME))}")
    if "pairs" in args.sets:
        pairs = captured_pairs(Path(folder) / "denoise_pairs")
        for pair in pairs:
            _report(f"Real pair {pair.key}: noise as captured", [pair], methods, [CAPTURED])


def _report(
    title: str, fields: Sequence[Field], methods: Sequence[Method], cases: Sequence[NoiseCase]
) -> list[Scores]:
    height, width, channels = fields[0].clean_HWC.shape
    shape = f"{height} x {width} px, {channels} channels"
    print(f"\n{title}: {len(fields)} fields of {shape}", flush=True)
    scores = evaluate(methods, fields, cases, progress=_progress())
    print(table(scores))
    if channels > 1:
        print(f"\nPSNR by channel, dB\n{channel_table(scores)}")
        print(f"\nSSIM by channel\n{channel_table(scores, 'ssim_FC')}")
        print(f"\nBias by channel, grey levels\n{channel_table(scores, 'bias_grey_levels_FC')}")
        text = channel_table(scores, "scale_invariant_psnr_db_FC")
        print(f"\nScale-invariant PSNR by channel, dB\n{text}")
    sys.stdout.flush()
    return scores


def _progress() -> Callable[[str], None]:
    start = time.monotonic()
    live = sys.stderr.isatty()

    def tell(text: str) -> None:
        line = f"{time.monotonic() - start:7.0f} s  {text}"
        if live:
            print(f"\r\x1b[2K{line}", end="\r", file=sys.stderr, flush=True)

    return tell


def _model(path: str) -> Method:
    """A trained model as a row: normalised by each noisy field's own statistics.

    A field of one channel is given to every channel of the model, whose first answers.
    """
    from pipelines.model_folder import find_denoiser
    from trainer.denoise import load_denoiser

    denoiser = load_denoiser(find_denoiser(path))

    def denoise(noisy_BHWC: np.ndarray) -> np.ndarray:
        n_given = noisy_BHWC.shape[-1]
        if n_given == 1 and denoiser.n_channels > 1:
            noisy_BHWC = np.repeat(noisy_BHWC, denoiser.n_channels, axis=-1)
        return denoiser(noisy_BHWC)[..., :n_given]

    return Method.of(LEARNED_NAME, denoise)


def _told(path: str, fields: Sequence[Field], cases: Sequence[NoiseCase]) -> list[Scores]:
    """The model told the noise, in the cases where it can be; nothing where it cannot be told."""
    from pipelines.model_folder import find_denoiser

    method = told_method(TOLD_NAME, find_denoiser(path))
    told = [case for case in cases if case in TOLD_CASES]
    return evaluate([method], fields, told) if method is not None and told else []


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench_denoise.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--model",
        default="generic",
        metavar="DIR",
        help="a trained model, as for platewise denoise; none: filters alone (default: generic)",
    )
    parser.add_argument(
        "--fields", type=int, default=8, metavar="N", help="simulated fields (default: 8)"
    )
    parser.add_argument(
        "--size",
        type=int,
        default=256,
        metavar="PX",
        help="side of the square from the middle of each field; 0: all of it (default: 256)",
    )
    parser.add_argument(
        "--screen",
        choices=("full", "demo"),
        default="full",
        help="simulated screen: full (512 px sites) or the demo's (64 px) (default: full)",
    )
    parser.add_argument(
        "--sets",
        nargs="+",
        choices=("simulated", "rxrx1", "pairs"),
        default=("simulated", "rxrx1", "pairs"),
        help="which fields to measure on (default: all)",
    )
    parser.add_argument(
        "--case", default="", metavar="NAME", help="only cases whose name begins so (default: all)"
    )
    parser.add_argument(
        "--told", action="store_true", help="rows for filters that are told the noise, too"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
