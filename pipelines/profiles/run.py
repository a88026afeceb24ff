"""From the command's options to metrics."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipelines.logs import Terminal
from pipelines.profiles.table import ProfileColumns, Profiles, read_profiles
from trainer.corrections.compare import CorrectedMetrics, compare_corrections
from trainer.errors import PlatewiseError
from trainer.metrics.batch_effect import BatchEffectConfig


def measure(
    args: argparse.Namespace, corrections: Sequence[str], terminal: Terminal
) -> tuple[Profiles, list[CorrectedMetrics]]:
    """Read the table and compare the corrections."""
    config = BatchEffectConfig(
        metrics=tuple(args.metrics),
        kbet_neighbors=args.kbet_neighbors,
        lisi_neighbors=args.lisi_neighbors,
        graph_neighbors=args.graph_neighbors,
        n_permutations=args.permutations,
        seed=args.seed,
    )
    columns = ProfileColumns(
        label=args.label,
        experiment=args.experiment,
        cell_type=args.cell_type,
        plate=args.plate,
        well=args.well,
        controls=tuple(args.control),
        control_column=args.control_column,
        features=tuple(args.features),
        missing=args.missing,
    )
    profiles = read_profiles(args.profiles, columns)
    keep = ~profiles.control_N if args.without_controls else np.ones(len(profiles.label_N), bool)
    if not keep.any():
        raise PlatewiseError(f"{args.profiles}: --without-controls leaves no rows")

    def tell(name: str) -> None:
        if terminal.err.isatty():
            print(f"measuring {name} ...", file=terminal.err, flush=True)

    try:
        compared = compare_corrections(
            corrections,
            profiles.features_ND,
            profiles.label_N,
            profiles.experiment_N,
            control_N=profiles.control_N,
            config=config,
            keep_N=keep,
            on_start=tell,
            cell_type_N=profiles.cell_type_N,
            plate_N=profiles.plate_N,
            position_N=profiles.well_N,
            well_N=_wells(profiles),
        )
    except ValueError as error:
        raise PlatewiseError(f"{args.profiles}: {error}") from error
    return profiles, compared


def _wells(profiles: Profiles) -> Any:
    """Name of each row's well within its experiment; None where the table does not say."""
    if profiles.well_N is None:
        return None
    if profiles.plate_N is None:
        return profiles.well_N
    return np.char.add(np.char.add(profiles.plate_N, "\t"), profiles.well_N)


def written(profiles: Profiles, compared: Sequence[CorrectedMetrics]) -> dict[str, Any]:
    """Everything, for machines."""
    return {
        "profiles": profiles.path,
        "n_rows": len(profiles.label_N),
        "n_features": len(profiles.feature_names),
        "features": list(profiles.feature_names),
        "n_control_rows": int(profiles.control_N.sum()),
        "notes": list(profiles.notes),
        "results": [one.to_json() for one in compared],
    }
