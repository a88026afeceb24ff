"""Executor of PlatePusher, and what it shares with the one for the Model Registry.

TFX's own Pusher leaves out every file named ``saved_model.pb`` while it copies, to add the
topmost one last; the Transform graph inside our models is a SavedModel too, and would be pushed
without its graph. And what it copies is at its final name from the first byte on.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

from tfx import types
from tfx.components.util import model_utils
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from components.fitted_parts import fitted_parts

logger = logging.getLogger(__name__)

#: Custom properties of the artifact, named as TFX's Pusher names them.
PUSHED, DESTINATION, VERSION = "pushed", "pushed_destination", "pushed_version"

_GRAPH = "saved_model.pb"
#: What a folder is called while it is being filled: no version, for it is no number.
_UNFINISHED = ".unfinished-"
#: Folder of notes which model went to which version.
_NOTES = ".pushed"


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
        parts = fitted_parts(_uri(input_dict, "batch_effects"), _uri(input_dict, "evaluation"))
        destination = self._hand_over(model, parts, input_dict, pushed, exec_properties)
        io_utils.write_string_file(os.path.join(pushed.uri, "destination.txt"), destination + "\n")
        pushed.set_int_custom_property(PUSHED, 1)
        pushed.set_string_custom_property(DESTINATION, destination)
        pushed.set_string_custom_property(VERSION, os.path.basename(destination))

    def _hand_over(
        self,
        model: str,
        parts: Mapping[str, str],
        input_dict: dict[str, list[types.Artifact]],
        pushed: types.Artifact,
        exec_properties: dict[str, Any],
    ) -> str:
        """Push the SavedModel and its parts; returns the version's folder. Where pushers differ."""
        return push(model, exec_properties["folder"], parts)


def _uri(input_dict: dict[str, list[types.Artifact]], name: str) -> str:
    artifacts = input_dict.get(name)
    return str(artifact_utils.get_single_uri(artifacts)) if artifacts else ""


def push(model: str, folder: str, parts: Mapping[str, str] | None = None) -> str:
    """Copy a model to a new version in ``folder``; returns the version's folder.

    ``parts`` go with it: name in the version's folder -> file or folder to copy. A local version
    appears in one step. In a bucket, which has no folders, ``saved_model.pb`` appears last: without
    it there is no model, as TensorFlow Serving holds too.
    """
    fileio.makedirs(folder)
    destination = _free_version(folder)
    _fill(model, destination, parts or {})
    return destination


def push_once(model: str, folder: str, digest: str, parts: Mapping[str, str] | None = None) -> str:
    """As :func:`push`, but a step that is tried again goes on where it was.

    Parameters
    ----------
    digest
        Digest of the model's content, :func:`content_digest`: the version that a digest gets is
        written down before the first byte is copied, under ``.pushed`` in ``folder``.
    """
    note = os.path.join(folder, _NOTES, digest)
    if fileio.exists(note):
        destination = os.path.join(folder, io_utils.read_string_file(note).strip())
    else:
        fileio.makedirs(folder)
        destination = _free_version(folder)
        io_utils.write_string_file(note, os.path.basename(destination) + "\n")
    if not fileio.exists(os.path.join(destination, _GRAPH)):
        _fill(model, destination, parts or {})
    return destination


def content_digest(model: str, parts: Mapping[str, str] | None = None) -> str:
    """Digest of the names and bytes of a model's files and its parts', 32 hex digits."""
    paths = dict(_files(model))
    for part, source in (parts or {}).items():
        if fileio.isdir(source):
            paths |= {f"{part}/{name}": path for name, path in _files(source)}
        else:
            paths[part] = source
    digest = hashlib.sha256()
    for name in sorted(paths):
        digest.update(f"{name}\0".encode())
        with fileio.open(paths[name], "rb") as stream:
            of_file = hashlib.sha256()
            while piece := stream.read(1 << 24):
                of_file.update(piece)
        digest.update(of_file.digest())
    return digest.hexdigest()[:32]


def _files(folder: str) -> Iterator[tuple[str, str]]:
    """Name relative to a folder, and path, of every file below it."""
    for parent, _, found in fileio.walk(folder):
        for name in found:
            path = os.path.join(str(parent), str(name))
            yield os.path.relpath(path, folder), path


def _fill(model: str, destination: str, parts: Mapping[str, str]) -> None:
    """Copy a model to where it shall be, so that it appears whole."""
    folder, version = os.path.split(destination)
    if "://" in folder:
        io_utils.copy_dir(
            model, destination, deny_regex_patterns=[f"^{re.escape(model)}/{_GRAPH}$"]
        )
        _copy_parts(parts, destination)
        io_utils.copy_file(os.path.join(model, _GRAPH), os.path.join(destination, _GRAPH))
        return
    for name in map(str, fileio.listdir(folder)):
        if name.startswith(_UNFINISHED):  # a push that was killed
            fileio.rmtree(os.path.join(folder, name))
    unfinished = os.path.join(folder, _UNFINISHED + version)
    io_utils.copy_dir(model, unfinished)
    _copy_parts(parts, unfinished)
    fileio.rename(unfinished, destination)


def _copy_parts(parts: Mapping[str, str], destination: str) -> None:
    for name, source in parts.items():
        target = os.path.join(destination, name)
        if fileio.isdir(source):
            io_utils.copy_dir(source, target)
        else:
            io_utils.copy_file(source, target, overwrite=True)


def _free_version(folder: str) -> str:
    """A new version's folder, newer than every one that is there."""
    names = [str(name).rstrip("/") for name in fileio.listdir(folder)]
    versions = [int(name) for name in names if name.isdigit()]
    return os.path.join(folder, str(max([int(time.time()), *(v + 1 for v in versions)])))
