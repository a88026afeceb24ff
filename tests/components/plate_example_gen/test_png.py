"""Every way in which a PNG can be wrong, and that a right one is read bit for bit."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from components.plate_example_gen import png
from components.plate_example_gen.png import PngError, PngHeader
from components.plate_example_gen.unfilter import undo_filters

LIMIT = 1 << 20
GREY_HW = np.random.default_rng(0).integers(0, 256, (40, 32), dtype=np.uint8)


def encoded(image: np.ndarray, form: str = "png", **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, form, **options)
    return stream.getvalue()


def decode(content: bytes, expected: PngHeader) -> np.ndarray:
    rows_HX = png.read_rows(content, expected, LIMIT)
    grey_1HW = np.empty((1, rows_HX.shape[0], rows_HX.shape[1] - 1), np.uint8)
    undo_filters([rows_HX], grey_1HW)
    return grey_1HW[0]


def chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def handmade(idat: bytes, *, width=32, height=40, depth=8, colour=0, extra=b"") -> bytes:
    ihdr = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", ihdr) + extra + chunk(b"IDAT", idat) + chunk(b"IEND", b"")
    return png.SIGNATURE + body


ROWS = b"".join(b"\0" + row.tobytes() for row in GREY_HW)
GOOD = encoded(GREY_HW)


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
    level=st.integers(0, 9),
)
def test_decodes_what_pillow_reads(height, width, seed, level):
    rng = np.random.default_rng(seed)
    smooth_HW = (np.cumsum(rng.integers(-3, 4, (height, width)), axis=1) + 128).astype(np.uint8)
    content = encoded(smooth_HW, compress_level=level)
    decoded_HW = decode(content, PngHeader(height, width))
    np.testing.assert_array_equal(decoded_HW, np.asarray(Image.open(io.BytesIO(content))))
    np.testing.assert_array_equal(decoded_HW, smooth_HW)


def test_interlaced_images_are_read_too():
    """Adam7, by its definition; Pillow reads it as we do."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)]
    passes += [(2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    image_HW = GREY_HW[:19, :21]
    rows = [b"\0" + row.tobytes() for y, x, dy, dx in passes for row in image_HW[y::dy, x::dx]]
    ihdr = struct.pack(">IIBBBBB", 21, 19, 8, 0, 0, 0, 1)
    content = png.SIGNATURE + chunk(b"IHDR", ihdr)
    content += chunk(b"IDAT", zlib.compress(b"".join(rows))) + chunk(b"IEND", b"")
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), image_HW)
    np.testing.assert_array_equal(decode(content, PngHeader(19, 21)), image_HW)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (encoded(GREY_HW, "jpeg"), "not a PNG but a JPEG"),
        (encoded(GREY_HW, "tiff"), "not a PNG but a TIFF"),
        (b"experiment,plate", "not a PNG but something that starts with 65 78"),
        (GOOD[:20], "cut within the header"),
        (encoded(GREY_HW.astype(np.uint16) * 257), "16-bit grey, where 8-bit grey"),
        (encoded(np.stack([GREY_HW] * 3, -1)), "8-bit colour, where 8-bit grey"),
        (encoded(GREY_HW > 9), "1-bit grey"),
        (handmade(zlib.compress(ROWS), colour=3), "8-bit palette"),
        (handmade(zlib.compress(ROWS), colour=4), "grey with alpha"),
        (encoded(GREY_HW[:20]), "32 x 20 pixels, where the screen has 32 x 40"),
        (handmade(b"", width=60000, height=60000), "claims 60000 x 60000 pixels"),
        (GOOD[:100], "cut within a chunk"),
        (GOOD[:-12], r"end chunk \(IEND\) is missing"),
        (GOOD[:-5], "cut within a chunk|end chunk"),
        (GOOD[:60] + bytes([GOOD[60] ^ 1]) + GOOD[61:], "IDAT chunk at byte 33 has a wrong"),
        (GOOD[:18] + b"\x05" + GOOD[19:], "header with a wrong checksum"),
        (handmade(zlib.compress(ROWS[: len(ROWS) // 2])), "cannot be decoded"),
        (handmade(zlib.compress(ROWS)[:-40]), "cannot be decoded"),
        (handmade(zlib.compress(ROWS)[:-4] + b"abcd"), "cannot be decoded"),
        (handmade(zlib.compress(b"\x09" + ROWS[1:])), "unknown row filter 9"),
        (handmade(zlib.compress(ROWS + ROWS)), "cannot be decoded"),
        (handmade(zlib.compress(ROWS), extra=chunk(b"tRNS", b"\0\5")), "transparent"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_its_reason(content, reason):
    with pytest.raises(PngError, match=reason):
        decode(content, PngHeader(40, 32))


@settings(max_examples=150, deadline=None)
@given(position=st.integers(0, len(GOOD) - 1), bit=st.integers(0, 7))
def test_no_flipped_bit_goes_unseen(position, bit):
    harmed = bytearray(GOOD)
    harmed[position] ^= 1 << bit
    with pytest.raises(PngError):
        decode(bytes(harmed), PngHeader(40, 32))


@settings(max_examples=60, deadline=None)
@given(length=st.integers(0, len(GOOD) - 1))
def test_no_cut_goes_unseen(length):
    with pytest.raises(PngError):
        decode(GOOD[:length], PngHeader(40, 32))


@settings(max_examples=100, deadline=None)
@given(tail=st.binary(max_size=200))
def test_no_bytes_crash_it(tail):
    with pytest.raises(PngError):
        decode(GOOD[:33] + tail, PngHeader(40, 32))


def test_looking_at_both_ends_alone():
    png.check_end(GOOD)
    with pytest.raises(PngError, match="IEND"):
        png.check_end(GOOD[:-12])
