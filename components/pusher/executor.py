"""Executor of PlatePusher.

TFX's own Pusher leaves out every file named ``saved_model.pb`` while it copies, to add the
topmost one last; the Transform graph inside our models is a SavedModel too, and would be pushed
without its graph. And what it copies is at its final name from the first byte on.
"""

from __future__ import annotations

import logging
import os
import re
import time
from typing import Any

from tfx import types
from tfx.components.util import model_utils
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

logger = logging.getLogger(__name__)

#: Custom properties of the artifact, named as TFX's Pusher names them.
PUSHED, DESTINATION, VERSION = "pushed", "pushed_destination", "pushed_version"

_GRAPH = "saved_model.pb"
#: What a folder is called while it is being filled: no version, for it is no number.
_UNFINISHED = ".unfinished-"


class PlatePusherExecutor(base_executor.BaseExecutor):
    """Pushes what was blessed."""

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Copy a blessed model to a new version, and say where in the artifact's properties."""
        pushed = artifact_utils.get_single_instance(output_dict["pushed_model"])
        blessing = artifact_utils.get_single_instance(input_dict["model_blessing"])
        if not model_utils.is_model_blessed(blessing):
            logger.info("not blessed, not pushed: %s", blessing.uri)
            pushed.set_int_custom_property(PUSHED, 0)
            return
        model = path_utils.serving_model_path(artifact_utils.get_single_uri(input_dict["model"]))
        destination = push(model, exec_properties["folder"])
        io_utils.write_string_file(os.path.join(pushed.uri, "destination.txt"), destination + "\n")
        pushed.set_int_custom_property(PUSHED, 1)
        pushed.set_string_custom_property(DESTINATION, destination)
        pushed.set_string_custom_property(VERSION, os.path.basename(destination))


def push(model: str, folder: str) -> str:
    """Copy a model to a new version in ``folder``; returns the version's folder.

    A local version appears in one step. In a bucket, which has no folders, ``saved_model.pb``
    appears last: without it there is no model, as TensorFlow Serving holds too.
    """
    fileio.makedirs(folder)
    destination = _free_version(folder)
    if "://" in folder:
        io_utils.copy_dir(
            model, destination, deny_regex_patterns=[f"^{re.escape(model)}/{_GRAPH}$"]
        )
        io_utils.copy_file(os.path.join(model, _GRAPH), os.path.join(destination, _GRAPH))
        return destination
    for name in map(str, fileio.listdir(folder)):
        if name.startswith(_UNFINISHED):  # a push that was killed
            fileio.rmtree(os.path.join(folder, name))
    unfinished = os.path.join(folder, _UNFINISHED + os.path.basename(destination))
    io_utils.copy_dir(model, unfinished)
    fileio.rename(unfinished, destination)
    return destination


def _free_version(folder: str) -> str:
    """A new version's folder, newer than every one that is there."""
    names = [str(name).rstrip("/") for name in fileio.listdir(folder)]
    versions = [int(name) for name in names if name.isdigit()]
    return os.path.join(folder, str(max([int(time.time()), *(v + 1 for v in versions)])))
