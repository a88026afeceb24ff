"""A small written screen and one way to run the real Transform executor on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from trainer import records, schema
from trainer.config import NormalizerConfig
from trainer.manifest import Manifest, Shard, write_manifest
from trainer.strict import to_mapping

N_CHANNELS, HEIGHT, WIDTH = 3, 20, 24
#: Negative-control wells of each plate, (experiment, plate) in the order of PLATES.
PLATES = {
    ("HUVEC-2", 1): 1,
    ("HUVEC-2", 2): 3,
    ("HUVEC-10", 1): 1,
    ("HUVEC-10", 2): 0,
    ("RPE-01", 1): 1,
}
SPLIT_OF = {"HUVEC-2": "train", "HUVEC-10": "train", "RPE-01": "eval"}


@dataclass
class Screen:
    """Folder of Examples, and every site that was written into it."""

    folder: Path
    sites: list[tuple[records.SiteIdentity, np.ndarray]]

    def pixels(self, keep: Callable[[records.SiteIdentity], bool]) -> np.ndarray:
        """All chosen pixels, uint8 [C, N]."""
        chosen = [p.reshape(N_CHANNELS, -1) for identity, p in self.sites if keep(identity)]
        return np.concatenate(chosen, axis=1)


def _sites(rng: np.random.Generator) -> list[tuple[records.SiteIdentity, np.ndarray]]:
    sites = []
    for (experiment, plate), n_controls in PLATES.items():
        level = rng.uniform(20, 120, N_CHANNELS)
        spread = rng.uniform(3, 30, N_CHANNELS)
        kinds = [(schema.WELL_NEGATIVE, "EMPTY")] * n_controls
        kinds += [(schema.WELL_POSITIVE, "sirna_100")]
        kinds += [(schema.WELL_TREATMENT, f"sirna_{i}") for i in (2, 10, 1)]
        if experiment == "RPE-01":
            kinds += [(schema.WELL_TREATMENT, "")]  # a well nobody labelled
        for column, (kind, treatment) in enumerate(kinds):
            shift = 25.0 if kind == schema.WELL_NEGATIVE else 0.0
            for site in (1, 2):
                identity = records.SiteIdentity(
                    experiment=experiment,
                    plate_id=schema.plate_id(experiment, plate),
                    well=f"B{column + 2:02d}",
                    site=site,
                    cell_type=experiment.split("-")[0],
                    well_type=kind,
                    treatment=treatment,
                )
                pixels = rng.normal(
                    (level + shift)[:, None, None],
                    spread[:, None, None],
                    (N_CHANNELS, HEIGHT, WIDTH),
                )
                pixels = np.clip(pixels, 0, 255).astype(np.uint8)
                if (experiment, plate) == ("HUVEC-10", 1):
                    pixels[2] = 7  # a channel that was never lit
                sites.append((identity, pixels))
    return sites


def _write_examples(folder: Path, sites: list[tuple[records.SiteIdentity, np.ndarray]]) -> None:
    """Write sites as an Examples artifact, one shard a plate, with its manifest."""
    import google_crc32c
    import tensorflow as tf

    by_plate: dict[str, list[tuple[records.SiteIdentity, np.ndarray]]] = {}
    for identity, pixels in sites:
        by_plate.setdefault(identity.plate_id, []).append((identity, pixels))
    shards = []
    for plate, members in by_plate.items():
        experiment = members[0][0].experiment
        split = SPLIT_OF[experiment]
        path = folder / f"Split-{split}" / f"{plate}-00000-of-00001"
        path.parent.mkdir(parents=True, exist_ok=True)
        with tf.io.TFRecordWriter(str(path)) as writer:
            for identity, pixels in members:
                writer.write(records.encode_site(identity, pixels))
        content = path.read_bytes()
        crc = f"{google_crc32c.value(content):08x}"
        name = path.relative_to(folder).as_posix()
        shards.append(Shard(split, plate, experiment, name, len(members), len(content), crc))
    write_manifest(
        str(folder), Manifest(tuple(shards), N_CHANNELS, HEIGHT, WIDTH, expected_sites={})
    )


@pytest.fixture(scope="session")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Screen:
    folder = tmp_path_factory.mktemp("examples")
    sites = _sites(np.random.default_rng(7))
    _write_examples(folder, sites)
    return Screen(folder, sites)


@pytest.fixture(scope="session")
def write_examples() -> Callable[..., None]:
    return _write_examples


@pytest.fixture(scope="session")
def schema_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from google.protobuf import text_format
    from tensorflow_transform.tf_metadata import schema_utils

    folder = tmp_path_factory.mktemp("schema")
    proto = schema_utils.schema_from_feature_spec(schema.raw_feature_spec(N_CHANNELS))
    (folder / "schema.pbtxt").write_text(text_format.MessageToString(proto))
    return folder


@pytest.fixture(scope="session")
def run_transform(schema_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """run_transform(examples folder, NormalizerConfig, ...) -> Transform folder."""

    def run(examples_dir: Path, config: NormalizerConfig, controls_as_classes: bool = False) -> str:
        from tfx.dsl.components.base import base_beam_executor
        from tfx.types import artifact_utils, standard_artifacts
        from tfx.utils import json_utils

        from components.beam_options import IN_PROCESS
        from components.normaliser.component import PREPROCESSING_FN
        from components.normaliser.executor import PlateTransformExecutor

        def artifact(kind: type, uri: Path) -> object:
            made = kind()
            made.uri = str(uri)
            return made

        examples = artifact(standard_artifacts.Examples, examples_dir)
        examples.split_names = artifact_utils.encode_split_names(["train", "eval"])
        out = tmp_path_factory.mktemp("transform")
        context = base_beam_executor.BaseBeamExecutor.Context(
            beam_pipeline_args=list(IN_PROCESS),
            tmp_dir=str(tmp_path_factory.mktemp("beam")),
            unique_id="1",
        )
        custom = {
            "normalizer": to_mapping(config),
            "controls_as_classes": controls_as_classes,
        }
        PlateTransformExecutor(context).Do(
            {
                "examples": [examples],
                "schema": [artifact(standard_artifacts.Schema, schema_dir)],
            },
            {"transform_graph": [artifact(standard_artifacts.TransformGraph, out)]},
            {
                "preprocessing_fn": PREPROCESSING_FN,
                "force_tf_compat_v1": 0,
                "custom_config": json_utils.dumps(custom),
                "disable_statistics": 1,
                "code_digest": "",
            },
        )
        return str(out)

    return run
