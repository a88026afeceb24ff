"""What the network says of every site of a plate.

A plate is read by itself, its sites in the order of their names, so that the same plate
gives the same numbers in a training pipeline and in a scoring pipeline. BatchNorm takes its
statistics from the plate (see :mod:`trainer.adapt`); sites larger than the network's image
are cut into tiles, whose answers are averaged.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from trainer import schema
from trainer.adapt import moments_function, plate_statistics, using_statistics
from trainer.answers import model_input, per_tile, site_answers
from trainer.bundle import Bundle
from trainer.config import PredictConfig
from trainer.context import statistics_minibatches
from trainer.errors import PlatewiseError
from trainer.geometry import check_size, grey_image, tiles
from trainer.manifest import Manifest, Shard
from trainer.metrics.image import psnr_db, ssim
from trainer.models import batch_norm_layers
from trainer.noise import protocol_noise
from trainer.normalize import denormalise_image, normalise_image
from trainer.plates import Plate, features_function, read_plate
from trainer.predictions import FIDELITY_COLUMNS, SPLIT, Columns
from trainer.transform_graph import load_transform, read_classes, read_normaliser

_LOG = logging.getLogger(__name__)

#: With fewer sites a plate's own BatchNorm statistics are worse than the training plates'.
MIN_SITES_TO_ADAPT = 8

Baseline = tuple[Bundle, str]


@dataclass(frozen=True, eq=False)
class _Reader:
    """A bundle with its compiled functions."""

    bundle: Bundle
    transform: Callable
    moments: Callable
    answers: Callable
    _features: dict[tuple[int, int, int], Callable] = field(default_factory=dict)

    def features(self, plate: Plate) -> Callable:
        """From serialised records to features, compiled once for each shape of site."""
        manifest = plate.manifest
        shape = (manifest.n_channels, manifest.height, manifest.width)
        if shape not in self._features:
            self._features[shape] = features_function(self.transform, manifest)
        return self._features[shape]


class Predictor:
    """Reads plates with a trained model.

    Parameters
    ----------
    bundle
        Model, configuration and class names.
    transform_dir
        Transform graph fitted on the plates that will be read.
    config
        Minibatch size, BatchNorm, fidelity protocol.
    baseline
        A second model to be read beside the first (the one that is blessed now) and the
        Transform graph it was trained with, which normalises the plates it knows. Its
        probabilities are brought into the order of the first's classes.
    baseline_everywhere
        The second model reads every split, and its embedding is kept too.
    """

    def __init__(
        self,
        bundle: Bundle,
        transform_dir: str,
        config: PredictConfig,
        baseline: Baseline | None = None,
        baseline_everywhere: bool = False,
    ) -> None:
        self.bundle, self.config = bundle, config
        if bundle.config.data.shuffle_labels:
            _LOG.warning(
                "this model was trained on shuffled labels (data.shuffle_labels), for a leak "
                "audit: on held-out experiments it must be right no more often than by chance"
            )
        self._everywhere = baseline_everywhere
        transform = load_transform(transform_dir)
        self._to_label = _class_positions(read_classes(transform_dir), bundle.classes)
        self._reader = self._compile(bundle, transform)
        self._fidelity = tf.function(self._measure, autograph=False, reduce_retracing=True)
        self._baseline: dict[bool, _Reader] = {}
        if baseline is not None:
            second, own_transform_dir = baseline
            self._baseline_plates = set(read_normaliser(own_transform_dir).plates)
            self._baseline[True] = self._compile(second, load_transform(own_transform_dir))
            self._baseline[False] = self._compile(second, transform)
            self._from_baseline = _class_positions(bundle.classes, second.classes)

    def predict_plate(
        self, examples_dir: str, manifest: Manifest, shards: Shard | Sequence[Shard]
    ) -> Columns:
        """One row a site, ordered by site name.

        Parameters
        ----------
        examples_dir
            Folder of the manifest, whose shards were verified.
        manifest
            Gives the shape of the sites.
        shards
            The shards of one plate in one split. The baseline reads split ``eval`` alone, which
            is what a gate compares, or all; fidelity is measured on plates that did not train.

        Returns
        -------
        Columns
            As in :mod:`trainer.predictions`, with all probabilities; wells come from
            :func:`trainer.predictions.well_rows`.

        Raises
        ------
        PlatewiseError
            Sites smaller than the network's image, or of other channels.
        """
        members = [shards] if isinstance(shards, Shard) else list(shards)
        _check_shape(examples_dir, manifest, self.bundle)
        plate = read_plate(examples_dir, manifest, members)
        split = members[0].split
        rows = self._rows(plate, self._reader)
        n_sites = len(plate.records)
        rows[SPLIT] = np.full(n_sites, split, object)
        rows[schema.LEVEL] = np.full(n_sites, schema.LEVEL_SITE, object)
        rows[schema.N_SITES] = np.ones(n_sites, np.int64)
        # The graph may have been fitted on a screen with other treatments than the model's.
        known = rows[schema.LABEL] >= 0
        rows[schema.LABEL][known] = self._to_label[rows[schema.LABEL][known]]
        compared = self._everywhere or split == schema.SPLIT_EVAL
        if self._baseline and compared and self._baseline_fits(manifest):
            reader = self._baseline[members[0].plate_id in self._baseline_plates]
            second = self._rows(plate, reader)
            found = second[schema.PROBABILITIES]
            brought = np.where(self._from_baseline >= 0, found[:, self._from_baseline], 0.0)
            rows[schema.BASELINE_PROBABILITIES] = brought.astype(np.float32)
            if self._everywhere:
                rows[schema.BASELINE_EMBEDDING] = second[schema.EMBEDDING]
        return rows | self._fidelity_columns(plate, measure=split != schema.SPLIT_TRAIN)

    def _baseline_fits(self, manifest: Manifest) -> bool:
        """Whether the second model can read these sites: their channels may have changed."""
        try:
            _check_shape("the screen", manifest, self._baseline[True].bundle)
        except PlatewiseError as error:
            _LOG.warning("no comparison with the latest blessed model: %s", error)
            return False
        return True

    def _compile(self, bundle: Bundle, transform: Callable) -> _Reader:
        def prepare(element: dict[str, tf.Tensor]) -> tf.Tensor:
            return model_input(element, bundle)

        def answers(element: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            return site_answers(element, bundle)

        return _Reader(
            bundle,
            transform,
            moments_function(bundle.model, prepare),
            tf.function(answers, autograph=False, reduce_retracing=True),
        )

    def _rows(self, plate: Plate, reader: _Reader) -> Columns:
        """Identity, label, probabilities and embedding of every site."""

        def minibatches() -> Iterator[dict[str, tf.Tensor]]:
            return plate.minibatches(self.config.minibatch_size, reader.features(plate))

        model = reader.bundle.model
        adapts = self.config.adapt_batch_norm and bool(batch_norm_layers(model))
        if adapts and len(plate.records) < MIN_SITES_TO_ADAPT:
            _LOG.warning(
                "plate %s of %d sites is too small for BatchNorm statistics of its own; "
                "the training plates' are used",
                plate.site_ids[0].rsplit("_", 2)[0],
                len(plate.records),
            )
            adapts = False
        if not adapts:
            return _collect(minibatches(), reader.answers)
        counted = statistics_minibatches(
            plate, self.config.minibatch_size, reader.features(plate), reader.bundle.config
        )
        with using_statistics(model, plate_statistics(reader.moments, counted)):
            return _collect(minibatches(), reader.answers)

    def _fidelity_columns(self, plate: Plate, measure: bool) -> Columns:
        """PSNR and SSIM of noisy and denoised images; NaN rows where not measured."""
        n_sites, n_channels = len(plate.records), plate.manifest.n_channels
        n_measured = min(self.config.protocol_sites_per_plate, n_sites)
        if not measure or not self.bundle.config.model.denoiser:
            n_measured = 0
        columns = {
            key: np.full((n_sites, n_channels), np.nan, np.float32) for key in FIDELITY_COLUMNS
        }
        for row in range(n_measured):
            clean, noisy, denoised = self.protocol_images(plate, row)
            for name, image in (("noisy", noisy), ("denoised", denoised)):
                # The mean over tiles; a site is usually one tile.
                columns[f"psnr_{name}_db"][row] = psnr_db(clean, image).mean(axis=0)
                columns[f"ssim_{name}"][row] = ssim(clean, image).mean(axis=0)
        return columns

    def protocol_images(self, plate: Plate, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Tiles [T, H, W, C] of a site in grey levels: clean, noisy and denoised.

        The noise is the fixed protocol's, seeded by the name of the site, unclipped.
        """
        element = plate.element(row, self._reader.features(plate))
        seed = tf.constant([0, zlib.crc32(plate.site_ids[row].encode()) & 0x7FFFFFFF], tf.int32)
        clean, noisy, denoised = self._fidelity(element, seed)
        return clean.numpy(), noisy.numpy(), denoised.numpy()

    def _measure(self, element: dict[str, tf.Tensor], seed: tf.Tensor) -> tuple:
        config = self.bundle.config.model
        clean = tiles(grey_image(element[schema.PIXELS], config), config.image_size_px)
        noisy = protocol_noise(
            clean,
            self.config.protocol_peak_photons,
            self.config.protocol_read_sigma_grey_levels,
            seed,
        )
        center, scale = per_tile(element, config)
        normalised = normalise_image(noisy, center, scale)
        denoised = self.bundle.model.get_layer("denoiser")(normalised, training=False)
        return clean, noisy, denormalise_image(denoised, center, scale)


