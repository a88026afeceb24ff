"""All batch-effect metrics on as many embeddings as RxRx1 has sites: seconds and memory.

Peer: the pairs that the metrics need, the way that fits into no memory (one distance matrix,
sorted), measured on a part of the rows and scaled to all by their square.
"""

from __future__ import annotations

import resource
import time

import numpy as np
from timing import BenchRow

N_ROWS, N_DIMENSIONS, N_LABELS, N_EXPERIMENTS = 125_510, 512, 1_139, 51
N_ROWS_PEER = 8_000
DEMAND_MINUTES, DEMAND_GB = 20.0, 4.0


def embeddings(n_rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Embedding float32 [N, D], label, experiment and cell type of each row."""
    rng = np.random.default_rng(seed)
    experiment, label = np.arange(n_rows) % N_EXPERIMENTS, rng.integers(0, N_LABELS, n_rows)
    embedding = rng.standard_normal((n_rows, N_DIMENSIONS), dtype=np.float32)
    embedding += 0.3 * rng.standard_normal((N_LABELS, N_DIMENSIONS), dtype=np.float32)[label]
    embedding += (
        0.3 * rng.standard_normal((N_EXPERIMENTS, N_DIMENSIONS), dtype=np.float32)[experiment]
    )
    cell_type = np.searchsorted([24, 35, 46], experiment, side="right")
    return embedding, label, experiment, cell_type


def rows(repetitions: int) -> list[BenchRow]:
    """Minutes of everything, once (repetitions would take hours), and memory."""
    from trainer.metrics.batch_effect import batch_effect_metrics

    embedding, label, experiment, cell_type = embeddings(N_ROWS)
    start = time.perf_counter()
    result = batch_effect_metrics(embedding, label, experiment, cell_type_N=cell_type)
    minutes = (time.perf_counter() - start) / 60
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    for row in result.rows:
        value = "-" if row.value is None else f"{row.value:.4f}"
        print(f"  {row.scope:>4} {row.metric:22} {value:>8} {row.seconds:8.1f} s  {row.note}")
    part = embedding[:N_ROWS_PEER]
    start = time.perf_counter()
    from scipy.spatial.distance import cdist

    np.sort(cdist(part, part), axis=1)
    within = sum((np.bincount(cell_type) / N_ROWS) ** 2)
    scaled = (time.perf_counter() - start) / 60 * (N_ROWS / N_ROWS_PEER) ** 2 * (1 + within)
    return [
        BenchRow(
            f"batch effect, {N_ROWS} x {N_DIMENSIONS}, {gigabytes:.1f} GB",
            "cdist + sort, scaled",
            minutes,
            scaled,
            "minutes",
            scaled / minutes,
            f"<= {DEMAND_MINUTES:g} minutes, <= {DEMAND_GB:g} GB",
            minutes <= DEMAND_MINUTES and gigabytes <= DEMAND_GB,
        )
    ]
