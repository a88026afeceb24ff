"""From the command's options to metrics."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.logs import Terminal
from pipelines.profiles.confounding import treatment_notes
from pipelines.profiles.scaling import scale_note, standardized
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
    if args.standardize:
        profiles = standardized(profiles)
    elif note := scale_note(profiles):
        profiles = _with_notes(profiles, [note])
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
    return _with_notes(profiles, _treatment_notes(profiles, keep, compared)), compared


def _with_notes(profiles: Profiles, notes: Sequence[str]) -> Profiles:
    return dataclasses.replace(profiles, notes=(*profiles.notes, *notes))


def _treatment_notes(
    profiles: Profiles, keep_N: NDArray[np.bool_], compared: Sequence[CorrectedMetrics]
) -> list[str]:
    plate_N = profiles.plate_N
    if plate_N is not None:  # plate 1 of two experiments is two plates
        plate_N = np.char.add(np.char.add(profiles.experiment_N, "\t"), plate_N)
    places = {
        "the well position (--well)": profiles.well_N,
        "the experiment": profiles.experiment_N,
        "the plate (--plate)": plate_N,
    }
    kept = {what: None if p is None else p[keep_N] for what, p in places.items()}
    cell_type_N = None if profiles.cell_type_N is None else profiles.cell_type_N[keep_N]
    return treatment_notes(compared, profiles.label_N[keep_N], kept, cell_type_N)


def _wells(profiles: Profiles) -> Any:
    """Name of each row's well within its experiment; None where the table does not say."""
    if profiles.well_N is None:
        return None
    if profiles.plate_N is None:
        return profiles.well_N
    return np.char.add(np.char.add(profiles.plate_N, "\t"), profiles.well_N)
