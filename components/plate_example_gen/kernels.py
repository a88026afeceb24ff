"""The compiled loops over pixels (``kernels.c``), and what goes on without them.

Set-up compiles them where it finds a compiler. Results are the same without, to the last bit;
ingest takes about half as long again.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.machinery
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainer import records, schema

#: The Laplacian is taken on every eighth row: exact there, and an eighth of the work.
LAPLACIAN_ROW_STEP = 8


@functools.cache
def compiled() -> ctypes.CDLL | None:
    """The compiled code beside this file, or None where set-up found no compiler."""
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = Path(__file__).with_name(f"_kernels{suffix}")
        if path.exists():
            library = ctypes.CDLL(str(path))
            address, size = ctypes.c_void_p, ctypes.c_size_t
            addresses = ctypes.POINTER(address)
            library.platewise_undo_filters.argtypes = [addresses, size, size, size, addresses]
            library.platewise_histogram.argtypes = [address, size, size, address]
            library.platewise_laplacian.argtypes = [address, *[size] * 4, address, address]
            return library
    return None


def histogram(pixels_CHW: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Grey-level counts of each channel, [C, 256], as :func:`trainer.records.histogram`."""
    library = compiled()
    if library is None:
        return records.histogram(pixels_CHW)
    pixels_CHW = np.ascontiguousarray(pixels_CHW, np.uint8)
    n_channels, height, width = pixels_CHW.shape
    counts_CQ = np.empty((n_channels, schema.GREY_LEVELS), np.int64)
    library.platewise_histogram(
        pixels_CHW.ctypes.data, n_channels, height * width, counts_CQ.ctypes.data
    )
    return counts_CQ


def laplacian_sums(
    pixels_CHW: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]:
    """Sum and sum of squares of each channel's Laplacian, [C] each, and of how many pixels.

    On every eighth row (:data:`LAPLACIAN_ROW_STEP`) from the second on, borders left out; sums
    of whole numbers, so the same on every machine. Images of at least 3 x 3 pixels.
    """
    n_channels, height, width = pixels_CHW.shape
    rows = np.arange(1, height - 1, LAPLACIAN_ROW_STEP)
    count = len(rows) * (width - 2)
    library = compiled()
    if library is not None:
        pixels_CHW = np.ascontiguousarray(pixels_CHW, np.uint8)
        sums_C, squares_C = np.empty((2, n_channels), np.int64)
        library.platewise_laplacian(
            pixels_CHW.ctypes.data,
            *(n_channels, height, width, LAPLACIAN_ROW_STEP),
            *(sums_C.ctypes.data, squares_C.ctypes.data),
        )
        return sums_C, squares_C, count
    above, here, below = (pixels_CHW[:, rows + shift].astype(np.int16) for shift in (-1, 0, 1))
    laplacian = 4 * here[..., 1:-1] - here[..., :-2] - here[..., 2:]
    laplacian -= above[..., 1:-1]
    laplacian -= below[..., 1:-1]
    flat = laplacian.reshape(n_channels, -1).astype(np.int32)
    return (
        flat.sum(axis=1, dtype=np.int64),
        np.einsum("cn,cn->c", flat, flat, dtype=np.int64),
        count,
    )
