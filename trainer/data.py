"""Examples -> tf.data: minibatches that come from one plate each.

Every minibatch a replica sees is plate-pure, so BatchNorm inside the network removes what
a plate's wells share. Plates are shuffled, several are read in turn, and each plate's
records are shuffled; all of it follows from (seed, epoch), so that a run resumed at any
step sees exactly what it would have seen. Pixels stay uint8 and planar: transposing and
converting is the device's work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from trainer import schema
from trainer.config import DataConfig
from trainer.errors import PlatewiseError
from trainer.manifest import Manifest, Shard

#: Key of the position of a minibatch's plate in :attr:`PlateFeed.plates`.
PLATE = "plate"
_SCAN_SITES = 64

Transform = Callable[[Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True, eq=False)
class PlateRecords:
    """The records of one plate: where they are and which of them have a label."""

    plate_id: str
    files: tuple[str, ...]
    #: Class of each record in the order of the files, int64 [N]; -1 unknown.
    labels: np.ndarray
    #: The labelled records themselves where they are held in memory.
    held: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def n_labelled(self) -> int:
        """Records that training can use."""
        return int((self.labels >= 0).sum())


def decode(serialized_B: tf.Tensor, transform: Transform, manifest: Manifest) -> dict[str, Any]:
    """Parse and decode a minibatch of records, and run the Transform graph on it.

    Returns
    -------
    The raw features without the compressed pixels, what the Transform graph adds, and under
    ``pixels`` the grey levels, uint8 [B, C, H, W].
    """
    raw = tf.io.parse_example(serialized_B, schema.raw_feature_spec(manifest.n_channels))
    compressed_B = raw.pop(schema.PIXELS)
    features = raw | transform(raw)
    planes_B = tf.io.decode_raw(tf.io.decode_compressed(compressed_B, "ZLIB"), tf.uint8)
    shape = (-1, manifest.n_channels, manifest.height, manifest.width)
    features[schema.PIXELS] = tf.reshape(planes_B, shape)
    return features


def scan_plates(
    examples_dir: str,
    shards: Sequence[Shard],
    transform: Transform,
    manifest: Manifest,
    n_classes: int,
    hold: bool = False,
) -> list[PlateRecords]:
    """Read every record once, without its pixels, for its label.

    Parameters
    ----------
    examples_dir
        Folder of the manifest.
    shards
        Verified shards of one split.
    transform, manifest
        As for :func:`decode`.
    n_classes
        Labels must lie below it.
    hold
        Keep the labelled records in memory, still compressed.

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
        labels, held = _scan(paths, transform, manifest, n_classes, hold)
        plates.append(PlateRecords(plate_id, paths, labels, held))
    if not any(plate.n_labelled for plate in plates):
        raise PlatewiseError(
            f"{examples_dir} has no labelled site in split "
            f"{shards[0].split if shards else schema.SPLIT_TRAIN!r}: nothing to train on; check "
            "the split and the treatments of the metadata table"
        )
    return plates


