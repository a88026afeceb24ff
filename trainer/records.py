"""One site as one tf.train.Example, and the framing of a TFRecord file.

Pixels are stored channel-planar (C, H, W) in one zlib stream, which plain TensorFlow ops
read back (``tf.io.decode_compressed(..., "ZLIB")``, ``tf.io.decode_raw``). The histogram
beside them is a sufficient statistic for every per-plate normaliser of an 8-bit image.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt

from trainer import schema
from trainer.errors import PlatewiseError

#: zlib level of :func:`encode_site` where the caller brings no encoder of its own.
ZLIB_LEVEL = 6
_CRC_MASK_DELTA = 0xA282EAD8


class RecordError(PlatewiseError):
    """A record or a TFRecord file that is not what was written."""


@dataclass(frozen=True)
class SiteIdentity:
    """Who a site is: everything about it but its pixels."""

    experiment: str
    #: Global name, such as ``HUVEC-01_1``.
    plate_id: str
    well: str
    site: int
    cell_type: str
    well_type: str
    #: siRNA name or number as text; empty where unknown.
    treatment: str = ""

    @property
    def well_id(self) -> str:
        """Global name of the well, such as ``HUVEC-01_1_B02``."""
        return f"{self.plate_id}_{self.well}"

    @property
    def site_id(self) -> str:
        """Global name of the site, such as ``HUVEC-01_1_B02_1``."""
        return f"{self.plate_id}_{self.well}_{self.site}"


def histogram(pixels_CHW: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Grey-level counts of each channel, [C, 256]; each row sums to H * W."""
    return np.stack([_counts(channel.ravel()) for channel in pixels_CHW]).astype(np.int64)


def _counts(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    levels = schema.GREY_LEVELS
    if grey.size % 2 or grey.size < 1 << 17:
        return np.bincount(grey, minlength=levels)
    # Counting pairs of pixels and folding the counts halves the work on a large image.
    pairs_QQ = np.bincount(grey.view(np.uint16), minlength=levels**2).reshape(levels, levels)
    return cast("npt.NDArray[np.int64]", pairs_QQ.sum(axis=0) + pairs_QQ.sum(axis=1))


def encode_site(
    identity: SiteIdentity,
    pixels_CHW: npt.NDArray[np.uint8],
    compressed: bytes | None = None,
    histogram_CQ: npt.NDArray[np.int64] | None = None,
) -> bytes:
    """Serialise one site; the same input always gives the same bytes.

    Parameters
    ----------
    identity
        Who the site is.
    pixels_CHW
        Raw grey levels 0..255, channel-planar.
    compressed
        The zlib stream of ``pixels_CHW`` where the caller has made it already.
    histogram_CQ
        The counts of :func:`histogram` where the caller has made them already.

    Raises
    ------
    RecordError
        Pixels that are not uint8 [C, H, W].
    """
    import tensorflow as tf

    if pixels_CHW.dtype != np.uint8 or pixels_CHW.ndim != 3:
        raise RecordError(
            f"pixels of {identity.site_id} must be uint8 [C, H, W]; "
            f"got {pixels_CHW.dtype} {list(pixels_CHW.shape)}"
        )
    if compressed is None:
        compressed = zlib.compress(pixels_CHW.tobytes(), ZLIB_LEVEL)
    if histogram_CQ is None:
        histogram_CQ = histogram(pixels_CHW)
    texts = {
        schema.SITE_ID: identity.site_id,
        schema.WELL_ID: identity.well_id,
        schema.EXPERIMENT: identity.experiment,
        schema.PLATE_ID: identity.plate_id,
        schema.WELL: identity.well,
        schema.CELL_TYPE: identity.cell_type,
        schema.WELL_TYPE: identity.well_type,
        schema.TREATMENT: identity.treatment,
    }
    example = tf.train.Example()
    feature = example.features.feature
    for key, text in texts.items():
        feature[key].bytes_list.value.append(text.encode())
    feature[schema.PIXELS].bytes_list.value.append(compressed)
    feature[schema.SITE].int64_list.value.append(identity.site)
    feature[schema.HEIGHT].int64_list.value.append(pixels_CHW.shape[1])
    feature[schema.WIDTH].int64_list.value.append(pixels_CHW.shape[2])
    feature[schema.HISTOGRAM].int64_list.value.extend(histogram_CQ.ravel().tolist())
    return bytes(example.SerializeToString(deterministic=True))


def decode_site(
    serialized: bytes,
) -> tuple[SiteIdentity, npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Inverse of :func:`encode_site`: identity, pixels_CHW and histogram_CQ.

    Raises
    ------
    RecordError
        Not such a record, or pixels that do not fit its own height and width.
    """
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        feature = tf.train.Example.FromString(serialized).features.feature
        text = {
            key: feature[key].bytes_list.value[0].decode()
            for key in schema.BYTES_KEYS
            if key != schema.PIXELS
        }
        number = {key: int(feature[key].int64_list.value[0]) for key in schema.INT_KEYS}
        counts = np.array(feature[schema.HISTOGRAM].int64_list.value, np.int64)
        raw = zlib.decompress(feature[schema.PIXELS].bytes_list.value[0])
        shape = (-1, number[schema.HEIGHT], number[schema.WIDTH])
        pixels_CHW = np.frombuffer(raw, np.uint8).reshape(shape)
        histogram_CQ = counts.reshape(len(pixels_CHW), schema.GREY_LEVELS)
    except (DecodeError, IndexError, ValueError, zlib.error) as error:
        raise RecordError(f"not a record of one site ({error}); write its shard again") from None
    identity = SiteIdentity(
        experiment=text[schema.EXPERIMENT],
        plate_id=text[schema.PLATE_ID],
        well=text[schema.WELL],
        site=number[schema.SITE],
        cell_type=text[schema.CELL_TYPE],
        well_type=text[schema.WELL_TYPE],
        treatment=text[schema.TREATMENT],
    )
    return identity, pixels_CHW, histogram_CQ


def frame(record: bytes) -> bytes:
    """A record as it stands in a TFRecord file: length, its crc, the record, its crc."""
    length = struct.pack("<Q", len(record))
    return b"".join((length, _masked_crc(length), record, _masked_crc(record)))


def read_frames(stream: BinaryIO, where: str = "TFRecord file") -> Iterator[bytes]:
    """Records of a TFRecord file, one at a time, their checksums checked.

    Raises
    ------
    RecordError
        A record that was cut or changed, with its position.
    """
    position = 0
    while header := stream.read(12):
        if len(header) < 12 or _masked_crc(header[:8]) != header[8:]:
            raise RecordError(f"{where}: damaged record length at byte {position}")
        (length,) = struct.unpack("<Q", header[:8])
        record, crc = stream.read(length), stream.read(4)
        if len(record) < length or _masked_crc(record) != crc:
            raise RecordError(f"{where}: cut or damaged record at byte {position}")
        position += 16 + length
        yield record


def _masked_crc(data: bytes) -> bytes:
    """TFRecord's checksum: crc32c, rotated and shifted (tensorflow/core/lib/hash/crc32c.h)."""
    import google_crc32c

    crc = google_crc32c.value(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + _CRC_MASK_DELTA) & 0xFFFFFFFF)
