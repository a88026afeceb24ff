"""The trainer's feed against rxrx1-utils' records, one core, from files to what a device gets.

Peer: GZIP TFRecords of interleaved (H, W, C) raw pixels, read by its own ``input_fn``
(github.com/recursionpharma/rxrx1-utils, ``rxrx/input.py``) in today's tf.data: parse, decode,
normalise with global statistics, convert to bfloat16, group. Ours hands over uint8 planes of
one plate with their centre and scale: the device normalises. A second row, without a demand,
stops the peer at uint8 too; what is left then is inflating alone, and shorter streams.

Counted in sites per second of processor time, which neighbours on the machine do not change;
the first minibatch (building the pipeline, opening files) is left out on both sides. Input:
the sites under PLATEWISE_REAL_DATA where it is set, else smooth images of 512 x 512 px with noise.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sites import N_CHANNELS, SIZE_PX, site_images, write_feed
from timing import BenchRow

N_PLATES = 2
SITES_PER_PLATE = 48
MINIBATCH = 8
DEMAND = 1.5


def rows(repetitions: int) -> list[BenchRow]:
    """Both comparisons, each interleaved, with the median ratio of the pairs."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with tempfile.TemporaryDirectory() as folder:
        sites = [(p, s) for p in range(N_PLATES) for s in range(SITES_PER_PLATE)]
        images = site_images()
        ours = _our_feed(Path(folder), images)
        whole, bare = _peer_feeds(Path(folder), sites, images)
        with _one_core():
            return [
                _compare("rxrx1-utils input_fn", ours, whole, repetitions, DEMAND),
                _compare("its records to uint8 only", ours, bare, repetitions, None),
            ]


def _compare(
    peer_name: str,
    ours: Callable[[], Any],
    peer: Callable[[], Any],
    repetitions: int,
    demand: float | None,
) -> BenchRow:
    for feed in (ours, peer):
        _sites_per_s(feed)
    pairs = [(_sites_per_s(ours), _sites_per_s(peer)) for _ in range(repetitions)]
    ratio = statistics.median(a / b for a, b in pairs)
    return BenchRow(
        "trainer feed, 1 core",
        peer_name,
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        "sites/s",
        ratio,
        "for information" if demand is None else f">= {demand} x",
        demand is None or ratio >= demand,
    )


def _sites_per_s(build: Callable[[], Any]) -> float:
    minibatches = iter(build())
    next(minibatches)
    start = time.process_time()
    n_minibatches = sum(1 for _ in minibatches)
    return n_minibatches * MINIBATCH / (time.process_time() - start)


def _our_feed(folder: Path, images: list[np.ndarray]) -> Callable[[], Any]:
    from trainer.config import DataConfig

    config = DataConfig(minibatch_size=MINIBATCH, shuffle_sites=SITES_PER_PLATE)
    feed = write_feed(folder, images, N_PLATES, SITES_PER_PLATE, config)
    return lambda: feed.dataset(1).with_options(_one_thread())


def _peer_feeds(
    folder: Path, sites: list, images: list[np.ndarray]
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """The peer as it is, and up to uint8."""
    import tensorflow as tf

    path = str(folder / "peer.gz")
    with tf.io.TFRecordWriter(path, "GZIP") as writer:
        for _, s in sites:
            image_HWC = images[s % len(images)].transpose(1, 2, 0)
            content = tf.train.BytesList(value=[image_HWC.tobytes()])
            label = tf.train.Feature(int64_list=tf.train.Int64List(value=[1]))
            feature = {"image": tf.train.Feature(bytes_list=content), "sirna": label}
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())
    spec = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "sirna": tf.io.FixedLenFeature([], tf.int64),
    }

    mean, deviation = np.full((2, N_CHANNELS), 20.0, np.float32)

    def parse(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        parsed = tf.io.parse_single_example(record, spec)
        image = tf.io.decode_raw(parsed["image"], tf.uint8)
        return tf.reshape(image, (SIZE_PX, SIZE_PX, N_CHANNELS)), parsed["sirna"]

    def parse_and_normalise(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image, label = parse(record)
        normalised = (tf.cast(image, tf.float32) - mean) / deviation
        return tf.image.convert_image_dtype(normalised, tf.bfloat16), label

    def build(function: Callable) -> tf.data.Dataset:
        records = tf.data.TFRecordDataset(path, "GZIP").shuffle(MINIBATCH)
        decoded = records.map(function, num_parallel_calls=tf.data.AUTOTUNE)
        grouped = decoded.batch(MINIBATCH, drop_remainder=True)
        return grouped.prefetch(tf.data.AUTOTUNE).with_options(_one_thread())

    return lambda: build(parse_and_normalise), lambda: build(parse)


def _one_thread() -> Any:
    import tensorflow as tf

    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    options.threading.max_intra_op_parallelism = 1
    return options


@contextlib.contextmanager
def _one_core() -> Iterator[None]:
    """Every thread of this process, and those it starts, on one core."""
    allowed = os.sched_getaffinity(0)

    def pin(cores: set[int]) -> None:
        for thread in Path("/proc/self/task").iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread.name), cores)

    pin({max(allowed)})
    try:
        yield
    finally:
        pin(allowed)
