"""A toy screen small enough to train on in seconds: Examples and a Transform graph.

The Examples are written by the product's own encoder; the graph is a plain SavedModel of the
same form as the Transform step's, so that these tests need no Beam.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
import numpy as np
import pytest

from trainer import schema
from trainer.config import NormalizerConfig, TrainerConfig
from trainer.manifest import Manifest, Shard, write_manifest
from trainer.normalize import PlateCounts, fit_plates
from trainer.presets import preset
from trainer.records import SiteIdentity, encode_site, frame, histogram

CLASSES = ("2", "7", "10", "31")
N_CHANNELS = 2
SIZE_PX = 24


@dataclass(frozen=True)
class ToyScreen:
    """Where the toy screen lies and what is in it."""

    examples_dir: str
    transform_dir: str
    manifest: Manifest
    #: plate -> [(identity, pixels_CHW)] in the order of the shard.
    plates: dict[str, list[tuple[SiteIdentity, np.ndarray]]]

    def config(self, **overrides: dict) -> TrainerConfig:
        """The tiny preset, shrunk to this screen; ``overrides`` by section."""
        small: dict[str, dict] = {
            "model": {
                "n_channels": N_CHANNELS,
                "image_size_px": 16,
                "denoiser_widths": [8, 8],
                "tiny_widths": [8, 16],
                "embedding_dim": 8,
                "dropout": 0.1,
            },
            "data": {"minibatch_size": 6},
            "loop": {"epochs": 2, "checkpoint_every_s": 1000.0, "seed": 3},
        }
        for section, values in overrides.items():
            small[section] = small.get(section, {}) | values
        return preset("tiny", small)


def toy_pixels(treatment: str, gain: float, rng: np.random.Generator) -> np.ndarray:
    """Waves whose period tells the treatment whichever way they run, under a plate's gain."""
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX]
    k = CLASSES.index(treatment) if treatment in CLASSES else 0
    wave = np.sin((x if rng.random() < 0.5 else y) * (0.4 + 0.55 * k) + rng.uniform(0, 6))
    planes = np.stack([70 + 25 * wave, 60 + 12 * np.sqrt(np.abs(wave))])
    noisy = gain * planes + rng.normal(0, 3, planes.shape)
    return np.clip(np.round(noisy), 0, 255).astype(np.uint8)


