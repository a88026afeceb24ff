"""Reads a table of well profiles: features as one matrix, names as text."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.profiles.columns import choose_features, nearest, require_columns
from trainer.errors import PlatewiseError

if TYPE_CHECKING:
    import pandas as pd

_SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
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
    frame = _read(path, columns)
    notes: list[str] = []
    texts = {column: _text(frame, column, path, columns) for _, column in columns.named()}
    whole = np.ones(len(frame), dtype=bool)
    for text in texts.values():
        whole &= ~text.isna().to_numpy()
    matrix, names = _features(frame, path, columns, notes)
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


def _read(path: str, columns: ProfileColumns) -> pd.DataFrame:
    import pandas as pd

    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    kind = next((s for s in reversed(suffixes) if s in (".parquet", ".pq", *_SEPARATORS)), None)
    if kind is None:
        raise PlatewiseError(f"{path}: profiles are read from .csv, .tsv (also .gz) and .parquet")
    if not Path(path).is_file():
        raise PlatewiseError(f"{path} is not there")
    try:
        if kind in _SEPARATORS:
            separator = _SEPARATORS[kind]
            header = pd.read_csv(path, sep=separator, nrows=0).columns.astype(str).tolist()
            require_columns(columns.named(), header, path)
            as_text = {column: str for _, column in columns.named()}  # plate 01 stays 01
            frame = pd.read_csv(path, sep=separator, dtype=as_text, low_memory=False)
        else:
            frame = pd.read_parquet(path)
            frame.columns = frame.columns.astype(str)
            require_columns(columns.named(), frame.columns.tolist(), path)
    except PlatewiseError:
        raise
    except Exception as error:  # pandas and pyarrow raise a dozen kinds
        raise PlatewiseError(f"{path} cannot be read as {kind[1:]}: {error}") from error
    if frame.empty:
        raise PlatewiseError(f"{path} has no rows")
    return frame


def _text(frame: pd.DataFrame, column: str, path: str, columns: ProfileColumns) -> pd.Series[Any]:
    import pandas as pd

    values = frame[column]
    if values.map(lambda value: isinstance(value, bytes)).any():
        values = values.map(lambda v: v.decode() if isinstance(v, bytes) else v)
    missing = values.isna()
    if missing.any() and columns.missing != "drop-rows":
        raise PlatewiseError(
            f"{path}: column {column!r} is empty in {int(missing.sum())} of {len(frame)} rows, the "
            f"first in row {int(missing.to_numpy().argmax()) + 1}; fill it in, or leave such rows "
            "out: --missing drop-rows"
        )
    if pd.api.types.is_float_dtype(values) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")  # 250.0 is siRNA 250
    return values.astype("string")


def _features(
    frame: pd.DataFrame, path: str, columns: ProfileColumns, notes: list[str]
) -> tuple[NDArray[np.floating], list[str]]:
    import pandas as pd

    lists = [c for c in frame if isinstance(frame[c].iloc[0], list | tuple | np.ndarray)]
    named = {column for _, column in columns.named()}
    if columns.features:
        lists = [c for c in lists if c in columns.features]
    if len(lists) == 1:
        return _from_lists(frame[lists[0]], lists[0], path)
    kinds = frame.dtypes
    numeric = [
        column
        for column in frame
        if pd.api.types.is_numeric_dtype(kinds[column])
        and not pd.api.types.is_bool_dtype(kinds[column])
    ]
    all_columns = frame.columns.tolist()
    chosen, left_out = choose_features(numeric, all_columns, named, columns.features, path)
    if left_out:
        shown = ", ".join(left_out[:6]) + (", ..." if len(left_out) > 6 else "")
        notes.append(f"{len(left_out)} numeric columns taken for names, not features: {shown}")
    # In float64 unless all are float32: that is what the file says.
    dtype = np.float32 if all(kinds[c] == np.float32 for c in chosen) else np.float64
    return frame[chosen].to_numpy(dtype=dtype, na_value=np.nan), chosen


def _from_lists(
    values: pd.Series[Any], column: str, path: str
) -> tuple[NDArray[np.floating], list[str]]:
    lengths = {np.size(value) for value in values}
    if len(lengths) > 1:
        raise PlatewiseError(
            f"{path}: lists in column {column!r} have different lengths: {sorted(lengths)[:5]}"
        )
    matrix = np.stack([np.asarray(value) for value in values])
    return matrix, [f"{column}[{i}]" for i in range(matrix.shape[1])]


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
