"""Executor of PlateTrainer: train, export, attach what scoring will need."""

from __future__ import annotations

import json
import os
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from components.trainer.shared import PROGRESS_LOGGER as PROGRESS_LOGGER
from components.trainer.shared import describe, export_model, tell
from trainer.config import TrainerConfig
from trainer.strict import build


class PlateTrainerExecutor(base_executor.BaseExecutor):
    """Trains in this process."""

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Train to the end, going on from a checkpoint where there is one.

        Raises
        ------
        PlatewiseError
            Damaged Examples, labels that do not fit, or training that diverged.
        """
        from trainer.train import train

        transform_dir = artifact_utils.get_single_uri(input_dict["transform_graph"])
        run_dir = artifact_utils.get_single_uri(output_dict["model_run"])
        config = build(TrainerConfig, json.loads(exec_properties["config"]))
        train(
            artifact_utils.get_single_uri(input_dict["examples"]),
            transform_dir,
            config,
            checkpoint_root=exec_properties["checkpoint_root"],
            out_dir=run_dir,
            progress=tell,
            log_dir=os.path.join(run_dir, "logs"),
        )
        describe(run_dir, config)
        export_model(run_dir, transform_dir, artifact_utils.get_single_uri(output_dict["model"]))
