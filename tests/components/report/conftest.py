"""Prediction rows of a small screen, and the page data made from them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from components.report import data as d
from components.report import restoration, scores
from trainer import schema

N_CLASSES = 50


def prediction_rows(
    experiments: dict[str, tuple[str, float]], plates: int = 2, wells: int = 30, seed: int = 0
) -> pd.DataFrame:
    """Rows as ``collect`` gives them: two sites and the well pooled, right by chance."""
    generator = np.random.default_rng(seed)
    rows = []
    for name, (cell_type, share) in experiments.items():
        for plate in range(1, plates + 1):
            for w in range(wells):
                label = int(generator.integers(N_CLASSES))
                for level, site in (("site", 1), ("site", 2), ("well", 0)):
                    measured = level == "site" and w < 3
                    noise = generator.normal(0, 0.1, 2)
                    rows.append(
                        {
                            "split": "eval",
                            "level": level,
                            "experiment": name,
                            "plate_id": schema.plate_id(name, plate),
                            "well_id": schema.well_id(name, plate, f"B{w + 2:02d}"),
                            "site": site,
                            "cell_type": cell_type,
                            "well_type": "treatment",
                            "label": label,
                            "plate_known": 1,
                            "rank": 0 if generator.random() < share else int(label > 9) + 1,
                            "top1": label,
                            "top1_probability": float(generator.random()),
                            "psnr_noisy_db": [20.0, 22.0] if measured else [],
                            "psnr_denoised_db": list(25.0 + noise) if measured else [],
                            "ssim_noisy": [0.5, 0.6] if measured else [],
                            "ssim_denoised": [0.8, 0.9] if measured else [],
                        }
                    )
    return pd.DataFrame(rows)


@pytest.fixture
def make_rows() -> Callable[..., pd.DataFrame]:
    return prediction_rows


@pytest.fixture
def rows() -> pd.DataFrame:
    return prediction_rows(
        {"HUVEC-17": ("HUVEC", 0.6), "HUVEC-18": ("HUVEC", 0.5), "U2OS-04": ("U2OS", 0.1)}
    )


@pytest.fixture
def page_data() -> Callable[..., d.ReportData]:
    """Builds page data from rows, anything in it replaceable."""

    def build(rows: pd.DataFrame, **changes: object) -> d.ReportData:
        top = scores.headline(rows, N_CLASSES)
        channels, n_plates = restoration.restoration(rows, ("nuclei", "actin"))
        values: dict[str, object] = {
            "kind": "training",
            "headline": top,
            "experiments": scores.experiments(rows, {}, {}),
            "cell_types": scores.cell_types(rows),
            "ladder": scores.ladder(rows, top),
            "blessing": d.Blessing(False, ("below the threshold of 20 %",)),
            "restoration": d.Restoration(channels, "Poisson noise", n_plates),
            "training": d.Training(
                20, {"epoch": (1.0, 2.0), "loss": (3.0, 1.0), "accuracy": (0.1, 0.4)}
            ),
            "config": {"loop.seed": 0, "model.widths": [1, 2]},
            "versions": {"platewise": "0.1.0"},
            "run": d.RunFacts(
                "demo", "2026-01-01T00:00:00+00:00", 61.0, (d.ComponentRun("X", 2.0, "cached"),)
            ),
        }
        return d.ReportData(**(values | changes))

    return build
