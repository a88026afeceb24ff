"""What training knows of every record before it reads pixels: where it is and what it shows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from trainer import schema
from trainer.errors import PlatewiseError
from trainer.manifest import Manifest, Shard

#: Key of a record's own bytes beside what is known of it.
RECORD = "record"
_SCAN_SITES = 64
#: Bytes that a TFRecord adds to its content: the length and two checksums.
_FRAME_BYTES = 16
_LENGTH = "length"

Transform = Callable[[Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True, eq=False)
class PlateRecords:
    """The records of one plate: where they are, and what the Transform graph says of each."""

    plate_id: str
    files: tuple[str, ...]
    #: Class of each record in the order of the files, int64 [N]; -1 unknown.
    labels: np.ndarray
    #: What normalises each record, grey levels, float32 [N, C].
    center_NC: np.ndarray
    scale_NC: np.ndarray
    #: The labelled records themselves where they are held in memory.
    held: tuple[bytes, ...] = field(default=(), repr=False)
    experiment: str = ""
    cell_type: str = ""
    #: Name of each record's well, object [N].
    wells: np.ndarray = field(default_factory=lambda: np.zeros(0, object))
    #: Where each record's frame is: position in ``files``, first byte and bytes, int64 [N, 3].
    places_N3: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), np.int64))
    #: Which records are controls that BatchNorm may see as context, bool [N].
    controls: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    #: Those controls themselves where records are held in memory.
    held_controls: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def n_labelled(self) -> int:
        """Records that training can use."""
        return int((self.labels >= 0).sum())


def scan_plates(
    examples_dir: str,
    shards: Sequence[Shard],
    transform: Transform,
    manifest: Manifest,
    n_classes: int,
    hold: bool = False,
    controls: Collection[str] = (),
) -> list[PlateRecords]:
    """Read every record once, without its pixels, and run the Transform graph on it.

    Parameters
    ----------
    examples_dir
        Folder of the manifest.
    shards
        Verified shards of one split.
    transform, manifest
        As for :func:`trainer.data.decode`.
    n_classes
        Labels must lie below it.
    hold
        Keep the labelled records, and the controls, in memory, still compressed.
    controls
        Well types that count as controls.

    Raises
    ------
    PlatewiseError
        A label out of range (the site is named), or not one labelled site.
    """
    files: dict[str, list[Shard]] = {}
    for shard in shards:
        files.setdefault(shard.plate_id, []).append(shard)
    plates = []
    for plate_id, members in files.items():
        paths = tuple(f"{examples_dir.rstrip('/')}/{shard.name}" for shard in members)
        found = _read(paths, transform, manifest, hold)
        _check_labels(found, n_classes)
        n_records = [shard.n_records for shard in members]
        plates.append(_plate(plate_id, paths, n_records, found, controls, hold))
    if not any(plate.n_labelled for plate in plates):
        raise PlatewiseError(
            f"{examples_dir} has no labelled site in split "
            f"{shards[0].split if shards else schema.SPLIT_TRAIN!r}: nothing to train on; check "
            "the split and the treatments of the metadata table"
        )
    return plates


def _read(
    paths: tuple[str, ...], transform: Transform, manifest: Manifest, hold: bool
) -> dict[str, np.ndarray]:
    """Facts of every record of a plate, each [N, ...]."""
    spec = schema.raw_feature_spec(manifest.n_channels)
    del spec[schema.PIXELS]

    def identify(serialized_B: tf.Tensor) -> dict[str, tf.Tensor]:
        raw = tf.io.parse_example(serialized_B, spec)
        found = transform(raw)
        kept_B = serialized_B if hold else tf.zeros_like(serialized_B)
        wanted = {key: found[key] for key in (schema.LABEL, schema.CENTER, schema.SCALE)}
        named = (
            schema.SITE_ID,
            schema.WELL_ID,
            schema.WELL_TYPE,
            schema.EXPERIMENT,
            schema.CELL_TYPE,
        )
        return (
            wanted
            | {key: raw[key] for key in named}
            | {RECORD: kept_B, _LENGTH: tf.strings.length(serialized_B)}
        )

    parts: dict[str, list[np.ndarray]] = {}
    minibatches = tf.data.TFRecordDataset(list(paths)).batch(_SCAN_SITES).map(identify)
    for found in minibatches.as_numpy_iterator():
        for key, values in found.items():
            parts.setdefault(key, []).append(values)
    return {key: np.concatenate(values) for key, values in parts.items()}


def _check_labels(found: dict[str, np.ndarray], n_classes: int) -> None:
    labels = found[schema.LABEL]
    if labels.max() >= n_classes:
        worst = int(np.argmax(labels))
        raise PlatewiseError(
            f"site {found[schema.SITE_ID][worst].decode()} has label {labels[worst]}, but there "
            f"are {n_classes} classes; run the Transform step again on these Examples"
        )


def _plate(
    plate_id: str,
    paths: tuple[str, ...],
    n_records: Sequence[int],
    found: dict[str, np.ndarray],
    controls: Collection[str],
    hold: bool,
) -> PlateRecords:
    labels = found[schema.LABEL]
    well_types = np.array([name.decode() for name in found[schema.WELL_TYPE]], object)
    is_control = np.isin(well_types, list(controls))
    return PlateRecords(
        plate_id,
        paths,
        labels,
        found[schema.CENTER],
        found[schema.SCALE],
        held=tuple(found[RECORD][labels >= 0]) if hold else (),
        experiment=found[schema.EXPERIMENT][0].decode(),
        cell_type=found[schema.CELL_TYPE][0].decode(),
        wells=np.array([name.decode() for name in found[schema.WELL_ID]], object),
        places_N3=_places(n_records, found[_LENGTH]),
        controls=is_control,
        held_controls=tuple(found[RECORD][is_control]) if hold else (),
    )


def _places(n_records: Sequence[int], lengths: np.ndarray) -> np.ndarray:
    """File, first byte and bytes of each record's frame, int64 [N, 3]."""
    files = np.repeat(np.arange(len(n_records)), n_records)
    sizes = lengths.astype(np.int64) + _FRAME_BYTES
    ends = np.cumsum(sizes)
    file_begins = np.concatenate([[0], np.cumsum(np.bincount(files, sizes, len(n_records)))])
    starts = ends - sizes - file_begins[files].astype(np.int64)
    return np.stack([files, starts, sizes], axis=1)
