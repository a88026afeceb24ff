"""One plate at a time: its records in a fixed order, and minibatches of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from trainer import schema
from trainer.data import decode
from trainer.manifest import Manifest, Shard, open_binary
from trainer.records import read_frames


def plates_of(manifest: Manifest, split: str) -> Iterator[tuple[str, list[Shard]]]:
    """Plates of a split with their shards, in the order of the manifest."""
    plates: dict[str, list[Shard]] = {}
    for shard in manifest.of_split(split):
        plates.setdefault(shard.plate_id, []).append(shard)
    yield from plates.items()


def read_plate(examples_dir: str, manifest: Manifest, shards: Sequence[Shard]) -> Plate:
    """All records of the shards of one plate, in the order of their names."""
    records: list[bytes] = []
    for shard in shards:
        with open_binary(f"{examples_dir.rstrip('/')}/{shard.name}") as stream:
            records += read_frames(stream, shard.name)
    spec = {schema.SITE_ID: tf.io.FixedLenFeature([], tf.string)}
    names = [n.decode() for n in tf.io.parse_example(records, spec)[schema.SITE_ID].numpy()]
    order = sorted(range(len(records)), key=names.__getitem__)
    return Plate([records[i] for i in order], [names[i] for i in order], manifest)


@dataclass(frozen=True, eq=False)
class Plate:
    """The records of one plate, held compressed and ordered by site name."""

    records: list[bytes]
    site_ids: list[str]
    manifest: Manifest

    def minibatches(self, minibatch_size: int, transform: Callable) -> tf.data.Dataset:
        """All sites in order, in minibatches whose sizes differ by one at most.

        Equal sizes matter: the moments of a last minibatch of two sites would be noise.
        """
        n_sites = len(self.records)
        n_minibatches = -(-n_sites // minibatch_size)
        bounds = np.linspace(0, n_sites, n_minibatches + 1).round().astype(np.int64)
        held = tf.constant(self.records)
        slices = tf.data.Dataset.from_tensor_slices((bounds[:-1], bounds[1:]))
        return slices.map(
            lambda start, stop: _site_features(held[start:stop], transform, self.manifest),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        ).prefetch(1)

    def element(self, row: int, transform: Callable) -> dict[str, tf.Tensor]:
        """One site as a minibatch."""
        return _site_features(tf.constant(self.records[row : row + 1]), transform, self.manifest)


def _site_features(serialized_B: tf.Tensor, transform: Callable, manifest: Manifest) -> dict:
    features = decode(serialized_B, transform, manifest)
    del features[schema.HISTOGRAM]
    return features