_IDENTITY = (*schema.IDENTITY_KEYS, schema.TREATMENT, schema.LABEL, schema.PLATE_KNOWN)


def _collect(minibatches: Iterable[dict[str, tf.Tensor]], answers: Callable) -> Columns:
    parts: dict[str, list[np.ndarray]] = {}
    for element in minibatches:
        found = {key: element[key] for key in _IDENTITY} | answers(element)
        for key, values in found.items():
            parts.setdefault(key, []).append(values.numpy())
    joined = {key: np.concatenate(values) for key, values in parts.items()}
    return {
        key: np.array([v.decode() for v in values], object) if values.dtype == object else values
        for key, values in joined.items()
    }


def _check_shape(examples_dir: str, manifest: Manifest, bundle: Bundle) -> None:
    if manifest.n_channels != bundle.config.model.n_channels:
        raise PlatewiseError(
            f"{examples_dir} has {manifest.n_channels} channels, but the model was trained on "
            f"{bundle.config.model.n_channels}; predict with a model of this screen's stains"
        )
    check_size(manifest.height, manifest.width, bundle.config.model)


def _class_positions(classes: Sequence[str], of: Sequence[str]) -> np.ndarray:
    """For each class, its position among ``of``; -1 where it has none."""
    position = {name: i for i, name in enumerate(of)}
    return np.array([position.get(name, -1) for name in classes], np.int64)
