"""Prediction rows of a made-up model, and one way to run the real Evaluator on them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer import schema
from trainer.manifest import Manifest, write_manifest
from trainer.predictions import SPLIT, Columns, join, well_rows, write_plate

N_CLASSES = 8
N_CHANNELS = 2


@dataclass(frozen=True)
class Made:
    """What to make: experiment -> share of sites that the model gets right."""

    right: dict[str, float]
    #: The same for the latest blessed model; None leaves its column out.
    baseline: dict[str, float] | None = None
    #: There is a latest blessed model, but it did not read the rows.
    unread_baseline: bool = False
    wells_per_plate: int = 40
    #: Experiments that the manifest expects beside those of ``right``.
    lost: tuple[str, ...] = ()
    #: Labels of these experiments are unknown.
    unlabelled: tuple[str, ...] = ()
    split: str = schema.SPLIT_EVAL
    #: Share of positive controls, known and read rightly, among the wells of a plate.
    controls: float = 0.0


def _probabilities(labels: np.ndarray, share_right: float, rng: np.random.Generator) -> np.ndarray:
    """Probabilities [N, K] whose argmax is the label in exactly this share of rows."""
    n = len(labels)
    wrong = (labels + rng.integers(1, N_CLASSES, n)) % N_CLASSES
    hit = np.arange(n) < round(share_right * n)
    logits = rng.normal(0, 0.3, (n, N_CLASSES))
    logits[np.arange(n), np.where(hit, labels, wrong)] += 4.0
    values = np.exp(logits)
    return (values / values.sum(1, keepdims=True)).astype(np.float32)


def plate_rows(made: Made, experiment: str, plate: int, rng: np.random.Generator) -> Columns:
    """Site rows of one plate: two sites a well, both of one label."""
    n = made.wells_per_plate
    plate_id = schema.plate_id(experiment, plate)
    wells = np.repeat([f"B{i:02d}" for i in range(n)], 2)
    sites = np.tile([1, 2], n)
    # The two sites of a well are right or wrong together, so that a well is as its sites are.
    well_label = rng.integers(0, N_CLASSES, n)
    labels = np.repeat(well_label, 2)

    def both(share: float) -> np.ndarray:
        return np.repeat(_probabilities(well_label, share, rng), 2, axis=0)

    def text(values: Any) -> np.ndarray:
        return np.array([str(v) for v in np.broadcast_to(values, 2 * n)], object)

    rows: Columns = {
        schema.SITE_ID: text([f"{plate_id}_{w}_{s}" for w, s in zip(wells, sites, strict=True)]),
        schema.WELL_ID: text([f"{plate_id}_{w}" for w in wells]),
        schema.EXPERIMENT: text(experiment),
        schema.PLATE_ID: text(plate_id),
        schema.WELL: text(wells),
        schema.CELL_TYPE: text(experiment.split("-")[0]),
        schema.WELL_TYPE: text(schema.WELL_TREATMENT),
        schema.TREATMENT: text([f"sirna_{k}" for k in labels]),
        schema.LEVEL: text(schema.LEVEL_SITE),
        SPLIT: text(made.split),
        schema.SITE: sites.astype(np.int64),
        schema.LABEL: labels.astype(np.int64),
        schema.PLATE_KNOWN: np.ones(2 * n, np.int64),
        schema.N_SITES: np.ones(2 * n, np.int64),
        schema.PROBABILITIES: both(made.right[experiment]),
        schema.EMBEDDING: rng.normal(size=(2 * n, 4)).astype(np.float32),
    }
    if made.baseline is not None:
        rows[schema.BASELINE_PROBABILITIES] = both(made.baseline[experiment])
    if experiment in made.unlabelled:
        rows[schema.LABEL][:] = schema.LABEL_UNKNOWN
    else:  # every screen has wells whose label is unknown: its controls
        rows[schema.LABEL][:4] = schema.LABEL_UNKNOWN
        rows[schema.WELL_TYPE][:4] = schema.WELL_NEGATIVE
    n_controls = 2 * round(made.controls * n)
    if n_controls:
        rows[schema.WELL_TYPE][-n_controls:] = schema.WELL_POSITIVE
        certain = np.eye(N_CLASSES, dtype=np.float32)[labels[-n_controls:]]
        rows[schema.PROBABILITIES][-n_controls:] = certain
    for key in (
        schema.PSNR_NOISY,
        schema.PSNR_DENOISED,
        schema.SSIM_NOISY,
        schema.SSIM_DENOISED,
    ):
        rows[key] = np.full((2 * n, N_CHANNELS), np.nan, np.float32)
        rows[key][:3] = 0.5  # only a few sites are measured
    return rows


def _write_predictions(folder: Path, made: Made, seed: int = 0) -> Columns:
    """Write rows of sites and wells, two plates an experiment; returns all of them."""
    rng = np.random.default_rng(seed)
    shards, everything = [], []
    for experiment in made.right:
        for plate in (1, 2):
            sites = plate_rows(made, experiment, plate, rng)
            rows = join([sites, well_rows(sites)])
            plate_id = schema.plate_id(experiment, plate)
            shards.append(write_plate(str(folder), made.split, plate_id, rows))
            everything.append(rows)
    expected = dict.fromkeys((*made.right, *made.lost), 4 * made.wells_per_plate)
    manifest = Manifest(
        tuple(shards),
        N_CHANNELS,
        64,
        64,
        classes=tuple(f"sirna_{k}" for k in range(N_CLASSES)),
        expected_sites={made.split: expected},
    )
    write_manifest(str(folder), manifest)
    return join(everything)


@dataclass
class Evaluated:
    """Artifacts of one run of the Evaluator."""

    rows: Columns
    evaluation_uri: str
    blessing: Any


@pytest.fixture
def evaluate(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Evaluated]:
    """evaluate(Made, EvaluationConfig) -> Evaluated: the real executor on written rows."""

    def run(made: Made, config: Any, damage: Callable[[Path], None] | None = None) -> Evaluated:
        from tfx.dsl.components.base import base_beam_executor
        from tfx.types import artifact_utils, standard_artifacts

        from components.beam_options import IN_PROCESS
        from components.evaluator.executor import CONFIG_KEY, PlateEvaluatorExecutor
        from trainer.strict import to_mapping

        folder = tmp_path_factory.mktemp("predictions")
        rows = _write_predictions(folder, made)
        if damage:
            damage(folder)

        def artifact(kind: type, uri: Path, number: int = 0) -> Any:
            made_artifact = kind()
            made_artifact.uri = str(uri)
            made_artifact.id = number
            return made_artifact

        examples = artifact(standard_artifacts.Examples, folder)
        examples.split_names = artifact_utils.encode_split_names([made.split])
        models = tmp_path_factory.mktemp("models")
        inputs = {
            "examples": [examples],
            "model": [artifact(standard_artifacts.Model, models / "new", 7)],
        }
        if made.baseline is not None or made.unread_baseline:
            inputs["baseline_model"] = [artifact(standard_artifacts.Model, models / "old", 3)]
        out = tmp_path_factory.mktemp("out")
        (out / "blessing").mkdir()
        outputs = {
            "evaluation": [artifact(standard_artifacts.ModelEvaluation, out / "evaluation")],
            "blessing": [artifact(standard_artifacts.ModelBlessing, out / "blessing")],
        }
        (out / "evaluation").mkdir()
        context = base_beam_executor.BaseBeamExecutor.Context(
            beam_pipeline_args=list(IN_PROCESS),
            tmp_dir=str(tmp_path_factory.mktemp("beam")),
            unique_id="1",
        )
        properties = {CONFIG_KEY: json.dumps(to_mapping(config)), "code_digest": ""}
        PlateEvaluatorExecutor(context).Do(inputs, outputs, properties)
        return Evaluated(rows, str(out / "evaluation"), outputs["blessing"][0])

    return run


@pytest.fixture
def made() -> type[Made]:
    return Made


@pytest.fixture
def write_predictions() -> Callable[..., Columns]:
    return _write_predictions
