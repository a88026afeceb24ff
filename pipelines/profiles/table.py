"""Reads a table of well profiles: features as one matrix, names as text."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipelines.profiles.columns import nearest
from pipelines.profiles.features import feature_matrix
from pipelines.profiles.reading import names_of, read_table
from trainer.errors import PlatewiseError

MISSING = ("error", "drop-columns", "drop-rows")


@dataclass(frozen=True)
class ProfileColumns:
    """Which columns say what; None where there is none."""

    label: str
    experiment: str
    cell_type: str | None = None
    plate: str | None = None
    well: str | None = None
    #: Values that mark a control, and their column (the label's, if None).
    controls: tuple[str, ...] = ()
    control_column: str | None = None
    #: Regular expressions that the beginning of a feature's name matches; empty: found.
    features: tuple[str, ...] = ()
    #: What becomes of values that are missing: an error, or their columns or rows are left out.
    missing: str = "error"

    def named(self) -> list[tuple[str, str]]:
        """Option and column of every column of names."""
        options = {
            "--label": self.label,
            "--experiment": self.experiment,
            "--cell-type": self.cell_type,
            "--plate": self.plate,
            "--well": self.well,
            "--control-column": self.control_column,
        }
        return [(option, column) for option, column in options.items() if column is not None]


@dataclass(frozen=True)
class Profiles:
    """A table that was read."""

    path: str
    features_ND: NDArray[np.floating]
    feature_names: tuple[str, ...]
    label_N: NDArray[np.str_]
    experiment_N: NDArray[np.str_]
    control_N: NDArray[np.bool_]
    cell_type_N: NDArray[np.str_] | None = None
    plate_N: NDArray[np.str_] | None = None
    well_N: NDArray[np.str_] | None = None
    #: What a reader should know of how the table was read.
    notes: tuple[str, ...] = field(default=())


def read_profiles(path: str, columns: ProfileColumns) -> Profiles:
    """Read a CSV, TSV (both also compressed) or Parquet table.

    A column of lists, as our own predictions have for embeddings, becomes as many features.

    Raises
    ------
    PlatewiseError
        The file cannot be read, a column or a control is not there (with the nearest names), a
        name or a feature is missing.
    """
    notes: list[str] = []
    frame = read_table(path, columns.named(), notes)
    droppable = columns.missing == "drop-rows"
    named_columns = list(dict.fromkeys(column for _, column in columns.named()))
    texts = {name: names_of(frame, name, path, droppable, notes) for name in named_columns}
    whole = np.ones(len(frame), dtype=bool)
    for text in texts.values():
        whole &= ~text.isna().to_numpy()
    matrix, names = feature_matrix(frame, named_columns, columns.features, path, notes)
    bad = ~np.isfinite(matrix)
    if bad.any() and columns.missing == "error":
        column = int(np.flatnonzero(bad.any(axis=0))[0])
        raise PlatewiseError(
            f"{path}: feature {names[column]!r} has {int(bad[:, column].sum())} of {len(matrix)} "
            f"values missing or infinite, the first in row {int(bad[:, column].argmax()) + 1}; "
            f"{int(bad.any(axis=0).sum())} of {len(names)} features have such values. Leave them "
            "out: --missing drop-columns, or their rows: --missing drop-rows"
        )
    if bad.any() and columns.missing == "drop-columns":
        good = ~bad.any(axis=0)
        notes.append(f"{int((~good).sum())} features with missing values left out")
        matrix, names = matrix[:, good], [n for n, ok in zip(names, good, strict=True) if ok]
    elif bad.any():
        whole &= ~bad.any(axis=1)
    if not whole.all():
        notes.append(f"{int((~whole).sum())} of {len(whole)} rows with missing values left out")
    if not whole.any() or not names:
        raise PlatewiseError(f"{path}: nothing is left without missing values")

    def named(column: str | None) -> NDArray[np.str_] | None:
        return None if column is None else texts[column][whole].to_numpy(dtype=str)

    label, experiment = named(columns.label), named(columns.experiment)
    assert label is not None and experiment is not None
    control = _controls(named(columns.control_column or columns.label), columns, path)
    places = (named(columns.cell_type), named(columns.plate), named(columns.well))
    matrix = np.ascontiguousarray(matrix[whole])
    return Profiles(path, matrix, tuple(names), label, experiment, control, *places, tuple(notes))


def _controls(
    name_N: NDArray[np.str_] | None, columns: ProfileColumns, path: str
) -> NDArray[np.bool_]:
    assert name_N is not None
    known = np.unique(name_N).tolist()
    for value in columns.controls:
        if value not in known:
            column = columns.control_column or columns.label
            raise PlatewiseError(
                f"{path}: no row has {value!r} in column {column!r} (--control); "
                f"{nearest(value, known)}"
            )
    return np.isin(name_N, columns.controls)
