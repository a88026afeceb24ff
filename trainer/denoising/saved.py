"""The folder a denoiser is kept in: ``denoiser.npz`` and, written last, ``denoiser.json``.

Weights are kept in float16, half the size: rounding them by 0.05 % moves an answer by less than a
thousandth of the noise.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.config import ModelConfig
from trainer.denoiser_config import DenoiserFit
from trainer.errors import PlatewiseError
from trainer.models.denoiser import build_denoiser
from trainer.strict import ConfigError, build, to_mapping

#: The denoiser that comes with Platewise, in the form that ``python -m trainer.denoising`` writes.
GENERIC = Path(__file__).parents[1] / "weights" / "generic_denoiser"
WEIGHTS = "denoiser.npz"
DESCRIPTION = "denoiser.json"
_UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    zipfile.BadZipFile,
    ConfigError,
    tf.errors.OpError,
)


def network(fit: DenoiserFit) -> keras.Model:
    """Untrained network for any number of channels."""
    return build_denoiser(model_config(fit), any_channels=True)


def model_config(fit: DenoiserFit) -> ModelConfig:
    """The denoiser's part of a model's configuration."""
    return ModelConfig(
        n_channels=1,
        image_size_px=fit.patch_px,
        space_to_depth=fit.space_to_depth,
        denoiser_widths=fit.widths,
        denoiser_design=fit.design,
    )


def write_denoiser(
    folder: str, fit: DenoiserFit, model: keras.Model, notes: dict[str, Any]
) -> None:
    """Keep a trained network; ``notes`` say where it comes from."""
    tf.io.gfile.makedirs(folder)
    content = io.BytesIO()
    named: dict[str, Any] = {
        variable.path: np.asarray(variable, np.float16) for variable in model.weights
    }
    np.savez_compressed(content, **named)
    with tf.io.gfile.GFile(f"{folder}/{WEIGHTS}", "wb") as stream:
        stream.write(content.getvalue())
    text = json.dumps({"fit": to_mapping(fit), "notes": notes}, indent=1)
    with tf.io.gfile.GFile(f"{folder}/{DESCRIPTION}.tmp", "w") as stream:
        stream.write(text + "\n")
    tf.io.gfile.rename(f"{folder}/{DESCRIPTION}.tmp", f"{folder}/{DESCRIPTION}", overwrite=True)


def is_denoiser(folder: str) -> bool:
    """Whether a folder holds a denoiser by itself, not a whole model."""
    return bool(tf.io.gfile.exists(f"{folder}/{DESCRIPTION}"))


def named_folder(start: str) -> str:
    """Folder of a denoiser to start from: itself, or where ``generic`` lies.

    Raises
    ------
    PlatewiseError
        No denoiser is there.
    """
    folder = str(GENERIC) if start == "generic" else start.rstrip("/")
    if not is_denoiser(folder):
        raise PlatewiseError(
            f"{folder} holds no denoiser to start from (no {DESCRIPTION} in it); give a folder "
            "that python -m trainer.denoising --out wrote, or generic"
        )
    return folder


def weights_digest(start: str) -> str:
    """What tells the weights to start from apart from others in the same folder."""
    with tf.io.gfile.GFile(f"{named_folder(start)}/{WEIGHTS}", "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


def start_from(network: keras.Model, start: str) -> None:
    """Give a network the weights of a trained one.

    Raises
    ------
    PlatewiseError
        No denoiser is there, or one of another architecture.
    """
    trained, fit = read_denoiser(named_folder(start))
    ours, theirs = ([tuple(w.shape) for w in part.weights] for part in (network, trained))
    if ours != theirs:
        design = ", ".join(f"{key} = {value}" for key, value in to_mapping(fit.design).items())
        raise PlatewiseError(
            f"the denoiser to start from ({start}) has another architecture: widths = "
            f"{list(fit.widths)}, space_to_depth = {fit.space_to_depth}, {design}; "
            "set the same here"
        )
    network.set_weights(trained.get_weights())


def read_denoiser(folder: str) -> tuple[keras.Model, DenoiserFit]:
    """Network and configuration of a folder.

    Raises
    ------
    PlatewiseError
        Files are missing, damaged, or do not belong together.
    """
    folder = folder.rstrip("/")
    try:
        with tf.io.gfile.GFile(f"{folder}/{DESCRIPTION}", "r") as stream:
            fit = build(DenoiserFit, json.loads(stream.read())["fit"])
        model = network(fit)
        with tf.io.gfile.GFile(f"{folder}/{WEIGHTS}", "rb") as stream:
            stored = np.load(io.BytesIO(stream.read()), allow_pickle=False)
        for variable in model.weights:
            variable.assign(stored[variable.path].astype(np.float32))
    except _UNREADABLE as error:
        raise PlatewiseError(
            f"cannot load a denoiser from {folder} ({type(error).__name__}: {error}); train it "
            "again with python -m trainer.denoising"
        ) from None
    return model, fit
