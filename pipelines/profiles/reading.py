"""Reads the file of a table of profiles; names stay the text that they are."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.profiles.columns import require_columns
from trainer.errors import PlatewiseError

if TYPE_CHECKING:
    import pandas as pd

_SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
_SEPARATOR_NAMES = {",": "commas", "\t": "tabs", ";": "semicolons"}
#: What pandas takes for missing (``pandas.read_csv``, na_values): so it is in a feature, but in a
#: column of names "NA" or "None" is a name.
MISSING_WORDS = (
    *("#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
)
#: Rows that are looked at to tell whether 1,5 is a number.
_ROWS_LOOKED_AT = 20


def read_table(path: str, named: Sequence[tuple[str, str]], notes: list[str]) -> pd.DataFrame:
    """The table as it stands, its columns of names as text where the file does not say.

    Parameters
    ----------
    named
        Option and column of every column of names.
    notes
        What a reader should know is appended.

    Raises
    ------
    PlatewiseError
        The file is not there or cannot be read, has no rows, or lacks a named column.
    """
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    kind = next((s for s in reversed(suffixes) if s in (".parquet", ".pq", *_SEPARATORS)), None)
    if kind is None:
        raise PlatewiseError(f"{path}: profiles are read from .csv, .tsv (also .gz) and .parquet")
    if not Path(path).is_file():
        raise PlatewiseError(f"{path} is not there")
    try:
        if kind in _SEPARATORS:
            frame = _read_text_file(path, _SEPARATORS[kind], named, notes)
        else:
            frame = _read_parquet(path, named)
    except PlatewiseError:
        raise
    except Exception as error:  # pandas and pyarrow raise a dozen kinds
        raise PlatewiseError(f"{path} cannot be read as {kind[1:]}: {error}") from error
    if frame.empty:
        raise PlatewiseError(f"{path} has no rows")
    return frame


def _read_text_file(
    path: str, expected: str, named: Sequence[tuple[str, str]], notes: list[str]
) -> pd.DataFrame:
    import pandas as pd

    separator, header = _separator(path, expected, named)
    require_columns(named, header, path)
    decimal = _decimal(path, separator)
    if separator != expected or decimal == ",":
        marks = _SEPARATOR_NAMES[separator] + (" with decimal commas" if decimal == "," else "")
        notes.append(f"the file is separated by {marks}, and was read so")
    names = {column for _, column in named}
    with warnings.catch_warnings():
        # More values in a row than columns in the header.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return pd.read_csv(
            path,
            sep=separator,
            decimal=decimal,
            dtype=dict.fromkeys(names, str),  # plate 01 stays 01
            keep_default_na=False,
            na_values={column: ["", *MISSING_WORDS] for column in header if column not in names},
            low_memory=False,
            index_col=False,  # rows that end in a separator would move one column to the left
        )


def _separator(path: str, expected: str, named: Sequence[tuple[str, str]]) -> tuple[str, list[str]]:
    """What separates the columns, and their names: most of those asked for, then most of all."""
    import pandas as pd

    def header(separator: str) -> list[str]:
        return pd.read_csv(path, sep=separator, nrows=0).columns.astype(str).tolist()

    wanted = {column for _, column in named}
    found = {expected: header(expected)}
    if not wanted <= set(found[expected]):
        found |= {other: header(other) for other in _SEPARATOR_NAMES if other != expected}
    best = max(found, key=lambda mark: (len(wanted & set(found[mark])), len(found[mark])))
    return best, found[best]


def _decimal(path: str, separator: str) -> str:
    """A comma where most fractions have one (Excel in Europe), else a point."""
    import pandas as pd

    if separator == ",":
        return "."
    head = pd.read_csv(path, sep=separator, dtype=str, nrows=_ROWS_LOOKED_AT).stack()
    with_comma, with_point = (
        head.str.fullmatch(rf"[-+]?\d+{mark}\d+([eE][-+]?\d+)?").sum() for mark in (",", r"\.")
    )
    return "," if with_comma > with_point else "."


def _read_parquet(path: str, named: Sequence[tuple[str, str]]) -> pd.DataFrame:
    import pandas as pd

    frame = pd.read_parquet(path)
    frame.columns = frame.columns.astype(str)
    # pandas writes a table's index beside its columns; what is not asked for is no feature.
    wanted = {column for _, column in named} - set(frame.columns)
    index = frame.index
    levels = {str(name): index.get_level_values(i) for i, name in enumerate(index.names)}
    frame = frame.reset_index(drop=True)
    for name in sorted(wanted & set(levels)):
        frame[name] = levels[name]
    require_columns(named, frame.columns.tolist(), path)
    return frame


def names_of(
    frame: pd.DataFrame, column: str, path: str, may_be_empty: bool, notes: list[str]
) -> pd.Series[Any]:
    """A column of names as text, missing where it is empty.

    Raises
    ------
    PlatewiseError
        A cell is empty and ``may_be_empty`` is not set.
    """
    import pandas as pd

    values = frame[column]
    if values.map(lambda value: isinstance(value, bytes)).any():
        values = values.map(lambda v: v.decode() if isinstance(v, bytes) else v)
    if pd.api.types.is_float_dtype(values) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")  # 250.0 is siRNA 250
    text = values.astype("string")
    missing = text.isna() | text.str.strip().eq("").fillna(True).astype(bool)
    if missing.any() and not may_be_empty:
        raise PlatewiseError(
            f"{path}: column {column!r} is empty in {int(missing.sum())} of {len(frame)} rows, the "
            f"first in row {int(missing.to_numpy().argmax()) + 1}; fill it in, or leave such rows "
            "out: --missing drop-rows"
        )
    for word, count in text[text.isin(MISSING_WORDS)].value_counts().sort_index().items():
        notes.append(
            f"{word!r} in {count} rows of column {column!r} is read as a name; where nothing is "
            "known, leave the cell empty"
        )
    return text.mask(missing)
