"""One plate at a time: its records in a fixed order, and minibatches of them."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from trainer import schema
from trainer.data import decode
from trainer.manifest import Manifest, Shard, open_binary
from trainer.records import read_frames

#: Decoding outpaces any CPU's network with fewer, and an accelerator's with this many.
_MAX_DECODING_THREADS = 8


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

    def minibatches(
        self, minibatch_size: int, features: Callable
    ) -> Iterator[dict[str, tf.Tensor]]:
        """All sites in order, in minibatches whose sizes differ by one at most.

        Equal sizes matter: the moments of a last minibatch of two sites would be noise.
        Threads decode the next ones meanwhile; few are held at a time.
        """
        n_sites = len(self.records)
        n_minibatches = -(-n_sites // minibatch_size)
        bounds = np.linspace(0, n_sites, n_minibatches + 1).round().astype(int)
        n_threads = min(os.cpu_count() or 1, _MAX_DECODING_THREADS)
        with ThreadPoolExecutor(n_threads) as pool:
            waiting: deque[Future] = deque()
            for start, stop in itertools.pairwise(bounds):
                waiting.append(pool.submit(features, tf.constant(self.records[start:stop])))
                if len(waiting) > n_threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def element(self, row: int, features: Callable) -> dict[str, tf.Tensor]:
        """One site as a minibatch."""
        return features(tf.constant(self.records[row : row + 1]))


def features_function(transform: Callable, manifest: Manifest) -> Callable:
    """Compiled: serialised records [B] -> their features, pixels decoded.

    Compiled once for all plates, because tracing the Transform graph takes longer than
    reading a small plate.
    """

    def features(serialized_B: tf.Tensor) -> dict[str, tf.Tensor]:
        found = decode(serialized_B, transform, manifest)
        del found[schema.HISTOGRAM]
        return found

    return tf.function(
        features, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False
    )
