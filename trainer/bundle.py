"""A trained model as prediction needs it: network, configuration, class names."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import keras
import tensorflow as tf

from trainer.artifact import DESCRIPTION, WEIGHTS, Trained, load_weights, read_description
from trainer.config import TrainerConfig
from trainer.errors import PlatewiseError
from trainer.models import build_model

#: Folder of the bundle inside an exported model, and the files that are its own.
BUNDLE_DIR = "platewise"
BUNDLE_WEIGHTS = "model.weights.h5"
CLASSES = "classes.txt"


@dataclass(frozen=True, eq=False)
class Bundle:
    """A model and what it was trained with."""

    model: keras.Model
    config: TrainerConfig
    #: The position of a name is its label.
    classes: tuple[str, ...]
    #: Height and width of the sites it was trained on, before resizing.
    site_shape_px: tuple[int, int]


def load_bundle(folder: str) -> Bundle:
    """Load from an exported model, or from the folder that training wrote.

    The network computes in float32 whatever it was trained in: the variables are float32
    already, and predictions are made once.

    Raises
    ------
    PlatewiseError
        Neither of the two is there, or the weights do not fit the description.
    """
    folder = folder.rstrip("/")
    exported = f"{folder}/{BUNDLE_DIR}"
    if tf.io.gfile.exists(f"{exported}/{DESCRIPTION}"):
        return _load(f"{exported}/{DESCRIPTION}", f"{exported}/{BUNDLE_WEIGHTS}")
    return _load(f"{folder}/{DESCRIPTION}", f"{folder}/{WEIGHTS}")


def _load(description: str, weights: str) -> Bundle:
    trained: Trained = read_description(description)
    model = build_model(
        dataclasses.replace(trained.config.model, precision="float32"), len(trained.classes)
    )
    try:
        load_weights(model, weights)
    except (ValueError, KeyError, OSError, tf.errors.OpError) as error:
        raise PlatewiseError(
            f"cannot load {weights} ({type(error).__name__}: {error}): it is damaged or belongs "
            f"to another model than {description} describes; train or push again"
        ) from None
    return Bundle(model, trained.config, trained.classes, trained.site_shape_px)
