"""The files that training leaves behind, and reading them back.

``weights.weights.h5`` and ``history.csv`` are written first, ``trainer.json`` last with the
size and crc32c of the weights: where it is, the folder is whole.
"""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainer.config import TrainerConfig
from trainer.errors import PlatewiseError
from trainer.strict import build, to_mapping

if TYPE_CHECKING:
    import keras

WEIGHTS = "weights.weights.h5"
DESCRIPTION = "trainer.json"
HISTORY = "history.csv"
#: Where the Transform graph lies in a model folder, relative to it: a pushed folder is enough
#: to score new plates.
TRANSFORM_IN_MODEL = os.path.join("platewise", "transform_graph")


@dataclass(frozen=True)
class Trained:
    """What ``trainer.json`` says."""

    config: TrainerConfig
    #: The position of a name is its label.
    classes: tuple[str, ...]
    #: Height and width of the stored sites.
    site_shape_px: tuple[int, int]
    n_steps: int
    #: One row an epoch.
    history: tuple[dict[str, float], ...]
    #: Of the process that finished the run, without its first step (compilation).
    sites_per_s: float
    input_wait_share: float
    weights_bytes: int = 0
    weights_crc32c: str = ""


def write_trained(folder: str, trained: Trained, model: keras.Model) -> Trained:
    """Write weights, history and description into ``folder`` (local or ``gs://``).

    Returns the description with the size and checksum of the weights.
    """
    import dataclasses

    import tensorflow as tf

    tf.io.gfile.makedirs(folder)
    weights = save_weights(model, f"{folder}/{WEIGHTS}")
    _write(f"{folder}/{HISTORY}", _csv(trained.history))
    described = dataclasses.replace(
        trained, weights_bytes=len(weights), weights_crc32c=_crc32c(weights)
    )
    _write(f"{folder}/{DESCRIPTION}", json.dumps(to_mapping(described), indent=1) + "\n")
    return described


def save_weights(model: keras.Model, path: str) -> bytes:
    """Save Keras weights to a local or remote path; returns the bytes of the file."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as scratch:  # Keras writes HDF5 to local files alone
        local = os.path.join(scratch, WEIGHTS)
        model.save_weights(local)
        with open(local, "rb") as stream:
            content = stream.read()
    with tf.io.gfile.GFile(path, "wb") as stream:
        stream.write(content)
    return content


def load_weights(model: keras.Model, path: str) -> None:
    """Load Keras weights from a local or remote path."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as scratch:
        local = os.path.join(scratch, WEIGHTS)
        tf.io.gfile.copy(path, local)
        model.load_weights(local)


def read_trained(folder: str) -> Trained | None:
    """Description of a whole folder; ``None`` where it is missing, torn or damaged."""
    import tensorflow as tf

    try:
        trained = read_description(f"{folder}/{DESCRIPTION}")
        with tf.io.gfile.GFile(f"{folder}/{WEIGHTS}", "rb") as stream:
            content = stream.read()
    except (PlatewiseError, tf.errors.OpError, OSError):
        return None
    whole = len(content) == trained.weights_bytes and _crc32c(content) == trained.weights_crc32c
    return trained if whole else None


def read_description(path: str) -> Trained:
    """Read a ``trainer.json``.

    Raises
    ------
    PlatewiseError
        Missing, or not written by :func:`write_trained`.
    """
    import tensorflow as tf

    try:
        with tf.io.gfile.GFile(path, "r") as stream:
            plain: dict[str, Any] = json.loads(stream.read())
        plain["config"] = build(TrainerConfig, plain["config"])
        plain["classes"] = tuple(plain["classes"])
        plain["history"] = tuple(plain["history"])
        plain["site_shape_px"] = tuple(plain["site_shape_px"])
        return Trained(**plain)
    except (tf.errors.OpError, OSError, ValueError, KeyError, TypeError) as error:
        raise PlatewiseError(
            f"cannot read {path} ({type(error).__name__}: {error}): not a finished training of "
            "this version; run the training step again"
        ) from None


def copy_trained(source: str, target: str) -> None:
    """Copy a whole folder, the description last."""
    import tensorflow as tf

    tf.io.gfile.makedirs(target)
    for name in (WEIGHTS, HISTORY, DESCRIPTION):
        tf.io.gfile.copy(f"{source}/{name}", f"{target}/{name}", overwrite=True)


def _csv(history: tuple[dict[str, float], ...]) -> str:
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in history for name in row))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()


def _write(path: str, text: str) -> None:
    import tensorflow as tf

    with tf.io.gfile.GFile(f"{path}.tmp", "w") as stream:
        stream.write(text)
    tf.io.gfile.rename(f"{path}.tmp", path, overwrite=True)


def _crc32c(content: bytes) -> str:
    import google_crc32c

    return f"{google_crc32c.value(content):08x}"
