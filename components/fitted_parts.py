"""What training fitted after the network, and a pushed model carries beside it.

Inside the model's folder: ``platewise/corrections/NAME``, the fitted corrections of the embedding,
and ``platewise/calibration.json``, with the temperature of its probabilities. A model that was not
pushed by a training pipeline has neither, and is scored without them.
"""

from __future__ import annotations

import json
import os

from components.batch_effect_evaluator.results import CORRECTIONS
from components.evaluator.wells import CALIBRATION_FILE
from trainer.errors import PlatewiseError

#: Names relative to the model's folder.
CORRECTIONS_IN_MODEL = "platewise/corrections"
CALIBRATION_IN_MODEL = "platewise/calibration.json"


def fitted_parts(batch_effects: str, evaluation: str) -> dict[str, str]:
    """Name in the model -> file or folder to copy, as far as it was fitted.

    Parameters
    ----------
    batch_effects, evaluation
        Folders of the two artifacts; empty where there is none.
    """
    import tensorflow as tf

    sources = {}
    if batch_effects:
        sources[CORRECTIONS_IN_MODEL] = os.path.join(batch_effects, CORRECTIONS)
    if evaluation:
        sources[CALIBRATION_IN_MODEL] = os.path.join(evaluation, CALIBRATION_FILE)
    return {name: path for name, path in sources.items() if tf.io.gfile.exists(path)}


def temperature_of(model: str) -> float | None:
    """Temperature that a model's probabilities are to be taken at; None where none was fitted.

    Raises
    ------
    PlatewiseError
        A file that is not whole.
    """
    import tensorflow as tf

    path = os.path.join(model, CALIBRATION_IN_MODEL)
    if not model or not tf.io.gfile.exists(path):
        return None
    try:
        with tf.io.gfile.GFile(path) as stream:
            value = json.loads(stream.read())["temperature"]
        return None if value is None else float(value)
    except (ValueError, KeyError, TypeError) as error:
        raise PlatewiseError(
            f"{path} is damaged ({type(error).__name__}: {error}); push the model anew, or delete "
            "the file to score without a temperature"
        ) from None
