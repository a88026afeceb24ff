"""A screen to Examples, quality and schema, on any Beam runner.

One element a plate: the step that reads a plate's PNGs writes its shard, because shuffling a
decoded or encoded site costs as much as decoding it. What is left to do at the end is small:
the manifest, the quality tables and the schema.
"""

from __future__ import annotations

import json
import pickle
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import apache_beam as beam

from components.plate_example_gen import quality as quality_files
from components.plate_example_gen.check import screen_facts
from components.plate_example_gen.config import QualityConfig, ScreenConfig, SplitConfig
from components.plate_example_gen.found import SiteResult
from components.plate_example_gen.prepare import Prepared, prepare, require_training_splits
from components.plate_example_gen.scan import ScanOptions, n_threads, scan_plate
from components.plate_example_gen.screen import Plate, ScreenError
from components.plate_example_gen.shards import TEMPORARY_NAME, ShardWriter, publish
from components.plate_example_gen.splits import Assignment, classes
from components.plate_example_gen.storage import Storage, open_storage
from components.plate_example_gen.tally import Tally
from trainer import manifest as manifests
from trainer import schema

SCHEMA_NAME = "schema.pbtxt"
#: Order of the splits in the manifest.
_SPLITS = (
    schema.SPLIT_TRAIN,
    schema.SPLIT_EVAL,
    schema.SPLIT_IN_DISTRIBUTION,
    schema.SPLIT_TEST,
    schema.SPLIT_UNLABELLED,
    schema.SPLIT_SCORE,
)


@dataclass(frozen=True)
class Destination:
    """Folders of the three artifacts."""

    examples: str
    quality: str
    schema: str


def ingest(
    screen: ScreenConfig,
    splits: SplitConfig,
    quality: QualityConfig,
    destination: Destination,
    make_pipeline: Callable[[], beam.Pipeline],
    beam_args: Sequence[str] = (),
) -> manifests.Manifest:
    """Read a screen and write Examples, quality tables and schema.

    Safe to repeat: what an earlier attempt left in the three folders is removed first.

    Returns
    -------
    The manifest, as it was written last of all.

    Raises
    ------
    ScreenError
        Contradicting tables, a leak, or more bad sites than the configuration allows.
    """
    if not quality.decode:
        raise ScreenError("quality.decode = false is for `platewise check`; a run decodes all")
    source = open_storage(screen.root, beam_args)
    target = open_storage(destination.examples, beam_args)
    for folder in (destination.examples, destination.quality, destination.schema):
        target.remove_folder(folder)
    threads = n_threads(screen, source)
    with ThreadPoolExecutor(threads) as pool:
        prepared = prepare(screen, splits, quality, source, pool)
    prepared.screen.problems.raise_any(f"{screen.root} cannot be used")
    require_training_splits(prepared)
    _stop_early(prepared, quality)
    read_plate = ReadPlate(
        replace(prepared.options, encode=True),
        prepared.assignment,
        destination,
        tuple(beam_args),
        threads,
    )
    with make_pipeline() as pipeline:
        _ = (
            pipeline
            | "Plates" >> beam.Create([_pack(plate) for plate in prepared.screen.plates])
            | "Spread" >> beam.Reshuffle()
            | "ReadPlate" >> beam.ParDo(read_plate)
        )
    tally = Tally(prepared, quality, len(screen.channel_names))
    written = _collect(tally, target, destination, source)
    reasons = tally.reasons_to_stop()
    if reasons:
        raise ScreenError(_stop_text(screen.root, reasons))
    _write_quality(tally, screen, target, destination.quality)
    text = schema_text(len(screen.channel_names))
    quality_files.write_text(target, f"{destination.schema.rstrip('/')}/{SCHEMA_NAME}", text)
    with ThreadPoolExecutor(threads) as pool:
        shards = tuple(pool.map(partial(publish, target, destination.examples), written))
    target.remove_folder(f"{destination.examples.rstrip('/')}/{TEMPORARY_NAME}")
    manifest = _manifest(prepared, screen, shards)
    path = f"{destination.examples.rstrip('/')}/{manifests.MANIFEST_NAME}"
    quality_files.write_text(target, path, manifests.to_json(manifest))
    return manifest


