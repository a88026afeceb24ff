"""Ingest against its peers: what a user would write, rxrx1-utils' way, TFX's stock ExampleGen.

Every way reads the same PNGs, counts grey levels and ends with readable TFRecords. What
starting costs (worker processes, a Beam pipeline) is measured on a screen of two plates with
one site each and taken off both sides. Input: the sites under PLATEWISE_REAL_DATA where it is
set, else smoothed noise of 512 x 512 px.
"""

from __future__ import annotations

import csv
import functools
import io
import json
import multiprocessing
import os
import statistics
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from timing import BenchRow, seconds

SIZE_PX = 512
N_CHANNELS = 6
WELLS_PER_PLATE = 24
HEADER = "site_id,well_id,cell_type,dataset,experiment,plate,well,site,well_type,sirna,sirna_id\n"


def rows(repetitions: int) -> list[BenchRow]:
    """All comparisons, each interleaved with its peer."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    workers = multiprocessing.get_context("fork").Pool(2)  # before TensorFlow has threads
    with tempfile.TemporaryDirectory() as folder, workers:
        full, small = Path(folder, "full"), Path(folder, "small")
        n_sites = make_screen(full, plates=4, wells=WELLS_PER_PLATE)
        make_screen(small, plates=2, wells=1, sites=1)
        ours = functools.partial(platewise, out=folder)

        def with_pool(work: Callable[[Path, str], None]) -> Callable[[Path], None]:
            return lambda screen: pool_way(workers, work, screen, folder)

        table = [
            compare("Pool + OpenCV, zlib 6", "0.9", ours, with_pool(opencv_zlib)),
            compare("Pool + OpenCV, our codec", "0.9", ours, with_pool(opencv_deflate)),
            compare("rxrx1-utils way", "8", ours, with_pool(rxrx1_utils)),
        ]
        stock = functools.partial(stock_example_gen, out=folder)
        found = [row(full, small, n_sites, repetitions) for row in table]
        with one_core():
            one = compare("TFX stock ExampleGen, 1 core", "1.8", ours, stock)
            found.append(one(full, small, n_sites, repetitions))
    return found


def compare(
    peer_name: str, demand: str, ours: Callable[[Path], None], peer: Callable[[Path], None]
) -> Callable[[Path, Path, int, int], BenchRow]:
    """A comparison in sites per second, start-up apart."""

    def run(full: Path, small: Path, n_sites: int, repetitions: int) -> BenchRow:
        start = [min(seconds(lambda way=way: way(small)) for _ in range(3)) for way in (ours, peer)]
        rates = []
        for _ in range(repetitions):
            spent = [seconds(lambda way=way: way(full)) for way in (ours, peer)]
            rates.append([n_sites / (s - fixed) for s, fixed in zip(spent, start, strict=True)])
        ratio = statistics.median(a / b for a, b in rates)
        medians = [statistics.median(column) for column in zip(*rates, strict=True)]
        return BenchRow(
            "ingest",
            peer_name,
            *medians,
            "sites/s",
            ratio,
            f">= {demand} x",
            ratio >= float(demand),
        )

    return run


def make_screen(folder: Path, plates: int, wells: int, sites: int = 2) -> int:
    """A screen in the official layout; returns its number of sites."""
    images = list(_images())
    written = []
    for plate in range(plates):
        experiment = f"HUVEC-{plate % 2 + 1:02d}"
        number, dataset = plate // 2 + 1, ("train", "test")[plate % 2]
        where = folder / "images" / experiment / f"Plate{number}"
        where.mkdir(parents=True)
        for well in (f"B{column:02d}" for column in range(2, 2 + wells)):
            for site in range(1, sites + 1):
                for channel, content in enumerate(images[len(written) % len(images)], start=1):
                    (where / f"{well}_s{site}_w{channel}.png").write_bytes(content)
                well_id = f"{experiment}_{number}_{well}"
                values = [f"{well_id}_{site}", well_id, "HUVEC", dataset, experiment, number]
                written.append([*values, well, site, "treatment", f"s{well}", 0])
    with open(folder / "metadata.csv", "w", newline="") as stream:
        stream.write(HEADER)
        csv.writer(stream).writerows(written)
    return len(written)


def _images() -> Iterator[list[bytes]]:
    """PNGs of a few sites, six channels each."""
    real = os.environ.get("PLATEWISE_REAL_DATA")
    firsts = sorted(Path(real).rglob("*_s1_w1.png")) if real else []
    for first in firsts:
        names = [first.with_name(first.name.replace("w1", f"w{c + 1}")) for c in range(N_CHANNELS)]
        yield [name.read_bytes() for name in names]
    if firsts:
        return
    import imagecodecs
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    for _ in range(6):
        planes = [
            gaussian_filter(rng.gamma(0.3, 60, (SIZE_PX, SIZE_PX)), 3)
            + rng.normal(0, 0.8, (SIZE_PX,) * 2)
            for _ in range(N_CHANNELS)
        ]
        grey = [np.clip(plane, 0, 255).astype(np.uint8) for plane in planes]
        paeth = imagecodecs.PNG.FILTER.PAETH
        yield [imagecodecs.png_encode(plane, level=9, filter=paeth) for plane in grey]


def platewise(screen: Path, out: str) -> None:
    """Our way, on Beam's local runner, with everything that it checks and writes."""
    import apache_beam as beam

    from components.plate_example_gen.config import QualityConfig, ScreenConfig, SplitConfig
    from components.plate_example_gen.ingest import Destination, ingest

    folders = Destination(*(f"{out}/ours/{name}" for name in ("examples", "quality", "schema")))
    ingest(
        ScreenConfig(str(screen)),
        SplitConfig(),
        QualityConfig(),
        folders,
        lambda: beam.Pipeline(argv=["--runner=FnApiRunner"]),
    )


