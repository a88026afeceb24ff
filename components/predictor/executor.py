"""Executor of PlatePredictor: one plate after the other, each in a file of its own."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components.trainer.executor import TRANSFORM_IN_MODEL
from trainer import schema
from trainer.bundle import Bundle, load_bundle
from trainer.config import PredictConfig
from trainer.errors import PlatewiseError
from trainer.manifest import Manifest, Shard, read_manifest, verify, write_manifest
from trainer.predict import Predictor, plates_of
from trainer.predictions import Columns, join, well_rows, write_plate
from trainer.strict import build
from trainer.transform_graph import read_normaliser

logger = logging.getLogger(__name__)


class PlatePredictorExecutor(base_executor.BaseExecutor):
    """Predicts in this process."""

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Write prediction rows of every split asked for, and their manifest.

        Raises
        ------
        PlatewiseError
            Damaged Examples, a split that is not there, or a model that does not fit them.
        """
        examples_dir = artifact_utils.get_single_uri(input_dict["examples"])
        transform_dir = artifact_utils.get_single_uri(input_dict["transform_graph"])
        predictions = artifact_utils.get_single_instance(output_dict["predictions"])
        bundle = load_bundle(model_folder(artifact_utils.get_single_uri(input_dict["model"])))
        predict = exec_properties.get("predict")
        config = build(PredictConfig, json.loads(predict)) if predict else bundle.config.predict
        baseline = _baseline(input_dict.get("baseline_model") or [], transform_dir)

        manifest = read_manifest(examples_dir)
        wanted = json.loads(exec_properties["splits"])
        splits = _splits(manifest, wanted, examples_dir)
        verify(examples_dir, manifest, splits)
        predictor = Predictor(bundle, transform_dir, config, baseline)
        relabel = _relabelling(read_normaliser(transform_dir).classes, bundle.classes)
        shards: list[Shard] = []
        for split in splits:
            (Path(predictions.uri) / f"Split-{split}").mkdir(parents=True, exist_ok=True)
            for plate_id, members in plates_of(manifest, split):
                rows = predictor.predict_plate(examples_dir, manifest, members)
                rows[schema.LABEL] = relabel[rows[schema.LABEL]]
                shards.append(_write(predictions.uri, split, plate_id, rows))
                logger.info("plate %s of %s: %d rows", plate_id, split, shards[-1].n_records)
        write_manifest(
            predictions.uri,
            dataclasses.replace(
                manifest,
                shards=tuple(shards),
                classes=bundle.classes,
                # An experiment, or a whole split, that lost every site is n = 0, not absent.
                expected_sites={
                    split: sites
                    for split, sites in manifest.expected_sites.items()
                    if not wanted or split in wanted
                },
            ),
        )
        predictions.split_names = artifact_utils.encode_split_names(splits)


def model_folder(uri: str) -> str:
    """Folder of the SavedModel in a model artifact, or a pushed folder as it is."""
    serving = path_utils.serving_model_dir(uri)
    return serving if fileio.isdir(serving) else uri


def _baseline(models: list[types.Artifact], transform_dir: str) -> tuple[Bundle, str] | None:
    """The model to beat, with a Transform graph that is fair to it.

    A model trained with another normaliser needs its own. With the same one, the new graph
    serves better, because it knows plates that have come since.
    """
    if not models:
        return None
    folder = model_folder(artifact_utils.get_single_uri(models))
    own = os.path.join(folder, TRANSFORM_IN_MODEL)
    same = read_normaliser(own).config == read_normaliser(transform_dir).config
    return load_bundle(folder), transform_dir if same else own


def _splits(manifest: Manifest, wanted: list[str], where: str) -> list[str]:
    there = [split for split in manifest.splits() if manifest.of_split(split)]
    missing = sorted(set(wanted) - set(manifest.splits()))
    if missing:
        raise PlatewiseError(
            f"{where} has no split {', '.join(missing)}; it has: {', '.join(there) or 'none'}"
        )
    return [split for split in there if not wanted or split in wanted]


def _relabelling(fitted: tuple[str, ...], trained: tuple[str, ...]) -> np.ndarray:
    """From a label of the Transform graph to the model's; the last entry serves label -1."""
    position = {name: label for label, name in enumerate(trained)}
    labels = [position.get(name, schema.LABEL_UNKNOWN) for name in fitted]
    return np.array([*labels, schema.LABEL_UNKNOWN], np.int64)


def _write(folder: str, split: str, plate_id: str, sites: Columns) -> Shard:
    return write_plate(folder, split, plate_id, join([sites, well_rows(sites)]))