class ReadPlate(beam.DoFn):
    """Reads one plate, writes its shards and a part file for the last step."""

    def __init__(
        self,
        options: ScanOptions,
        assignment: Assignment,
        destination: Destination,
        beam_args: tuple[str, ...],
        threads: int,
    ) -> None:
        self._options, self._assignment = options, assignment
        self._destination, self._beam_args, self._threads = destination, beam_args, threads
        self._pool: ThreadPoolExecutor | None = None

    def setup(self) -> None:
        self._source = open_storage(self._options.root, self._beam_args)
        self._target = open_storage(self._destination.examples, self._beam_args)
        self._pool = ThreadPoolExecutor(self._threads)

    def teardown(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def process(self, packed: bytes) -> Iterator[tuple[str, int]]:
        plate = _unpack(packed)
        writers: dict[str, ShardWriter] = {}

        def write(site: SiteResult, record: bytes) -> None:
            if site.split not in writers:
                writers[site.split] = ShardWriter(
                    self._target,
                    self._destination.examples,
                    site.split,
                    plate.experiment,
                    plate.plate_id,
                )
            writers[site.split].write(record)

        assert self._pool is not None  # setup ran
        try:
            result = scan_plate(
                plate, self._assignment, self._options, self._source, self._pool, write
            )
            result.shards = [writer.close() for _, writer in sorted(writers.items())]
        except BaseException:
            for writer in writers.values():
                writer.abandon()
            raise
        part = quality_files.part_to_json(result).encode()
        path = part_path(self._destination.quality, plate.plate_id)
        quality_files.write_text(self._target, path, part.decode())
        yield plate.plate_id, sum(shard.n_records for shard in result.shards)


def part_path(quality_uri: str, plate_id: str) -> str:
    """Where a plate's part file stands until the last step has read it."""
    return f"{quality_uri.rstrip('/')}/{quality_files.PARTS_NAME}/{plate_id}.json"


def schema_text(n_channels: int) -> str:
    """``schema.pbtxt`` of the raw features: every one required, of a fixed shape."""
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    spec = schema.raw_feature_spec(n_channels)
    proto = schema_pb2.Schema()
    for name in sorted(spec):
        feature = proto.feature.add(name=name)
        is_text = name in schema.BYTES_KEYS
        feature.type = schema_pb2.BYTES if is_text else schema_pb2.INT
        feature.presence.min_fraction = 1.0
        feature.presence.min_count = 1
        feature.shape.SetInParent()  # a shape without axes is a scalar
        for length in spec[name].shape:
            feature.shape.dim.add(size=length)
    return str(text_format.MessageToString(proto))


def _pack(plate: Plate) -> bytes:
    """A plate as a small element: a few kB, so that 10,000 of them fit into a job."""
    return zlib.compress(pickle.dumps(plate))


def _unpack(packed: bytes) -> Plate:
    plate = pickle.loads(zlib.decompress(packed))
    assert isinstance(plate, Plate)
    return plate


def _manifest(
    prepared: Prepared, screen: ScreenConfig, shards: tuple[manifests.Shard, ...]
) -> manifests.Manifest:
    size = prepared.options.size
    return manifests.Manifest(
        shards=shards,
        n_channels=len(screen.channel_names),
        height=size.height if size else 0,
        width=size.width if size else 0,
        classes=classes(prepared.screen, prepared.assignment),
        expected_sites=prepared.expected_sites,
        channel_names=screen.channel_names,
    )


def _stop_early(prepared: Prepared, quality: QualityConfig) -> None:
    """Too many missing files are known before anything is decoded."""
    expected = prepared.screen.n_sites()
    whole = prepared.listing.sites_found - prepared.listing.sites_incomplete
    if expected - whole > quality.max_excluded_share * expected:
        missing = expected - prepared.listing.sites_found
        raise ScreenError(
            _stop_text(
                prepared.screen.root,
                [
                    f"{expected - whole} of {expected} sites cannot be used: {missing} missing, "
                    f"{prepared.listing.sites_incomplete} incomplete; the limit is "
                    f"{100 * quality.max_excluded_share:g} % (quality.max_excluded_share)"
                ],
            )
        )


def _stop_text(root: str, reasons: list[str]) -> str:
    return f"{root}: {'; '.join(reasons)}. `platewise check` lists every one of them"


def _collect(
    tally: Tally, target: Storage, destination: Destination, source: Storage
) -> list[manifests.Shard]:
    """Read the parts, one at a time, into tally, sites and dead letters."""
    folder = destination.quality.rstrip("/")
    columns = quality_files.site_columns(tally.n_channels)
    sites = quality_files.TableWriter(target, f"{folder}/{quality_files.SITES_NAME}", columns)
    letters = quality_files.TableWriter(
        target,
        f"{folder}/{quality_files.DEAD_LETTERS_NAME}",
        ("path", "reason", "digest", "site_id", "row"),
    )
    shards: list[manifests.Shard] = []
    for plate in tally.prepared.screen.plates:
        result = quality_files.part_from_json(target.read(part_path(folder, plate.plate_id)))
        tally.add(result)
        shards += result.shards
        for site in result.sites:
            sites.write(quality_files.site_row(site))
            for letter in site.dead_letters:
                letters.write(vars(letter))
    for letter in quality_files.stray_letters(tally.prepared, source):
        letters.write(vars(letter))
    tally.finish()
    sites.close()
    letters.close()
    target.remove_folder(f"{folder}/{quality_files.PARTS_NAME}")
    return sorted(shards, key=lambda s: (_SPLITS.index(s.split), schema.natural_key(s.plate_id)))


def _write_quality(tally: Tally, screen: ScreenConfig, target: Storage, folder: str) -> None:
    columns = quality_files.plate_columns(tally.n_channels, tally.quality.percentiles)
    path = f"{folder.rstrip('/')}/{quality_files.PLATES_NAME}"
    plates = quality_files.TableWriter(target, path, columns)
    for row in tally.plates:
        plates.write(row)
    plates.close()
    facts: dict[str, Any] = {"format": quality_files.FORMAT, **screen_facts(tally, screen)}
    text = json.dumps(facts, indent=1, sort_keys=True) + "\n"
    quality_files.write_text(target, f"{folder.rstrip('/')}/{quality_files.QUALITY_NAME}", text)