def pool_way(workers: Any, work: Callable[[Path, str], None], screen: Path, out: str) -> None:
    """One task a plate, as many processes as cores."""
    plates = sorted((screen / "images").glob("*/*"))
    workers.map(functools.partial(_pool_task, work=work, out=out), plates, chunksize=1)


def _pool_task(plate: Path, work: Callable[[Path, str], None], out: str) -> None:
    work(plate, f"{out}/peer-{plate.parent.name}-{plate.name}.tfrecord")


def site_files(plate: Path) -> Iterator[tuple[str, list[Path]]]:
    """Sites of a plate folder with their channels' files."""
    for first in sorted(plate.glob("*_w1.png")):
        stem = first.name.removesuffix("_w1.png")
        yield stem, [plate / f"{stem}_w{c + 1}.png" for c in range(N_CHANNELS)]


def opencv_zlib(plate: Path, path: str) -> None:
    """What a user would write, with the zlib that comes with Python."""
    _opencv(plate, path, lambda pixels: zlib.compress(pixels.tobytes(), 6))


def opencv_deflate(plate: Path, path: str) -> None:
    """The same with the compressor and the level that we use."""
    from components.plate_example_gen.scan import compress

    _opencv(plate, path, compress)


def _opencv(plate: Path, path: str, compress: Callable[[Any], bytes]) -> None:
    import cv2
    import tensorflow as tf

    cv2.setNumThreads(1)
    total = np.zeros((N_CHANNELS, 256), np.int64)
    with tf.io.TFRecordWriter(path) as writer:
        for stem, files in site_files(plate):
            planes = [cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in files]
            assert all(p is not None and p.shape == (SIZE_PX, SIZE_PX) for p in planes)
            pixels = np.stack(planes)
            counts = np.stack([np.bincount(p.ravel(), minlength=256) for p in planes])
            total += counts
            writer.write(_example(tf, stem, compress(pixels), counts))


