"""Executor of PlatePredictor: an adapter of :mod:`trainer.predict_examples`."""

from __future__ import annotations

import json
import logging
import os
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from components.saved_models import model_folder
from components.staging import output_folder
from components.trainer.executor import PROGRESS_LOGGER
from trainer.artifact import TRANSFORM_IN_MODEL
from trainer.bundle import load_bundle
from trainer.config import PredictConfig
from trainer.errors import PlatewiseError
from trainer.manifest import MANIFEST_NAME
from trainer.predict import Baseline
from trainer.predict_examples import PredictionProgress, predict_examples
from trainer.strict import ConfigError, build


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
        with output_folder(predictions.uri, last=MANIFEST_NAME) as folder:
            manifest = predict_examples(
                load_bundle(model_folder(artifact_utils.get_single_uri(input_dict["model"]))),
                artifact_utils.get_single_uri(input_dict["transform_graph"]),
                artifact_utils.get_single_uri(input_dict["examples"]),
                folder,
                splits=json.loads(exec_properties["splits"]),
                config=build(PredictConfig, json.loads(predict)) if predict else None,
                baseline=_baseline(input_dict.get("baseline_model") or []),
                progress=_tell,
                baseline_everywhere=bool(exec_properties.get("baseline_everywhere")),
            )
        # A split without a single shard would make TFX's file patterns fail.
        filled = [split for split in manifest.splits() if manifest.of_split(split)]
        predictions.split_names = artifact_utils.encode_split_names(filled)


def _baseline(models: list[types.Artifact]) -> Baseline | None:
    if not models:
        return None
    folder = model_folder(artifact_utils.get_single_uri(models))
    try:
        return load_bundle(folder), os.path.join(folder, TRANSFORM_IN_MODEL)
    except (PlatewiseError, ConfigError) as error:
        # An older version's model must not stop a new one for good.
        logging.getLogger(__name__).warning(
            "the latest blessed model cannot be read, so nothing is compared with it: %s", error
        )
        return None


def _tell(progress: PredictionProgress) -> None:
    update = {"sites_per_s": progress.sites_per_s}
    logging.getLogger(PROGRESS_LOGGER).info(
        "plate %d/%d  %.0f sites/s",
        progress.plate,
        progress.n_plates,
        progress.sites_per_s,
        extra={"update": update},
    )
