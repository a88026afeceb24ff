"""Examples -> tf.data: minibatches that come from one plate each.

Every minibatch a replica sees is plate-pure, so BatchNorm inside the network removes what
a plate's wells share. Plates are shuffled, several are read in turn, and each plate's
records are shuffled; all of it follows from (seed, epoch), so that a run resumed at any
step sees exactly what it would have seen. Pixels stay uint8 and planar: transposing and
converting is the device's work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from trainer import schema
from trainer.config import DataConfig
from trainer.errors import PlatewiseError
from trainer.hosts import share_plates
from trainer.manifest import Manifest
from trainer.scan import RECORD, PlateRecords, Transform
from trainer.scan import scan_plates as scan_plates

#: Key of the position of a minibatch's plate in :attr:`PlateFeed.plates`.
PLATE = "plate"
#: What TensorFlow takes where no global seed is set.
_GRAPH_SEED = 87654321


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


class PlateFeed:
    """Endless-looking, replayable stream of plate-pure minibatches.

    Sites without a label are left out before anything is decoded. A plate gives
    ``n // minibatch_size`` minibatches an epoch; one with fewer sites than a minibatch
    repeats some of them, and gives one.

    Parameters
    ----------
    plates
        From :func:`scan_plates`.
    manifest
        Gives the shape of the sites.
    config
        Minibatch size, open plates, shuffling.
    seed
        Order of plates and records.
    n_replicas
        Minibatches that one step consumes.
    n_hosts
        Hosts that these replicas are on, the same number on each. Each host reads plates of its
        own; what one has more than another is left out, differently in every epoch.
    """

    def __init__(
        self,
        plates: Sequence[PlateRecords],
        manifest: Manifest,
        config: DataConfig,
        seed: int,
        n_replicas: int = 1,
        n_hosts: int = 1,
    ) -> None:
        self.plates = [plate for plate in plates if plate.n_labelled]
        self.site_shape_px = (manifest.height, manifest.width)
        self._shape_CHW = (manifest.n_channels, manifest.height, manifest.width)
        self._config, self._seed = config, seed
        size = config.minibatch_size
        self._minibatches = np.array([max(1, p.n_labelled // size) for p in self.plates])
        #: Positions in :attr:`plates` that each host reads.
        self.shares = share_plates(self._minibatches.tolist(), n_hosts)
        fewest = min(int(self._minibatches[share].sum()) for share in self.shares)
        self._host_replicas = n_replicas // n_hosts
        self.steps_per_epoch = fewest // self._host_replicas
        if self.steps_per_epoch == 0:
            raise PlatewiseError(
                f"{fewest} minibatches an epoch are too few for {self._host_replicas} replicas"
                f"{'' if n_hosts == 1 else ' of a host'}; lower data.minibatch_size (now {size})"
            )

    def dataset(self, n_epochs: int, start_step: int = 0, host: int = 0) -> tf.data.Dataset:
        """Minibatches of one host, of the steps from ``start_step`` to the end of the last epoch.

        Each element is a mapping: ``pixels`` uint8 [B, C, H, W], ``center`` and ``scale``
        float32 [B, C], ``label`` int32 [B], ``plate`` int32 scalar. With R replicas on a
        host, elements come R to a step.
        """
        start_epoch, skipped_steps = divmod(start_step, self.steps_per_epoch)
        size = self._config.minibatch_size
        sites_per_step = size * self._host_replicas
        orders_EP, seeds_EP = self._plans(n_epochs, self.shares[host])

        def epoch(e: tf.Tensor) -> tf.data.Dataset:
            order = tf.data.Dataset.from_tensor_slices((orders_EP[e], seeds_EP[e]))
            return order.interleave(
                self._plate_sites,
                cycle_length=min(self._config.open_plates, len(self.shares[host])),
                block_length=size,
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=True,
            ).take(sites_per_step * self.steps_per_epoch)

        epochs = tf.data.Dataset.range(start_epoch, n_epochs)
        sites = epochs.flat_map(epoch).skip(skipped_steps * sites_per_step)
        # One record at a time: its pixels fit the processor's cache, a minibatch's do not.
        decoded = sites.map(
            self._decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        ).batch(size, drop_remainder=True)
        return decoded.map(_one_plate).prefetch(tf.data.AUTOTUNE)

    def _plans(self, n_epochs: int, share: np.ndarray) -> tuple[tf.Tensor, tf.Tensor]:
        """Order of a host's plates and a seed for each, [epochs, P]; an epoch knows no other."""
        orders, seeds = [], []
        for epoch in range(n_epochs):
            generator = np.random.default_rng([self._seed, epoch])
            order = generator.permutation(len(self.plates))
            mine = np.isin(order, share)
            orders.append(order[mine])
            seeds.append(generator.integers(1, 2**31, len(self.plates))[mine])
        return tf.constant(np.stack(orders), tf.int64), tf.constant(np.stack(seeds), tf.int64)

    def _plate_sites(self, plate: tf.Tensor, seed: tf.Tensor) -> tf.data.Dataset:
        """Shuffled sites of a plate, a whole number of minibatches."""
        # Of this function's graph alone: the order follows from ``seed``, whatever global seed the
        # process has set (with 0, TensorFlow would even compare ``seed``, a tensor, with it).
        tf.compat.v1.get_default_graph().seed = _GRAPH_SEED
        n_sites = tf.constant(self._minibatches * self._config.minibatch_size, tf.int64)[plate]
        sites = self._labelled_sites(plate)
        shuffled = sites.shuffle(self._config.shuffle_sites, seed=seed).repeat().take(n_sites)
        return shuffled.map(lambda site: site | {PLATE: tf.cast(plate, tf.int32)})

    def _labelled_sites(self, plate: tf.Tensor) -> tf.data.Dataset:
        """Compressed records of a plate with what the Transform graph says of each."""
        known = {
            schema.LABEL: _flat([p.labels.astype(np.int32) for p in self.plates]),
            schema.CENTER: _flat([p.center_NC for p in self.plates]),
            schema.SCALE: _flat([p.scale_NC for p in self.plates]),
        }
        facts = tf.data.Dataset.from_tensor_slices(
            {key: values[first[plate] : first[plate + 1]] for key, (values, first) in known.items()}
        ).filter(lambda fact: fact[schema.LABEL] >= 0)
        return tf.data.Dataset.zip(self._labelled_records(plate), facts).map(
            lambda record, fact: fact | {RECORD: record}
        )

    def _labelled_records(self, plate: tf.Tensor) -> tf.data.Dataset:
        if any(p.held for p in self.plates):
            held, first = _flat([p.held for p in self.plates])
            return tf.data.Dataset.from_tensor_slices(held[first[plate] : first[plate + 1]])
        files, first_file = _flat([p.files for p in self.plates])
        labels, first_record = _flat([p.labels for p in self.plates])
        return (
            tf.data.Dataset.zip(
                tf.data.TFRecordDataset(files[first_file[plate] : first_file[plate + 1]]),
                tf.data.Dataset.from_tensor_slices(
                    labels[first_record[plate] : first_record[plate + 1]]
                ),
            )
            .filter(lambda _, label: label >= 0)
            .map(lambda record, _: record)
        )

    def _decode(self, site: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        site = dict(site)
        return site | {schema.PIXELS: decode_pixels(site.pop(RECORD), self._shape_CHW)}


def decode_pixels(record: tf.Tensor, shape_CHW: tuple[int, int, int]) -> tf.Tensor:
    """Grey levels of one serialised record, uint8 [C, H, W]."""
    spec = {schema.PIXELS: tf.io.FixedLenFeature([], tf.string)}
    compressed = tf.io.parse_single_example(record, spec)[schema.PIXELS]
    planes = tf.io.decode_raw(tf.io.decode_compressed(compressed, "ZLIB"), tf.uint8)
    return tf.reshape(planes, shape_CHW)


def _one_plate(minibatch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    return minibatch | {PLATE: minibatch[PLATE][0]}


def _flat(parts: Sequence[Any]) -> tuple[tf.Tensor, tf.Tensor]:
    """All parts one behind the other, and where each begins (with the end as last entry)."""
    first = np.cumsum([0] + [len(part) for part in parts])
    joined = (
        np.concatenate(parts)
        if isinstance(parts[0], np.ndarray)
        else [item for part in parts for item in part]
    )
    # Lifted out of tf.data's graph, where a constant of many megabytes would be copied.
    with tf.init_scope():
        return tf.constant(joined), tf.constant(first, tf.int64)
