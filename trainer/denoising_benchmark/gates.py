"""What a learned denoiser must beat, and by how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trainer.denoising_benchmark.cases import (
    NO_NOISE,
    NoiseCase,
    gaussian,
    impulse,
    mixed,
    poisson,
)
from trainer.denoising_benchmark.evaluate import LOF, Scores
from trainer.denoising_benchmark.summary import (
    Difference,
    best_classical,
    gain_db,
    paired_bootstrap,
    select,
)
from trainer.schema import CHANNEL_NAMES

VST_NLM, SWITCHING, SWITCHING_VST_NLM = "vst-nlm", "switching-median", "switching+vst-nlm"
BEST_CLASSICAL, EVERY_LOF = "best classical", "every LOF filter"

#: (case, peer, decibels by which the learned denoiser must be ahead in every channel)
_GAIN_GATES: tuple[tuple[NoiseCase, str, float], ...] = (
    *(
        (gaussian(sigma, clipped), BEST_CLASSICAL, demand)
        for clipped in (False, True)
        for sigma, demand in ((10.0, 0.5), (25.0, 1.0), (50.0, 1.5))
    ),
    *((poisson(peak), VST_NLM, demand) for peak, demand in ((255, 0.5), (60, 1.0), (15, 1.5))),
    *((impulse(p), SWITCHING, demand) for p, demand in ((0.02, -0.2), (0.1, 1.0), (0.3, 2.0))),
    *((impulse(p), EVERY_LOF, 3.0) for p in (0.02, 0.1, 0.3)),
    *((mixed(clipped), SWITCHING_VST_NLM, 2.0) for clipped in (False, True)),
)
NO_NOISE_PSNR_DB = 45.0
NO_NOISE_MEAN_SHARE = 0.01
BLIND_LOSS_DB = 0.2


@dataclass(frozen=True)
class GateResult:
    """One gate's verdict, on its worst channel."""

    case: str
    test: str
    #: What was measured, in ``unit``, in the worst channel; NaN where a part was not measured.
    value: float
    low: float
    high: float
    demand: float
    unit: str
    worst_channel: str
    #: +1: the value must be at least ``demand``; -1: at most.
    sense: int = 1

    @property
    def passed(self) -> bool:
        """Whether the demand is met; what was not measured is not passed."""
        return bool(self.margin >= 0)

    @property
    def margin(self) -> float:
        """By how much the demand is exceeded (below 0: missed), in ``unit``."""
        return self.sense * (self.value - self.demand)

    @property
    def certain(self) -> bool:
        """Whether the whole interval lies on the verdict's side."""
        ends = self.sense * (np.array([self.low, self.high]) - self.demand)
        return bool((ends >= 0).all() if self.passed else (ends < 0).all())


def check_gates(scores: Sequence[Scores], method: str, told: str = "") -> list[GateResult]:
    """Every gate whose case was measured, for one method.

    The classical peer is the best one in each channel, chosen on these very fields. A gate on
    a peer that was not measured fails.

    Parameters
    ----------
    told
        Name of the same method told the noise, for the gate on blindness; empty leaves it out.
    """
    measured = {entry.case for entry in scores}
    results = [
        _gain_gate(scores, method, case.name, peer, demand)
        for case, peer, demand in _GAIN_GATES
        if case.name in measured
    ]
    if NO_NOISE.name in measured:
        results += _no_noise_gates(select(scores, NO_NOISE.name, method))
    if told:
        results += [
            _blind_gate(scores, method, told, case.name)
            for case, peer, _ in _GAIN_GATES
            if peer == BEST_CLASSICAL and case.name in measured
        ]
    return results


def _gain_gate(
    scores: Sequence[Scores], method: str, case: str, peer: str, demand: float
) -> GateResult:
    ours = select(scores, case, method)
    found: list[tuple[Difference, int]] = []
    for channel in range(ours.psnr_db_FC.shape[1]):
        for theirs in _peers(scores, case, peer, channel):
            found.append((gain_db(ours, theirs, channel), channel))
    return _worst(found, case, f"gain over {peer}", demand)


def _peers(scores: Sequence[Scores], case: str, peer: str, channel: int) -> list[Scores]:
    entries = [entry for entry in scores if entry.case == case]
    if peer == BEST_CLASSICAL:
        best = best_classical(scores, case, channel)
        return [best] if best is not None else []
    if peer == EVERY_LOF:
        return [entry for entry in entries if entry.family == LOF]
    return [entry for entry in entries if entry.method == peer]


def _worst(
    found: Sequence[tuple[Difference, int]], case: str, test: str, demand: float
) -> GateResult:
    nan = float("nan")
    if not found:
        return GateResult(case, test, nan, nan, nan, demand, "dB", "peer not measured")
    worst, channel = min(found, key=lambda entry: entry[0].value)
    return GateResult(
        case, test, worst.value, worst.low, worst.high, demand, "dB", channel_name(channel)
    )


def _no_noise_gates(ours: Scores) -> list[GateResult]:
    psnr_C = ours.psnr_db_FC.mean(axis=0)
    share_FC = np.abs(ours.bias_grey_levels_FC) / np.maximum(ours.clean_mean_FC, 1e-6)
    share_C = share_FC.mean(axis=0)
    low, high = int(psnr_C.argmin()), int(share_C.argmax())
    return [
        _plain(
            ours.case, "PSNR", psnr_C[low], ours.psnr_db_FC[:, low], NO_NOISE_PSNR_DB, "dB", low
        ),
        _plain(
            ours.case,
            "change of the mean",
            100 * share_C[high],
            100 * share_FC[:, high],
            100 * NO_NOISE_MEAN_SHARE,
            "%",
            high,
            sense=-1,
        ),
    ]


def _plain(
    case: str,
    test: str,
    value: float,
    values_F: np.ndarray,
    demand: float,
    unit: str,
    channel: int,
    sense: int = 1,
) -> GateResult:
    interval = paired_bootstrap(values_F)
    name = channel_name(channel)
    return GateResult(
        case, test, float(value), interval.low, interval.high, demand, unit, name, sense
    )


def _blind_gate(scores: Sequence[Scores], method: str, told: str, case: str) -> GateResult:
    blind = select(scores, case, method)
    informed = [entry for entry in scores if entry.case == case and entry.method == told]
    found = [
        (gain_db(blind, entry, channel), channel)
        for entry in informed
        for channel in range(blind.psnr_db_FC.shape[1])
    ]
    return _worst(found, case, "blind against told sigma", -BLIND_LOSS_DB)


def channel_name(channel: int) -> str:
    """Such as ``w1 nuclei``."""
    known = f" {CHANNEL_NAMES[channel]}" if channel < len(CHANNEL_NAMES) else ""
    return f"w{channel + 1}{known}"
