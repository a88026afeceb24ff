"""PNG rows as they are stored to grey levels: each row's filter undone.

Where the kernels were not compiled, libpng does the same in about three times as long.
"""

from __future__ import annotations

import ctypes
import struct

import numpy as np
import numpy.typing as npt

from components.plate_example_gen import kernels, png


def undo_filters(rows_CHX: list[npt.NDArray[np.uint8]], out_CHW: npt.NDArray[np.uint8]) -> None:
    """Grey levels of several images of one size from what :func:`png.read_rows` gave.

    Parameters
    ----------
    rows_CHX
        Rows of each image, [1 + W] bytes each: the row's filter, then its bytes.
    out_CHW
        Where to put the grey levels.
    """
    if kernels.compiled() is None:
        undo_with_libpng(rows_CHX, out_CHW)
    else:
        undo_with_compiled(rows_CHX, out_CHW)


def undo_with_compiled(
    rows_CHX: list[npt.NDArray[np.uint8]], out_CHW: npt.NDArray[np.uint8]
) -> None:
    """:func:`undo_filters` in C, all images at once.

    Raises
    ------
    MemoryError
        No memory for a single row.
    """
    library = kernels.compiled()
    n_images, height, width = out_CHW.shape
    assert library is not None
    assert len(rows_CHX) == n_images and out_CHW.flags.c_contiguous
    assert all(rows.shape == (height, 1 + width) for rows in rows_CHX)
    sources = [np.ascontiguousarray(rows, np.uint8) for rows in rows_CHX]
    addresses = ctypes.c_void_p * n_images
    code = library.platewise_undo_filters(
        addresses(*(rows.ctypes.data for rows in sources)),
        n_images,
        height,
        width,
        addresses(*(grey.ctypes.data for grey in out_CHW)),
    )
    if code:
        raise MemoryError(f"no memory for a row of {width} pixels")


def undo_with_libpng(rows_CHX: list[npt.NDArray[np.uint8]], out_CHW: npt.NDArray[np.uint8]) -> None:
    """:func:`undo_filters` without a compiler.

    Undoing a Paeth filter is a chain from pixel to pixel, so one grey image cannot be done in
    parallel. But a filter never mixes the bytes of a pixel: images whose rows have the same
    filters are laid side by side as the colours of one image, which libpng does at once, in a
    quarter of the time.
    """
    groups: dict[bytes, list[int]] = {}
    for index, rows_HX in enumerate(rows_CHX):
        groups.setdefault(rows_HX[:, 0].tobytes(), []).append(index)
    for group in groups.values():
        while group:
            n = len(group)
            take = 4 if n in (4, 5) or n > 6 else min(n, 3)
            _undo_together([rows_CHX[i] for i in group[:take]], out_CHW, group[:take])
            del group[:take]


def _undo_together(
    rows_CHX: list[npt.NDArray[np.uint8]], out_CHW: npt.NDArray[np.uint8], where: list[int]
) -> None:
    """Up to four images whose rows have the same filters, as one stored PNG."""
    import imagecodecs

    height, width = rows_CHX[0].shape[0], rows_CHX[0].shape[1] - 1
    if len(where) == 1:
        imagecodecs.png_decode(_stored(rows_CHX[0], height, width, 0), out=out_CHW[where[0]])
        return
    colours = max(len(where), 3)  # libpng is slow with two
    rows_HX = np.zeros((height, 1 + width * colours), np.uint8)
    rows_HX[:, 0] = rows_CHX[0][:, 0]
    lanes_HWC = rows_HX[:, 1:].reshape(height, width, colours)
    for lane, source_HX in enumerate(rows_CHX):
        lanes_HWC[..., lane] = source_HX[:, 1:]
    decoded_HWC = imagecodecs.png_decode(_stored(rows_HX, height, width, 2 if colours == 3 else 6))
    for lane, index in enumerate(where):
        out_CHW[index] = decoded_HWC[..., lane]


def _stored(rows_HX: npt.NDArray[np.uint8], height: int, width: int, colour: int) -> bytes:
    """An uncompressed PNG of these rows."""
    import imagecodecs

    crc32 = imagecodecs.deflate_crc32
    header = struct.pack(">4sIIBBBBB", b"IHDR", width, height, 8, colour, 0, 0, 0)
    # The stub asks for bytes; any contiguous buffer does, without a copy.
    data = imagecodecs.deflate_encode(rows_HX, 0, raw=False)  # type: ignore[arg-type]
    return b"".join(
        (
            png.SIGNATURE,
            struct.pack(">I", 13),
            header,
            struct.pack(">II", crc32(header), len(data)),
            b"IDAT",
            data,
            struct.pack(">I", crc32(data, crc32(b"IDAT"))),
            png.END_CHUNK,
        )
    )
