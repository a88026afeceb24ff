"""What training in this process and training in a custom job have in common."""

from __future__ import annotations

import json
import logging
import os

from tfx.dsl.io import fileio
from tfx.utils import io_utils, path_utils

from trainer.artifact import DESCRIPTION, TRANSFORM_IN_MODEL
from trainer.config import TrainerConfig
from trainer.progress import Progress, format_line
from trainer.strict import to_mapping

#: Records carry ``update``, the line's values by name, for whoever draws them.
PROGRESS_LOGGER = "platewise.progress"


def tell(progress: Progress) -> None:
    """Log a look at the training."""
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


def describe(run_dir: str, config: TrainerConfig) -> None:
    """Let ``trainer.json`` hold the configuration of this run.

    A finished training is copied from its checkpoint folder, whose name leaves out what does
    not change the weights: how to predict above all, which scoring reads from the model.
    """
    path = os.path.join(run_dir, DESCRIPTION)
    with fileio.open(path, "r") as stream:
        described = json.loads(stream.read())
    described["config"] = to_mapping(config)
    io_utils.write_string_file(path, json.dumps(described, indent=1) + "\n")


def export_model(run_dir: str, transform_dir: str, model_uri: str) -> None:
    """From weights to a model: a SavedModel with its Transform graph, and what scoring needs.

    Parameters
    ----------
    run_dir
        What training left behind.
    transform_dir
        The Transform graph it was trained with.
    model_uri
        Folder of a model artifact; the SavedModel goes where TFX looks for it.
    """
    from trainer.export import export

    model_dir = path_utils.serving_model_dir(model_uri)
    export(run_dir, transform_dir, model_dir)
    io_utils.copy_dir(transform_dir, os.path.join(model_dir, TRANSFORM_IN_MODEL))
