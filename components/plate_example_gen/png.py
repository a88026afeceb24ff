"""PNG bytes to grey levels, strictly.

Common decoders cast 16 bits to 8, turn colour into grey, read a JPEG named .png and fill
what a cut file lacks with zeros, all in silence. So the header is looked at before anything
is decoded, and every chunk's checksum with it. Source: the PNG specification, third
edition, W3C 2025, sections 5 and 11.2.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Signature and IHDR chunk: all that has to be read to know an image's size.
HEADER_BYTES = 33
_LAST_FILTER = 4  # Paeth
#: IEND, with which every PNG ends.
END_CHUNK = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_COLOUR_TYPES = {0: "grey", 2: "colour", 3: "palette", 4: "grey with alpha", 6: "colour with alpha"}
_OTHER_FORMATS = {
    b"\xff\xd8\xff": "a JPEG",
    b"II*\x00": "a TIFF",
    b"MM\x00*": "a TIFF",
    b"GIF8": "a GIF",
    b"BM": "a BMP",
    b"RIFF": "a WebP",
    b"\x1f\x8b": "a gzip file",
}


class PngError(ValueError):
    """Why these bytes are not an image that we take; the message is the reason alone."""


class PngHeader(NamedTuple):
    """What IHDR says."""

    height: int
    width: int


def read_header(content: bytes) -> PngHeader:
    """Size of an 8-bit grey PNG from its first 33 bytes.

    Raises
    ------
    PngError
        Not a PNG, or not 8-bit grey.
    """
    if not content:
        raise PngError("empty file")
    if not content.startswith(SIGNATURE):
        raise PngError(f"not a PNG but {_what(content)}")
    if len(content) < HEADER_BYTES:
        raise PngError(f"cut within the header, after {len(content)} bytes")
    length, kind = struct.unpack(">I4s", content[8:16])
    if kind != b"IHDR" or length != 13:
        raise PngError("its first chunk is not a header (IHDR)")
    if zlib.crc32(content[12:29]) != int.from_bytes(content[29:33], "big"):
        raise PngError("header with a wrong checksum")
    width, height, depth, colour = struct.unpack(">IIBB", content[16:26])
    if (depth, colour) != (8, 0):
        name = _COLOUR_TYPES.get(colour, f"colour type {colour}")
        raise PngError(f"{depth}-bit {name}, where 8-bit grey is needed")
    return PngHeader(height, width)


def check_size(header: PngHeader, expected: PngHeader | None, max_pixels: int) -> None:
    """Refuse a size before memory is taken for it.

    Raises
    ------
    PngError
        Larger than ``max_pixels``, or not the ``expected`` size.
    """
    if header.height * header.width > max_pixels:
        raise PngError(
            f"header claims {header.width} x {header.height} pixels, "
            f"more than the limit of {max_pixels}"
        )
    if expected is not None and header != expected:
        raise PngError(
            f"{header.width} x {header.height} pixels, "
            f"where the screen has {expected.width} x {expected.height}"
        )


def check_end(content: bytes) -> None:
    """Refuse a file that does not end as a PNG ends, without reading it all.

    Raises
    ------
    PngError
        The end is missing.
    """
    if not content.endswith(END_CHUNK):
        raise PngError("cut: its end chunk (IEND) is missing")


def read_rows(content: bytes, expected: PngHeader | None, max_pixels: int) -> npt.NDArray[np.uint8]:
    """Rows of a PNG as they are stored, [H, 1 + W]: the row's filter, then its bytes.

    Nothing about the file can be wrong after this; :func:`unfilter.undo_filters` makes grey
    levels.

    Parameters
    ----------
    content
        The whole file.
    expected
        Size that every image of the screen has; None takes any.
    max_pixels
        Refuse larger claims before memory is taken.

    Raises
    ------
    PngError
        Anything but a whole 8-bit grey PNG of the expected size.
    """
    import imagecodecs

    header = read_header(content)
    check_size(header, expected, max_pixels)
    data = _image_data(content)
    rows_HX = np.empty((header.height, 1 + header.width), np.uint8)
    try:
        if content[28]:  # interlaced: libpng undoes that, and no filter is left
            rows_HX[:, 0], rows_HX[:, 1:] = 0, imagecodecs.png_decode(content)
            return rows_HX
        found = imagecodecs.deflate_decode(data, raw=False, out=rows_HX.data.cast("B"))
    except (imagecodecs.PngError, imagecodecs.DeflateError, ValueError, RuntimeError) as error:
        raise PngError(f"cannot be decoded: {error}") from None
    if len(found) != rows_HX.size:
        raise PngError(f"cannot be decoded: {len(found)} bytes of pixels, not {rows_HX.size}")
    if rows_HX[:, 0].max() > _LAST_FILTER:
        raise PngError(f"cannot be decoded: unknown row filter {rows_HX[:, 0].max()}")
    return rows_HX


def _image_data(content: bytes) -> bytes:
    """The zlib stream of an image, every chunk of the file checked on the way.

    Raises
    ------
    PngError
        A chunk is cut or has a wrong checksum, the end chunk is missing, or a chunk makes
        pixels transparent.
    """
    from imagecodecs import deflate_crc32

    parts, position, size = [], len(SIGNATURE), len(content)
    while position + 12 <= size:
        length, kind = struct.unpack_from(">I4s", content, position)
        end = position + 12 + length
        if end > size:
            raise PngError(f"cut within a chunk, after {size} bytes")
        checksum = int.from_bytes(content[end - 4 : end], "big")
        if deflate_crc32(content[position + 4 : end - 4]) != checksum:
            name = kind.decode("latin-1") if kind.isalpha() else "unnamed"
            raise PngError(f"{name} chunk at byte {position} has a wrong checksum")
        if kind == b"IDAT":
            parts.append(content[position + 8 : end - 4])
        elif kind == b"tRNS":
            raise PngError("it has transparent pixels")
        elif kind == b"IEND":
            return b"".join(parts)
        position = end
    raise PngError("cut: its end chunk (IEND) is missing")


def _what(content: bytes) -> str:
    for start, name in _OTHER_FORMATS.items():
        if content.startswith(start):
            return name
    return f"something that starts with {content[:8].hex(' ')}"
