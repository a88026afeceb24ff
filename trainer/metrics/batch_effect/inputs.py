"""What every batch-effect metric asks of its input, and names turned into codes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Up to so many rows everything is computed in float64, beyond in float32: half the memory and
#: twice the speed, at distances that are right to six digits.
MAX_ROWS_FLOAT64 = 16_384


def checked_embedding(
    embedding_ND: ArrayLike, column_names: Sequence[str] | None = None
) -> NDArray[np.floating]:
    """The embedding as float32 or float64 [N, D], every value finite.

    Raises
    ------
    ValueError
        Not two-dimensional, empty, or a value that is not a finite number; the message names
        its row and column.
    """
    embedding = np.asarray(embedding_ND)
    if embedding.ndim != 2 or 0 in embedding.shape:
        raise ValueError(f"an embedding must be [rows, dimensions]; got shape {embedding.shape}")
    if embedding.dtype.kind not in "fiub":
        raise ValueError(f"an embedding must hold numbers; got {embedding.dtype}")
    if embedding.dtype not in (np.float32, np.float64):
        embedding = embedding.astype(np.float64)
    bad_columns = np.flatnonzero(~np.isfinite(embedding.sum(axis=0, dtype=np.float64)))
    for column in bad_columns:  # a sum may overflow where no value does
        rows = np.flatnonzero(~np.isfinite(embedding[:, column]))
        if rows.size:
            name = repr(column_names[int(column)]) if column_names is not None else str(column)
            raise ValueError(
                f"column {name} has {rows.size} of {len(embedding)} values that are not finite "
                f"numbers, the first in row {rows[0]}: {embedding[rows[0], column]}; "
                "drop the column or these rows"
            )
    return embedding


def codes(name_N: ArrayLike, n_rows: int, what: str) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """Integer code of every row [N] and the sorted names that the codes stand for.

    Raises
    ------
    ValueError
        Another number of names than rows.
    """
    name = np.asarray(name_N).astype(str)
    if name.shape != (n_rows,):
        raise ValueError(f"{what} must name each of the {n_rows} rows; got shape {name.shape}")
    names, code = np.unique(name, return_inverse=True)
    return code.astype(np.int64), names


def working(embedding_ND: NDArray[np.floating]) -> NDArray[np.floating]:
    """The embedding in the precision that its number of rows allows."""
    dtype = np.float64 if len(embedding_ND) <= MAX_ROWS_FLOAT64 else np.float32
    return np.ascontiguousarray(embedding_ND, dtype=dtype)
