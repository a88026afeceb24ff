"""Executor of PlatePredictor: an adapter of :mod:`trainer.predict_examples`."""

from __future__ import annotations

import json
import logging
import os
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from components.predictor.comparison import NotCompared, write_comparison
from components.saved_models import model_folder
from components.staging import output_folder
from components.trainer.executor import PROGRESS_LOGGER
from trainer.artifact import TRANSFORM_IN_MODEL
from trainer.bundle import Bundle, load_bundle
from trainer.config import PredictConfig
from trainer.errors import PlatewiseError
from trainer.geometry import check_size
from trainer.manifest import MANIFEST_NAME, Manifest, read_manifest
from trainer.predict import Baseline
from trainer.predict_examples import PredictionProgress, predict_examples
from trainer.strict import ConfigError, build
from trainer.transform_graph import read_normaliser


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
        predictions = artifact_utils.get_single_instance(output_dict["predictions"])
        predict = exec_properties.get("predict")
        examples = artifact_utils.get_single_uri(input_dict["examples"])
        bundle = load_bundle(model_folder(artifact_utils.get_single_uri(input_dict["model"])))
        baseline = _baseline(
            input_dict.get("baseline_model") or [], bundle, read_manifest(examples)
        )
        with output_folder(predictions.uri, last=MANIFEST_NAME) as folder:
            manifest = predict_examples(
                bundle,
                artifact_utils.get_single_uri(input_dict["transform_graph"]),
                examples,
                folder,
                splits=json.loads(exec_properties["splits"]),
                config=build(PredictConfig, json.loads(predict)) if predict else None,
                baseline=None if isinstance(baseline, NotCompared) else baseline,
                progress=_tell,
                baseline_everywhere=bool(exec_properties.get("baseline_everywhere")),
            )
            if isinstance(baseline, NotCompared):
                write_comparison(folder, baseline)
        # A split without a single shard would make TFX's file patterns fail.
        filled = [split for split in manifest.splits() if manifest.of_split(split)]
        predictions.split_names = artifact_utils.encode_split_names(filled)


def _baseline(
    models: list[types.Artifact], own: Bundle, manifest: Manifest
) -> Baseline | NotCompared | None:
    """The latest blessed model, or why nothing is compared with it; None where there is none."""
    if not models:
        return None
    folder = model_folder(artifact_utils.get_single_uri(models))
    transform_dir = os.path.join(folder, TRANSFORM_IN_MODEL)
    try:
        baseline = load_bundle(folder)
        read_normaliser(transform_dir)
    except (PlatewiseError, ConfigError) as error:
        # The gate is closed, but an older version's model must not stop a new one for good.
        found = NotCompared(
            f"the latest blessed model cannot be read ({error}); to bless without comparing, set "
            "evaluation.compare_with_baseline = false",
            unreadable=True,
        )
    else:
        unlike = _unlike(baseline, own, manifest)
        if not unlike:
            return baseline, transform_dir
        found = NotCompared(f"the latest blessed model {unlike}", unreadable=False)
    logging.getLogger(__name__).warning("not compared: %s", found.reason)
    return found


def _unlike(baseline: Bundle, own: Bundle, manifest: Manifest) -> str:
    """Why a baseline says nothing of these sites; empty where it does.

    One that knows some of the treatments is compared: the others count against it.
    """
    n_channels = baseline.config.model.n_channels
    if n_channels != manifest.n_channels:
        return f"reads {n_channels} channels and this screen has {manifest.n_channels}"
    if not set(baseline.classes) & set(own.classes):
        return f"knows none of the {len(own.classes)} treatments of this one"
    try:
        check_size(manifest.height, manifest.width, baseline.config.model)
    except PlatewiseError:
        size_px = baseline.config.model.image_size_px
        return (
            f"sees {size_px} x {size_px} px and sites are {manifest.height} x {manifest.width} px"
        )
    return ""


def _tell(progress: PredictionProgress) -> None:
    update = {"sites_per_s": progress.sites_per_s}
    logging.getLogger(PROGRESS_LOGGER).info(
        "plate %d/%d  %.0f sites/s",
        progress.plate,
        progress.n_plates,
        progress.sites_per_s,
        extra={"update": update},
    )
