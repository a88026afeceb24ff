"""The benchmark of denoisers: every filter and network on the same noise, the same fields.

::

    fields = simulated_fields(SimulationConfig(), n_fields=8)
    methods = [noisy_method, *classical_methods(), Method.of("ours", denoise)]
    scores = evaluate(methods, fields, ALL_CASES)
    print(table(scores), gate_table(check_gates(scores, "ours")))

``denoise`` takes raw grey levels, float32 [1, H, W, C], and returns the same.
"""

from trainer.denoising_benchmark.cases import ALL_CASES, NO_NOISE, NoiseCase
from trainer.denoising_benchmark.evaluate import (
    CAPTURED,
    CLASSICAL,
    LEARNED,
    LOF,
    NOISY,
    Denoise,
    Field,
    Method,
    Scores,
    evaluate,
    noisy_method,
)
from trainer.denoising_benchmark.fields import captured_pairs, rxrx1_fields, simulated_fields
from trainer.denoising_benchmark.gates import GateResult, check_gates
from trainer.denoising_benchmark.methods import classical_methods, noise_of
from trainer.denoising_benchmark.pure_noise import pure_noise_gate
from trainer.denoising_benchmark.summary import best_classical, gain_db, paired_bootstrap, select
from trainer.denoising_benchmark.tables import channel_table, gate_table, table
from trainer.denoising_benchmark.told import TOLD_CASES, told_method

__all__ = [
    "ALL_CASES",
    "CAPTURED",
    "CLASSICAL",
    "LEARNED",
    "LOF",
    "NOISY",
    "NO_NOISE",
    "TOLD_CASES",
    "Denoise",
    "Field",
    "GateResult",
    "Method",
    "NoiseCase",
    "Scores",
    "best_classical",
    "captured_pairs",
    "channel_table",
    "check_gates",
    "classical_methods",
    "evaluate",
    "gain_db",
    "gate_table",
    "noise_of",
    "noisy_method",
    "paired_bootstrap",
    "pure_noise_gate",
    "rxrx1_fields",
    "select",
    "simulated_fields",
    "table",
    "told_method",
]