def toy_plate(experiment: str, plate: int, n_sites: int, seed: int, labelled: bool = True) -> list:
    """Sites of one plate: treatments in turn, every seventh a negative control."""
    rng = np.random.default_rng(seed)
    gain = rng.uniform(0.6, 1.4)
    sites = []
    for i in range(n_sites):
        control = i % 7 == 6
        treatment = "EMPTY" if control else CLASSES[(i // 2) % len(CLASSES)]
        identity = SiteIdentity(
            experiment=experiment,
            plate_id=schema.plate_id(experiment, plate),
            well=f"B{2 + i // 2:02d}",
            site=1 + i % 2,
            cell_type="HUVEC",
            well_type=schema.WELL_NEGATIVE if control else schema.WELL_TREATMENT,
            treatment=treatment if labelled else "",
        )
        sites.append((identity, toy_pixels(treatment, gain, rng)))
    return sites


def write_toy_examples(folder: Path, plates: dict[str, dict[str, list]]) -> Manifest:
    """Write split -> plate -> sites as Examples with their manifest."""
    shards = []
    for split, members in plates.items():
        (folder / f"Split-{split}").mkdir(parents=True, exist_ok=True)
        for plate, sites in members.items():
            content = b"".join(frame(encode_site(i, p)) for i, p in sites)
            name = f"Split-{split}/{plate}-00000-of-00001"
            (folder / name).write_bytes(content)
            crc = f"{google_crc32c.value(content):08x}"
            experiment = sites[0][0].experiment
            shards.append(Shard(split, plate, experiment, name, len(sites), len(content), crc))
    shape = next(iter(next(iter(plates.values())).values()))[0][1].shape
    manifest = Manifest(tuple(shards), *shape, classes=CLASSES)
    write_manifest(str(folder), manifest)
    return manifest


def write_toy_transform(folder: Path, plates: dict[str, list]) -> None:
    """A Transform graph fitted on these plates (plate mean and standard deviation)."""
    import tensorflow as tf

    from trainer import transform_graph

    counts = {
        plate: PlateCounts(
            experiment=sites[0][0].experiment,
            histogram_CQ=np.sum([histogram(pixels) for _, pixels in sites], axis=0),
            control_histogram_CQ=np.zeros((sites[0][1].shape[0], 256), np.int64),
        )
        for plate, sites in plates.items()
    }
    table = fit_plates(counts, NormalizerConfig())
    fitted = transform_graph.FittedNormaliser(
        config=NormalizerConfig(),
        classes=CLASSES,
        experiments=tuple(sorted({c.experiment for c in counts.values()})),
        cell_types=("HUVEC",),
        plates=tuple(table),
        center_PC=np.stack([center for center, _ in table.values()]),
        scale_PC=np.stack([scale for _, scale in table.values()]),
        n_sites=tuple(len(sites) for sites in plates.values()),
        n_control_wells=tuple(0 for _ in plates),
    )

    def find(name_B: tf.Tensor, known: tuple[str, ...]) -> tf.Tensor:
        hit = tf.cast(name_B[:, None] == tf.constant(known)[None, :], tf.int64)
        return tf.reduce_sum(hit * tf.range(1, len(known) + 1, dtype=tf.int64), axis=1) - 1

    spec = schema.raw_feature_spec(fitted.center_PC.shape[1])

    @tf.function
    def transform_fn(raw: dict) -> dict:
        plate_B = find(raw[schema.PLATE_ID], fitted.plates)
        row_B = tf.maximum(plate_B, 0)
        return {
            schema.CENTER: tf.gather(tf.constant(fitted.center_PC), row_B),
            schema.SCALE: tf.gather(tf.constant(fitted.scale_PC), row_B),
            schema.PLATE_KNOWN: tf.cast(plate_B >= 0, tf.int64),
            schema.LABEL: find(raw[schema.TREATMENT], fitted.classes),
            schema.EXPERIMENT_INDEX: find(raw[schema.EXPERIMENT], fitted.experiments),
            schema.PLATE_INDEX: plate_B,
            schema.CELL_TYPE_INDEX: find(raw[schema.CELL_TYPE], fitted.cell_types),
        }

    module = tf.Module()
    module.transform_fn = transform_fn.get_concrete_function(
        {k: tf.TensorSpec([None, *f.shape], f.dtype, k) for k, f in spec.items()}
    )
    tf.saved_model.save(module, str(folder / "transform_fn"))
    (folder / transform_graph.TEXT_NAME).write_text(fitted.to_json())


@pytest.fixture(scope="session")
def make_toy_screen(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., ToyScreen]:
    """Builds a toy screen from split -> plate -> sites."""

    def make(splits: dict[str, dict[str, list]]) -> ToyScreen:
        folder = tmp_path_factory.mktemp("toy")
        manifest = write_toy_examples(folder / "examples", splits)
        plates = {plate: sites for members in splits.values() for plate, sites in members.items()}
        write_toy_transform(folder / "transform", plates)
        return ToyScreen(str(folder / "examples"), str(folder / "transform"), manifest, plates)

    return make


@pytest.fixture(scope="session")
def toy_screen(make_toy_screen: Callable[..., ToyScreen]) -> ToyScreen:
    """Three training plates (one smaller than a minibatch) and one evaluation plate."""
    return make_toy_screen(
        {
            schema.SPLIT_TRAIN: {
                "HUVEC-01_1": toy_plate("HUVEC-01", 1, 28, seed=1),
                "HUVEC-01_2": toy_plate("HUVEC-01", 2, 21, seed=2),
                "HUVEC-02_1": toy_plate("HUVEC-02", 1, 5, seed=3),
            },
            schema.SPLIT_EVAL: {"HUVEC-03_1": toy_plate("HUVEC-03", 1, 26, seed=4)},
        }
    )


@pytest.fixture(scope="session")
def toy_classes() -> tuple[str, ...]:
    """Class names of the toy screen."""
    return CLASSES


@dataclass(frozen=True)
class TrainedToy:
    """A model that has learnt the toy screen."""

    screen: ToyScreen
    folder: str
    history: tuple[dict[str, float], ...]


@pytest.fixture(scope="session")
def trained_toy(toy_screen: ToyScreen, tmp_path_factory: pytest.TempPathFactory) -> TrainedToy:
    """Trained once for all tests that need a model which is better than chance."""
    from trainer.train import train

    folder = tmp_path_factory.mktemp("trained")
    config = toy_screen.config(
        loop={"epochs": 40},
        optimizer={"peak_learning_rate": 5e-3},
        augment={"cutmix_probability": 0.0},
        noise={"impulse_share": 0.0, "peak_photons_low": 500.0},
    )
    result = train(
        toy_screen.examples_dir,
        toy_screen.transform_dir,
        config,
        str(folder / "checkpoints"),
        str(folder / "out"),
    )
    return TrainedToy(toy_screen, result.out_dir, result.trained.history)
