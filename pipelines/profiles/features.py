"""The features of a table of profiles as one matrix; what is left out is said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.profiles.columns import choose_features, matching, would_be_features
from trainer.errors import PlatewiseError

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 6
#: Of ``pandas.api.types.infer_dtype``: neither truth values nor dates.
_MAY_BE_NUMBERS = (
    *("string", "mixed", "mixed-integer", "mixed-integer-float"),
    *("integer", "floating", "decimal", "empty"),
)


def feature_matrix(
    frame: pd.DataFrame,
    named: Sequence[str],
    patterns: Sequence[str],
    path: str,
    notes: list[str],
) -> tuple[NDArray[np.floating], list[str]]:
    """Features [N, D], missing values NaN, and their names.

    Parameters
    ----------
    named
        Columns of names, which are never features.
    patterns
        What the names of features begin with; empty: found by convention.
    notes
        What was left out is appended.

    Raises
    ------
    PlatewiseError
        There is no feature, one holds something that is no number, or it is not clear which.
    """
    lists = [c for c in frame if isinstance(frame[c].iloc[0], list | tuple | np.ndarray)]
    numeric, others = _by_kind(frame, [*named, *lists])
    wanted_lists = [c for c in lists if c in patterns] if patterns else lists
    if len(wanted_lists) > 1:
        raise PlatewiseError(
            f"{path}: columns {', '.join(map(repr, wanted_lists))} hold lists of numbers; say "
            "which are the features: --features COLUMN"
        )
    if wanted_lists:
        left = [column for column in numeric if column not in named]
        _note(notes, left, f"numeric columns left out beside the lists of {wanted_lists[0]!r}")
        return _from_lists(frame[wanted_lists[0]], wanted_lists[0], path)
    columns = frame.columns.tolist()
    if patterns:
        candidates = matching(others, named, patterns)
    else:
        candidates = would_be_features(others, numeric, columns, named)
    frame, as_text = _parsed(frame, candidates, path, bool(patterns), notes)
    numeric = [column for column in columns if column in {*numeric, *as_text}]
    chosen, left_out = choose_features(numeric, columns, named, patterns, path)
    _note(notes, left_out, "numeric columns taken for names, not features")
    # In float64 unless all are float32: that is what the file says.
    dtype = np.float32 if all(frame.dtypes[c] == np.float32 for c in chosen) else np.float64
    return frame[chosen].to_numpy(dtype=dtype, na_value=np.nan), chosen


def _by_kind(frame: pd.DataFrame, taken: Sequence[str]) -> tuple[list[str], list[str]]:
    """Columns that are numeric, named or not, and the others that are not taken."""
    import pandas as pd

    numeric = [
        column
        for column, kind in zip(frame.columns, frame.dtypes, strict=True)
        if pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind)
    ]
    done = {*numeric, *taken}
    return numeric, [column for column in frame.columns if column not in done]


def _parsed(
    frame: pd.DataFrame, candidates: Sequence[str], path: str, asked_for: bool, notes: list[str]
) -> tuple[pd.DataFrame, list[str]]:
    """The table with numbers for numbers that are text, and the columns that were such.

    Raises
    ------
    PlatewiseError
        Most values of a column are numbers, or it is asked for, and one is none.
    """
    numbers: dict[str, pd.Series[Any]] = {}
    left_out: list[str] = []
    for column in candidates:
        parsed = _as_numbers(frame[column])
        present = frame[column].notna().to_numpy()
        odd = present & parsed.isna().to_numpy()
        if not odd.any():
            numbers[column] = parsed
        elif asked_for or 2 * odd.sum() < present.sum():
            first = int(odd.argmax())
            raise PlatewiseError(
                f"{path}: column {column!r} does not hold a number in {int(odd.sum())} of "
                f"{len(frame)} rows, the first in row {first + 1}: "
                f"{str(frame[column].iloc[first])[:40]!r}. Mend it (a cell may be empty, see "
                "--missing), or say which columns are features: --features PREFIX"
            )
        else:
            left_out.append(column)
    _note(notes, left_out, "columns that do not hold numbers left out")
    _note(notes, list(numbers), "columns of numbers written as text read as numbers")
    return (frame.assign(**numbers) if numbers else frame), list(numbers)


def _as_numbers(values: pd.Series[Any]) -> pd.Series[Any]:
    """Numbers, NaN for what is none: true and false are none, nor are dates."""
    import pandas as pd

    kind = pd.api.types.infer_dtype(values, skipna=True)
    if kind == "categorical":
        return _as_numbers(values.astype(object))
    if kind in _MAY_BE_NUMBERS:
        no_truth = values.map(lambda value: None if isinstance(value, bool) else value)
        return pd.to_numeric(no_truth, errors="coerce").astype(np.float64)
    return pd.Series(np.nan, index=values.index)


def _from_lists(
    values: pd.Series[Any], column: str, path: str
) -> tuple[NDArray[np.floating], list[str]]:
    lengths = {np.size(value) for value in values}
    if len(lengths) > 1:
        raise PlatewiseError(
            f"{path}: lists in column {column!r} have different lengths: {sorted(lengths)[:5]}"
        )
    matrix = np.stack([np.asarray(value) for value in values])
    if matrix.dtype.kind not in "fiu":
        raise PlatewiseError(f"{path}: lists in column {column!r} do not hold numbers")
    return matrix, [f"{column}[{i}]" for i in range(matrix.shape[1])]


def _note(notes: list[str], columns: Sequence[str], what: str) -> None:
    if columns:
        shown = ", ".join(columns[:_SHOWN]) + (", ..." if len(columns) > _SHOWN else "")
        notes.append(f"{len(columns)} {what}: {shown}")
