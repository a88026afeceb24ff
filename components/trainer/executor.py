"""Executor of PlateTrainer: train, export, attach what scoring will need."""

from __future__ import annotations

import json
import logging
import os
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from trainer.artifact import DESCRIPTION, TRANSFORM_IN_MODEL
from trainer.config import TrainerConfig
from trainer.progress import Progress, format_line
from trainer.strict import build, to_mapping

#: Records carry ``update``, the line's values by name, for whoever draws them.
PROGRESS_LOGGER = "platewise.progress"


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
        from trainer.export import export
        from trainer.train import train

        examples_dir = artifact_utils.get_single_uri(input_dict["examples"])
        transform_dir = artifact_utils.get_single_uri(input_dict["transform_graph"])
        run_dir = artifact_utils.get_single_uri(output_dict["model_run"])
        model_dir = path_utils.serving_model_dir(
            artifact_utils.get_single_uri(output_dict["model"])
        )
        config = build(TrainerConfig, json.loads(exec_properties["config"]))
        train(
            examples_dir,
            transform_dir,
            config,
            checkpoint_root=exec_properties["checkpoint_root"],
            out_dir=run_dir,
            progress=_tell,
            log_dir=os.path.join(run_dir, "logs"),
        )
        _describe(run_dir, config)
        export(run_dir, transform_dir, model_dir)
        io_utils.copy_dir(transform_dir, os.path.join(model_dir, TRANSFORM_IN_MODEL))


def _describe(run_dir: str, config: TrainerConfig) -> None:
    """Let ``trainer.json`` hold the configuration of this run.

    A finished training is copied from its checkpoint folder, whose name leaves out what does
    not change the weights: how to predict above all, which scoring reads from the model.
    """
    path = os.path.join(run_dir, DESCRIPTION)
    with fileio.open(path, "r") as stream:
        described = json.loads(stream.read())
    described["config"] = to_mapping(config)
    io_utils.write_string_file(path, json.dumps(described, indent=1) + "\n")


def _tell(progress: Progress) -> None:
    update = {
        "epoch": progress.epoch,
        "epochs": progress.n_epochs,
        "step": progress.step,
        "steps": progress.n_steps,
        "sites_per_s": progress.sites_per_s,
        "loss": progress.losses.get("loss", float("nan")),
        "accuracy": progress.accuracy,
        "left_s": progress.seconds_left,
    }
    logging.getLogger(PROGRESS_LOGGER).info(format_line(progress), extra={"update": update})
