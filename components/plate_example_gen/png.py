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
_IEND = b"\x00\x00\x00\x00IEND\xaeB`\x82"
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
    if not content.endswith(_IEND):
        raise PngError("cut: its end chunk (IEND) is missing")


def check_chunks(content: bytes) -> None:
    """Refuse a file with a cut or damaged chunk.

    Raises
    ------
    PngError
        A chunk is cut, has a wrong checksum, or the end chunk is missing.
    """
    view, position, size = memoryview(content), len(SIGNATURE), len(content)
    while position < size:
        if position + 12 > size:
            break
        length, kind = struct.unpack_from(">I4s", view, position)
        end = position + 12 + length
        if end > size:
            raise PngError(f"cut within a chunk, after {size} bytes")
        if zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            name = kind.decode("latin-1") if kind.isalpha() else "unnamed"
            raise PngError(f"{name} chunk at byte {position} has a wrong checksum")
        if kind == b"IEND":
            return
        position = end
    raise PngError("cut: its end chunk (IEND) is missing")


def decode(
    content: bytes,
    expected: PngHeader | None,
    max_pixels: int,
    out_HW: npt.NDArray[np.uint8] | None = None,
) -> npt.NDArray[np.uint8]:
    """Grey levels of a PNG, [H, W], as they are stored.

    Parameters
    ----------
    content
        The whole file.
    expected
        Size that every image of the screen has; None takes any.
    max_pixels
        Refuse larger claims before memory is taken.
    out_HW
        Where to put them, of the expected size.

    Raises
    ------
    PngError
        Anything but a whole 8-bit grey PNG of the expected size.
    """
    import imagecodecs

    header = read_header(content)
    check_size(header, expected, max_pixels)
    check_chunks(content)
    try:
        grey_HW = imagecodecs.png_decode(content, out=out_HW)
    except (imagecodecs.PngError, ValueError, RuntimeError, OverflowError) as error:
        raise PngError(f"cannot be decoded: {error}") from None
    if grey_HW.dtype != np.uint8 or grey_HW.shape != tuple(header):
        raise PngError(f"decodes to {grey_HW.dtype} {list(grey_HW.shape)}: it has transparency")
    return grey_HW


def _what(content: bytes) -> str:
    for start, name in _OTHER_FORMATS.items():
        if content.startswith(start):
            return name
    return f"something that starts with {content[:8].hex(' ')}"
