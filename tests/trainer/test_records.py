"""One site as one record, and the framing of a TFRecord file."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer import records, schema
from trainer.records import RecordError, SiteIdentity

SITE = SiteIdentity("HUVEC-01", "HUVEC-01_1", "B02", 2, "HUVEC", schema.WELL_TREATMENT, "sirna_7")


def pixels(seed: int, shape: tuple[int, int, int] = (6, 16, 20)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@settings(max_examples=30, deadline=None)
@given(
    names=st.tuples(*[st.text(max_size=12)] * 6),
    number=st.integers(0, 2**40),
    shape=st.tuples(st.integers(1, 7), st.integers(1, 9), st.integers(1, 9)),
    seed=st.integers(0, 2**32 - 1),
)
def test_round_trip(names, number, shape, seed):
    experiment, plate, well, cell_type, well_type, treatment = names
    site = SiteIdentity(experiment, plate, well, number, cell_type, well_type, treatment)
    image_CHW = pixels(seed, shape)
    back, back_CHW, histogram_CQ = records.decode_site(records.encode_site(site, image_CHW))
    assert back == site
    np.testing.assert_array_equal(back_CHW, image_CHW)
    for channel, counts in zip(image_CHW, histogram_CQ, strict=True):
        expected, _ = np.histogram(channel, np.arange(257))
        np.testing.assert_array_equal(counts, expected)


@pytest.mark.parametrize("shape", [(2, 400, 401), (3, 511, 513), (1, 8, 8)])
def test_histogram_of_every_size(shape):
    image_CHW = pixels(3, shape)
    expected = [np.histogram(channel, np.arange(257))[0] for channel in image_CHW]
    np.testing.assert_array_equal(records.histogram(image_CHW), expected)


def test_same_input_same_bytes():
    assert records.encode_site(SITE, pixels(1)) == records.encode_site(SITE, pixels(1))


def test_plain_tensorflow_ops_read_it():
    image_CHW = pixels(2)
    serialized = records.encode_site(SITE, image_CHW)
    features = tf.io.parse_single_example(serialized, schema.raw_feature_spec(6))
    raw = tf.io.decode_compressed(features[schema.PIXELS], "ZLIB")
    decoded = tf.reshape(tf.io.decode_raw(raw, tf.uint8), image_CHW.shape)
    np.testing.assert_array_equal(decoded, image_CHW)
    assert features[schema.SITE_ID] == b"HUVEC-01_1_B02_2"
    assert features[schema.WELL_ID] == b"HUVEC-01_1_B02"
    assert int(features[schema.HEIGHT]) == 16
    assert int(features[schema.WIDTH]) == 20
    assert set(features) == set(schema.raw_feature_spec())


def test_a_ready_stream_is_taken_as_it_is():
    image_CHW = pixels(4)
    stream = zlib.compress(image_CHW.tobytes(), 1)
    example = tf.train.Example.FromString(records.encode_site(SITE, image_CHW, stream))
    assert example.features.feature[schema.PIXELS].bytes_list.value[0] == stream


@pytest.mark.parametrize("bad", [pixels(0).astype(np.uint16), pixels(0)[0]])
def test_other_pixels_are_refused(bad):
    with pytest.raises(RecordError, match=r"HUVEC-01_1_B02_2 must be uint8 \[C, H, W\]"):
        records.encode_site(SITE, bad)


def test_what_is_not_a_record_is_refused():
    with pytest.raises(RecordError, match="not a record of one site"):
        records.decode_site(b"\xff\xff\xff")
    with pytest.raises(RecordError, match="not a record of one site"):
        records.decode_site(tf.train.Example().SerializeToString())


def test_tensorflow_reads_our_frames(tmp_path):
    written = [b"", b"a", records.encode_site(SITE, pixels(5))]
    path = tmp_path / "x.tfrecord"
    path.write_bytes(b"".join(records.frame(record) for record in written))
    assert [r.numpy() for r in tf.data.TFRecordDataset(str(path))] == written


def test_we_read_tensorflows_frames(tmp_path):
    path = str(tmp_path / "x.tfrecord")
    written = [b"one", b"", b"three" * 1000]
    with tf.io.TFRecordWriter(path) as writer:
        for record in written:
            writer.write(record)
    with open(path, "rb") as stream:
        assert list(records.read_frames(stream)) == written


@pytest.mark.parametrize("change", ["cut in header", "cut in record", "flipped bit"])
def test_damaged_frames_are_told(change):
    framed = records.frame(b"first") + records.frame(b"second" * 10)
    if change == "cut in header":
        framed = framed[: len(records.frame(b"first")) + 5]
    elif change == "cut in record":
        framed = framed[:-9]
    else:
        framed = framed[:-9] + bytes([framed[-9] ^ 1]) + framed[-8:]
    with pytest.raises(RecordError, match=r"x: (cut or )?damaged record.* at byte 21"):
        list(records.read_frames(io.BytesIO(framed), "x"))