def rxrx1_utils(plate: Path, path: str) -> None:
    """Pillow, channels interleaved, raw bytes in a gzipped TFRecord file.

    After images2tfrecords.py of recursionpharma/rxrx1-utils, which packs every site twice
    unless told otherwise; here once. The counts are ours: the task has them in it.
    """
    import tensorflow as tf
    from PIL import Image

    with tf.io.TFRecordWriter(path, tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
        for stem, files in site_files(plate):
            planes = [np.asarray(Image.open(file)) for file in files]
            counts = np.stack([np.bincount(p.ravel(), minlength=256) for p in planes])
            pixels = np.stack(planes, axis=-1)
            writer.write(_example(tf, stem, pixels.tobytes(), counts))


def _example(tf: Any, stem: str, pixels: bytes, counts: Any) -> bytes:
    feature = {
        "site_id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[stem.encode()])),
        "pixels": tf.train.Feature(bytes_list=tf.train.BytesList(value=[pixels])),
    }
    values = tf.train.Int64List(value=counts.ravel().tolist())
    feature["histogram"] = tf.train.Feature(int64_list=values)
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return bytes(example.SerializeToString())


def stock_example_gen(screen: Path, out: str) -> None:
    """TFX's own graph (partition, shuffle, gzipped write) with the six PNGs as payload.

    The input step decodes them with OpenCV to validate and count, as ours does; storing
    decoded pixels instead makes this way four times slower still.
    """
    import apache_beam as beam
    import tensorflow as tf
    from tfx.components.example_gen import write_split
    from tfx.components.example_gen.base_example_gen_executor import BaseExampleGenExecutor
    from tfx.proto import example_gen_pb2
    from tfx.utils import proto_utils

    def read(item: tuple[str, list[Path]]) -> Any:
        import cv2

        cv2.setNumThreads(1)
        contents = [file.read_bytes() for file in item[1]]
        flag = cv2.IMREAD_UNCHANGED
        planes = [cv2.imdecode(np.frombuffer(c, np.uint8), flag) for c in contents]
        counts = np.stack([np.bincount(p.ravel(), minlength=256) for p in planes])
        example = tf.train.Example.FromString(_example(tf, item[0], b"", counts))
        example.features.feature["pixels"].bytes_list.value[:] = contents
        return example

    @beam.ptransform_fn
    def source(pipeline: Any, exec_properties: Any, split_pattern: str) -> Any:
        plates = sorted((screen / "images").glob("*/*"))
        sites = [site for plate in plates for site in site_files(plate)]
        return pipeline | beam.Create(sites) | beam.Reshuffle() | beam.Map(read)

    class Stock(BaseExampleGenExecutor):  # type: ignore[misc]
        def GetInputSourceToExamplePTransform(self) -> Any:  # noqa: N802  (TFX's name)
            return source

    split = example_gen_pb2.SplitConfig.Split
    properties = {
        "input_base": str(screen),
        "input_config": json.dumps({"splits": [{"name": "single", "pattern": "*"}]}),
        "output_config": proto_utils.proto_to_json(
            example_gen_pb2.Output(
                split_config=example_gen_pb2.SplitConfig(
                    splits=[split(name="train", hash_buckets=2), split(name="eval", hash_buckets=1)]
                )
            )
        ),
        "output_data_format": example_gen_pb2.FORMAT_TF_EXAMPLE,
    }
    executor = Stock(Stock.Context(unique_id="1"))
    with beam.Pipeline(argv=["--runner=FnApiRunner"]) as pipeline:
        for name, examples in executor.GenerateExamplesByBeam(pipeline, properties).items():
            target = f"{out}/stock/Split-{name}"
            _ = examples | f"Write{name}" >> write_split.WriteSplit(
                target, example_gen_pb2.FILE_FORMAT_UNSPECIFIED, properties
            )


@contextmanager
def one_core() -> Iterator[None]:
    """Threads that are started within run on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


if __name__ == "__main__":
    from timing import table

    print(table(rows(3)), file=io.TextIOWrapper(os.fdopen(1, "wb", closefd=False)))
