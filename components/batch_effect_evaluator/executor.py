"""Executor of BatchEffectEvaluator: rows in, tables and fitted corrections out."""

from __future__ import annotations

import json
import logging
import tempfile
from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from components.batch_effect_evaluator.config import BatchEffectsConfig
from components.batch_effect_evaluator.measure import measure
from components.batch_effect_evaluator.profiles import read_profiles
from components.batch_effect_evaluator.results import (
    FILE_NAME,
    BatchEffects,
    tables,
)
from components.fitted_parts import CORRECTIONS_IN_MODEL
from components.saved_models import model_folder
from components.staging import fetch, is_bucket, output_folder
from trainer.strict import build

CONFIG_KEY = "batch_effects_config"


class BatchEffectEvaluatorExecutor(base_executor.BaseExecutor):
    """Measures in this process, in memory that the number of wells bounds."""

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Write ``batch_effects.json``, its tables, and the fitted corrections.

        Raises
        ------
        PlatewiseError
            Damaged predictions.
        """
        config = build(
            BatchEffectsConfig, json.loads(exec_properties[CONFIG_KEY]), "batch_effects."
        )
        profiles = read_profiles(artifact_utils.get_single_uri(input_dict["predictions"]))
        uri = artifact_utils.get_single_uri(output_dict["batch_effects"])
        with output_folder(uri, last=FILE_NAME) as folder, tempfile.TemporaryDirectory() as scratch:
            brought = _brought(input_dict.get("model") or [], scratch)
            if profiles is None:
                found = BatchEffects((), 0, 0, 0)
            else:
                found = measure(profiles, config, folder, brought)
            for name, reason in found.left_out.items():
                logging.getLogger(__name__).warning("correction %s left out: %s", name, reason)
            _write_tables(found, Path(folder))
            (Path(folder) / FILE_NAME).write_text(found.to_json(), encoding="utf-8")


def _brought(models: list[types.Artifact], scratch: str) -> str:
    """Local folder of the corrections that a model was pushed with; empty without any."""
    import tensorflow as tf

    if not models:
        return ""
    folder = (
        f"{model_folder(artifact_utils.get_single_uri(models)).rstrip('/')}/{CORRECTIONS_IN_MODEL}"
    )
    if not tf.io.gfile.isdir(folder):
        return ""
    return fetch(folder, scratch) if is_bucket(folder) else folder


def _write_tables(found: BatchEffects, folder: Path) -> None:
    import pandas as pd

    for name, rows in tables(found).items():
        if rows:
            pd.DataFrame(rows).to_parquet(folder / f"{name}.parquet", index=False)
