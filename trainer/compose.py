"""Minibatches whose sites come from one plate, experiment, cell type, or from anywhere.

The ablation of minibatch composition that a team of the RxRx1 competition published (fifth
place, 2019) needs the last three; control sites as context for BatchNorm need the first with
sites added. All are drawn from a plan that follows from (seed, epoch) and names each site, and
records are read where they lie in their files: a true shuffle of the whole split needs no
buffer, and a run resumed at any step sees exactly what it would have seen.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from trainer import schema
from trainer.config import TrainerConfig
from trainer.data import PLATE, PlateFeed, decode_pixels
from trainer.errors import PlatewiseError
from trainer.manifest import Manifest
from trainer.representation_config import Composition
from trainer.scan import PlateRecords


def make_feed(
    plates: Sequence[PlateRecords],
    manifest: Manifest,
    config: TrainerConfig,
    n_replicas: int = 1,
    n_hosts: int = 1,
) -> Feed:
    """The feed that the configuration asks for."""
    data, seed = config.data, config.loop.seed
    n_controls = config.context.control_sites
    if data.composition == "plate" and n_controls == 0:
        return PlateFeed(plates, manifest, data, seed, n_replicas, n_hosts)
    return ComposedFeed(
        plates,
        manifest,
        data.composition,
        data.minibatch_size,
        seed,
        n_controls=n_controls,
        n_replicas=n_replicas,
        n_hosts=n_hosts,
    )


class ComposedFeed:
    """Replayable stream of minibatches drawn from groups of plates.

    In an epoch each labelled site is seen at most once. A group of n labelled sites gives
    ``n // minibatch_size`` minibatches; what is left over is others in the next epoch. A group
    with fewer sites than a minibatch repeats some of them, and gives one.

    Parameters
    ----------
    plates
        From :func:`trainer.scan.scan_plates`.
    manifest
        Gives the shape of the sites.
    composition
        Which plates form a group.
    minibatch_size
        Labelled sites in a minibatch.
    seed
        Order of sites and minibatches.
    n_controls
        Control sites of the same plate added behind the labelled ones, with label -1.
    n_replicas
        Minibatches that one step consumes.
    n_hosts
        Hosts that these replicas are on, the same number on each. Minibatches of a step are dealt
        out to them in turn; each may read any file.

    Raises
    ------
    PlatewiseError
        Fewer minibatches than replicas, or a plate without controls where they are asked for.
    """

    def __init__(
        self,
        plates: Sequence[PlateRecords],
        manifest: Manifest,
        composition: Composition,
        minibatch_size: int,
        seed: int,
        n_controls: int = 0,
        n_replicas: int = 1,
        n_hosts: int = 1,
    ) -> None:
        self.plates = [plate for plate in plates if plate.n_labelled]
        self.site_shape_px = (manifest.height, manifest.width)
        self._shape_CHW = (manifest.n_channels, manifest.height, manifest.width)
        self._size, self._n_controls, self._seed = minibatch_size, n_controls, seed
        self._n_replicas, self._n_hosts = n_replicas, n_hosts
        self._sites = _Sites(self.plates, with_controls=n_controls > 0)
        self._groups = _groups(self.plates, self._sites.labelled, composition)
        n_minibatches = sum(max(1, len(group) // minibatch_size) for group in self._groups)
        self.steps_per_epoch = n_minibatches // n_replicas
        if self.steps_per_epoch == 0:
            raise PlatewiseError(
                f"{n_minibatches} minibatches an epoch are too few for {n_replicas} replicas; "
                f"lower data.minibatch_size (now {minibatch_size})"
            )

    def dataset(self, n_epochs: int, start_step: int = 0, host: int = 0) -> tf.data.Dataset:
        """Minibatches of one host, of the steps from ``start_step`` to the end of the last epoch.

        Each element is a mapping: ``pixels`` uint8 [B, C, H, W], ``center`` and ``scale``
        float32 [B, C], ``label`` int32 [B], ``plate`` int32 [B], control sites last. With R
        replicas on a host, elements come R to a step.
        """
        start_epoch, skipped_steps = divmod(start_step, self.steps_per_epoch)
        plans = [self.plan(epoch)[:, host] for epoch in range(start_epoch, n_epochs)]
        rows = np.concatenate(plans)[skipped_steps:] if plans else np.zeros((0, 1), np.int32)
        rows_B = rows.reshape(-1)
        # Lifted out of tf.data's graph, where a constant of many megabytes would be copied.
        with tf.init_scope():
            sites = tf.data.Dataset.from_tensor_slices(tf.constant(rows_B, tf.int32))
        read = self._sites.reader()

        def site(row: tf.Tensor) -> dict[str, tf.Tensor]:
            record, facts = read(row)
            return facts | {schema.PIXELS: decode_pixels(record, self._shape_CHW)}

        decoded = sites.map(site, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        size = self._size + self._n_controls
        return decoded.batch(size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)

    def plan(self, epoch: int) -> np.ndarray:
        """Rows of the site table, int32 [steps, hosts, replicas of a host, B]."""
        generator = np.random.default_rng([self._seed, epoch])
        minibatches = [
            self._with_controls(minibatch, generator)
            for group in self._groups
            for minibatch in _cut(generator.permutation(group), self._size)
        ]
        order = generator.permutation(len(minibatches))[: self.steps_per_epoch * self._n_replicas]
        rows = np.stack([minibatches[i] for i in order]).astype(np.int32)
        shape = (self.steps_per_epoch, self._n_hosts, self._n_replicas // self._n_hosts, -1)
        return rows.reshape(shape)

    def _with_controls(self, minibatch: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        if self._n_controls == 0:
            return minibatch
        controls = self._sites.controls[int(self._sites.plate[minibatch[0]])]
        drawn = np.resize(generator.permutation(controls), self._n_controls)
        return np.concatenate([minibatch, drawn])


Feed = PlateFeed | ComposedFeed


class _Sites:
    """A row for each labelled site and, behind them, for each control as context."""

    def __init__(self, plates: Sequence[PlateRecords], with_controls: bool) -> None:
        labelled = [np.flatnonzero(p.labels >= 0) for p in plates]
        if with_controls:
            _check_controls(plates)
        controls = [np.flatnonzero(p.controls)[: None if with_controls else 0] for p in plates]
        chosen = [*labelled, *controls]
        both = [*plates, *plates]
        numbers = list(range(len(plates))) * 2
        #: Rows of labelled sites, and of each plate's controls.
        n_labelled = sum(len(rows) for rows in labelled)
        self.labelled = np.arange(n_labelled)
        begins = n_labelled + np.cumsum([0] + [len(rows) for rows in controls])
        self.controls = [np.arange(a, b) for a, b in itertools.pairwise(begins)]
        self.plate = np.repeat(numbers, [len(rows) for rows in chosen]).astype(np.int32)
        pairs = list(zip(both, chosen, strict=True))
        self._label = np.concatenate([p.labels[rows] for p, rows in pairs]).astype(np.int32)
        self._label[n_labelled:] = schema.LABEL_UNKNOWN
        self._center_NC = np.concatenate([p.center_NC[rows] for p, rows in pairs])
        self._scale_NC = np.concatenate([p.scale_NC[rows] for p, rows in pairs])
        self._held = [r for p in plates for r in p.held]
        if with_controls:
            self._held += [r for p in plates for r in p.held_controls]
        first_file = np.cumsum([0] + [len(p.files) for p in plates])
        places = [p.places_N3[rows] for p, rows in pairs]
        for place_N3, number in zip(places, numbers, strict=True):
            place_N3[:, 0] += first_file[number]
        self._places_N3 = np.concatenate(places)
        self._files = [path for p in plates for path in p.files]

    def reader(self) -> Callable[[tf.Tensor], tuple[tf.Tensor, dict[str, tf.Tensor]]]:
        """From a row to its serialised record and what is known of it, as graph operations."""
        with tf.init_scope():
            facts = {
                schema.LABEL: tf.constant(self._label),
                schema.CENTER: tf.constant(self._center_NC),
                schema.SCALE: tf.constant(self._scale_NC),
                PLATE: tf.constant(self.plate),
            }
            held = tf.constant(self._held) if self._held else None
            files, places_N3 = tf.constant(self._files), tf.constant(self._places_N3)

        def read(row: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
            found = {key: values[row] for key, values in facts.items()}
            if held is not None:
                return held[row], found
            place_3 = places_N3[row]
            return _record_at(files[place_3[0]], place_3[1], place_3[2]), found

        return read


def _record_at(file: tf.Tensor, first_byte: tf.Tensor, n_bytes: tf.Tensor) -> tf.Tensor:
    """One record of a TFRecord file, its checksum verified, without reading what is before it."""
    opened = tf.raw_ops.TFRecordDatasetV2(
        filenames=file, compression_type="", buffer_size=n_bytes, byte_offsets=first_byte
    )
    records = tf.data.experimental.from_variant(opened, tf.TensorSpec([], tf.string))
    return records.take(1).get_single_element()


def _groups(
    plates: Sequence[PlateRecords], labelled: np.ndarray, composition: Composition
) -> list[np.ndarray]:
    """Rows of the labelled sites of each group, in the order in which groups first appear."""
    names = {
        "plate": [p.plate_id for p in plates],
        "experiment": [p.experiment for p in plates],
        "cell_type": [p.cell_type for p in plates],
        "random": ["" for _ in plates],
    }[composition]
    of_site = np.repeat(names, [p.n_labelled for p in plates])
    return [labelled[of_site == name] for name in dict.fromkeys(names)]


def _cut(rows: np.ndarray, size: int) -> np.ndarray:
    """Whole minibatches [M, size] of shuffled rows; too few for one are repeated."""
    n_minibatches = max(1, len(rows) // size)
    return np.resize(rows, n_minibatches * size).reshape(n_minibatches, size)


def _check_controls(plates: Sequence[PlateRecords]) -> None:
    without = [p.plate_id for p in plates if not p.controls.any()]
    if without:
        raise PlatewiseError(
            f"plate {without[0]} ({len(without)} of {len(plates)} training plates) has no site of "
            "context.well_types, so context.control_sites cannot be drawn; set it to 0, or add "
            "the well type that the plates have to context.well_types"
        )
