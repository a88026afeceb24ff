"""Why nothing was compared with the latest blessed model, told to the steps behind prediction.

Written beside the prediction rows where a model to beat was given and did not read them; a
threshold that compares would vanish otherwise, and nobody would know.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from trainer.manifest import open_binary

FILE_NAME = "not_compared.json"


@dataclass(frozen=True)
class NotCompared:
    """Why the latest blessed model did not read the screen."""

    #: For people, without a full stop.
    reason: str
    #: It could not be read: what compares with it is not met. False: it is of another kind
    #: (other channels, larger images, none of the treatments), and nothing can be compared.
    unreadable: bool


def write_comparison(folder: str, found: NotCompared) -> None:
    """Write into a local folder of predictions."""
    text = json.dumps(dataclasses.asdict(found), indent=1, sort_keys=True) + "\n"
    (Path(folder) / FILE_NAME).write_text(text, encoding="utf-8")


def read_comparison(folder: str) -> NotCompared | None:
    """Read from a folder of predictions; None where nothing stood in the way."""
    import tensorflow as tf

    path = f"{folder.rstrip('/')}/{FILE_NAME}"
    if not tf.io.gfile.exists(path):
        return None
    with open_binary(path) as stream:
        return NotCompared(**json.loads(stream.read()))