def _scan(
    paths: Sequence[str], transform: Transform, manifest: Manifest, n_classes: int, hold: bool
) -> tuple[np.ndarray, tuple[bytes, ...]]:
    spec = schema.raw_feature_spec(manifest.n_channels)
    del spec[schema.PIXELS]

    def identify(serialized_B: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        raw = tf.io.parse_example(serialized_B, spec)
        kept_B = serialized_B if hold else tf.zeros_like(serialized_B)
        return transform(raw)[schema.LABEL], raw[schema.SITE_ID], kept_B

    labels: list[np.ndarray] = []
    held: list[bytes] = []
    records = tf.data.TFRecordDataset(list(paths)).batch(_SCAN_SITES).map(identify)
    for label_B, site_id_B, kept_B in records.as_numpy_iterator():
        if label_B.max() >= n_classes:
            worst = int(np.argmax(label_B))
            raise PlatewiseError(
                f"site {site_id_B[worst].decode()} has label {label_B[worst]}, but there are "
                f"{n_classes} classes; run the Transform step again on these Examples"
            )
        labels.append(label_B)
        if hold:
            held += [record for record, label in zip(kept_B, label_B, strict=True) if label >= 0]
    joined = np.concatenate(labels) if labels else np.zeros(0, np.int64)
    return joined, tuple(held)


class PlateFeed:
    """Endless-looking, replayable stream of plate-pure minibatches.

    Sites without a label are left out before anything is decoded. A plate gives
    ``n // minibatch_size`` minibatches an epoch; one with fewer sites than a minibatch
    repeats some of them, and gives one.

    Parameters
    ----------
    plates
        From :func:`scan_plates`.
    transform, manifest
        As for :func:`decode`.
    config
        Minibatch size, open plates, shuffling.
    seed
        Order of plates and records.
    n_replicas
        Minibatches that one step consumes.
    """

    def __init__(
        self,
        plates: Sequence[PlateRecords],
        transform: Transform,
        manifest: Manifest,
        config: DataConfig,
        seed: int,
        n_replicas: int = 1,
    ) -> None:
        self.plates = [plate for plate in plates if plate.n_labelled]
        self.site_shape_px = (manifest.height, manifest.width)
        self._transform, self._manifest = transform, manifest
        self._config, self._seed, self._n_replicas = config, seed, n_replicas
        size = config.minibatch_size
        self._minibatches = np.array([max(1, p.n_labelled // size) for p in self.plates])
        self.steps_per_epoch = int(self._minibatches.sum()) // n_replicas
        if self.steps_per_epoch == 0:
            raise PlatewiseError(
                f"{int(self._minibatches.sum())} minibatches an epoch are too few for "
                f"{n_replicas} replicas; lower data.minibatch_size (now {size})"
            )

    def dataset(self, n_epochs: int, start_step: int = 0) -> tf.data.Dataset:
        """Minibatches of the steps from ``start_step`` to the end of the last epoch.

        Each element is a mapping: ``pixels`` uint8 [B, C, H, W], ``center`` and ``scale``
        float32 [B, C], ``label`` int32 [B], ``plate`` int32 scalar. With R replicas,
        elements come R to a step.
        """
        start_epoch, skipped_steps = divmod(start_step, self.steps_per_epoch)
        per_epoch = self.steps_per_epoch * self._n_replicas
        orders_EP, seeds_EP = self._plans(n_epochs)

        def epoch(e: tf.Tensor) -> tf.data.Dataset:
            order = tf.data.Dataset.from_tensor_slices((orders_EP[e], seeds_EP[e]))
            return order.interleave(
                self._plate_minibatches,
                cycle_length=min(self._config.open_plates, len(self.plates)),
                block_length=1,
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=True,
            ).take(per_epoch)

        epochs = tf.data.Dataset.range(start_epoch, n_epochs)
        minibatches = epochs.flat_map(epoch).skip(skipped_steps * self._n_replicas)
        decoded = minibatches.map(
            self._decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )
        return decoded.prefetch(tf.data.AUTOTUNE)

    def _plans(self, n_epochs: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Order of the plates and a seed for each, [epochs, P]; an epoch knows no other."""
        orders, seeds = [], []
        for epoch in range(n_epochs):
            generator = np.random.default_rng([self._seed, epoch])
            orders.append(generator.permutation(len(self.plates)))
            seeds.append(generator.integers(1, 2**31, len(self.plates)))
        return tf.constant(np.stack(orders), tf.int64), tf.constant(np.stack(seeds), tf.int64)

    def _plate_minibatches(self, plate: tf.Tensor, seed: tf.Tensor) -> tf.data.Dataset:
        size = self._config.minibatch_size
        n_sites = tf.constant(self._minibatches * size, tf.int64)[plate]
        records = self._labelled_records(plate)
        shuffled = records.shuffle(self._config.shuffle_sites, seed=seed).repeat().take(n_sites)
        return shuffled.batch(size, drop_remainder=True).map(
            lambda serialized_B: (tf.cast(plate, tf.int32), serialized_B)
        )

    def _labelled_records(self, plate: tf.Tensor) -> tf.data.Dataset:
        if any(p.held for p in self.plates):
            held, first = _flat([p.held for p in self.plates], tf.string)
            return tf.data.Dataset.from_tensor_slices(held[first[plate] : first[plate + 1]])
        files, first_file = _flat([p.files for p in self.plates], tf.string)
        labelled, first_record = _flat([p.labels >= 0 for p in self.plates], tf.bool)
        return (
            tf.data.Dataset.zip(
                tf.data.TFRecordDataset(files[first_file[plate] : first_file[plate + 1]]),
                tf.data.Dataset.from_tensor_slices(
                    labelled[first_record[plate] : first_record[plate + 1]]
                ),
            )
            .filter(lambda _, keep: keep)
            .map(lambda record, _: record)
        )

    def _decode(self, plate: tf.Tensor, serialized_B: tf.Tensor) -> dict[str, tf.Tensor]:
        features = decode(serialized_B, self._transform, self._manifest)
        n_sites, n_channels = self._config.minibatch_size, self._manifest.n_channels
        pixels_shape = (n_sites, n_channels, self._manifest.height, self._manifest.width)
        return {
            schema.PIXELS: tf.ensure_shape(features[schema.PIXELS], pixels_shape),
            schema.CENTER: tf.ensure_shape(features[schema.CENTER], (n_sites, n_channels)),
            schema.SCALE: tf.ensure_shape(features[schema.SCALE], (n_sites, n_channels)),
            schema.LABEL: tf.cast(tf.ensure_shape(features[schema.LABEL], (n_sites,)), tf.int32),
            PLATE: plate,
        }


def _flat(parts: Sequence[Any], dtype: tf.DType) -> tuple[tf.Tensor, tf.Tensor]:
    """All parts one behind the other, and where each begins (with the end as last entry)."""
    first = np.cumsum([0] + [len(part) for part in parts])
    joined = [item for part in parts for item in part]
    # Lifted out of tf.data's graph, where a constant of many megabytes would be copied.
    with tf.init_scope():
        return tf.constant(joined, dtype), tf.constant(first, tf.int64)
