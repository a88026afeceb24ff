"""SavedModels: where they lie, and how equal content becomes equal bytes.

TensorFlow numbers functions from a counter that runs as long as the process, threads and all,
and draws a random uuid at every save: two runs on the same data give files that differ. Here
the numbers are counted anew from the file itself, and the uuid follows from the content.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

_GRAPH = "saved_model.pb"
_FINGERPRINT = "fingerprint.pb"

#: Names that end in the process's counter.
_COUNTED = re.compile(
    r"((?:__(?:inference|forward|backward)_.*_|(?:Stateful)?PartitionedCall-))(\d+)"
)

#: Attribute in which a captured tensor without a name is named by the counter.
_CAPTURE_NAME = "_user_specified_name"


def model_folder(uri: str) -> str:
    """Folder of the SavedModel in a model artifact, or a pushed folder as it is."""
    from tfx.dsl.io import fileio
    from tfx.utils import path_utils

    serving = str(path_utils.serving_model_dir(uri))
    return serving if fileio.isdir(serving) else uri


def canonicalise(folder: str) -> None:
    """Rewrite every SavedModel under ``folder`` so that its bytes follow from its content."""
    import tensorflow as tf

    for parent, _, names in tf.io.gfile.walk(folder):
        if _GRAPH in names:
            _rewrite_graph(os.path.join(parent, _GRAPH))
            _rewrite_fingerprint(parent)


def _rewrite_graph(path: str) -> None:
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    with tf.io.gfile.GFile(path, "rb") as stream:
        graph = saved_model_pb2.SavedModel.FromString(stream.read())
    numbers = {int(found[2]) for text in _texts(graph) if (found := _COUNTED.fullmatch(text))}
    rank = {number: position for position, number in enumerate(sorted(numbers))}
    _rename(graph, rank)
    for meta_graph in graph.meta_graphs:
        functions = sorted(meta_graph.graph_def.library.function, key=lambda f: f.signature.name)
        del meta_graph.graph_def.library.function[:]
        meta_graph.graph_def.library.function.extend(functions)
    with tf.io.gfile.GFile(path, "wb") as stream:
        stream.write(graph.SerializeToString(deterministic=True))


def _texts(message: Any) -> Iterator[str]:
    """Every string in a message, keys of maps and bytes that are text included."""
    for field, value in message.ListFields():
        for item in _items(field, value):
            if hasattr(item, "ListFields"):
                yield from _texts(item)
            else:
                text = _text(item)
                if text is not None:
                    yield text


def _rename(message: Any, rank: dict[int, int]) -> None:
    for field, value in message.ListFields():
        if _is_map(field):
            _rename_map(value, rank)
        elif field.message_type is not None:
            for item in value if _is_repeated(field) else [value]:
                _rename(item, rank)
        elif _is_repeated(field):
            for position, item in enumerate(value):
                new = _renamed(item, rank)
                if new != item:
                    value[position] = new
        else:
            new = _renamed(value, rank)
            if new != value:
                setattr(message, field.name, new)


def _rename_map(mapping: Any, rank: dict[int, int]) -> None:
    for key in list(mapping):
        value = mapping[key]
        new_key = _renamed(key, rank)
        if hasattr(value, "ListFields"):
            _rename(value, rank)
            if key == _CAPTURE_NAME and value.s.isdigit():
                value.s = b"captured"
            if new_key != key:
                mapping[new_key].CopyFrom(value)
                del mapping[key]
        else:
            new = _renamed(value, rank)
            if new_key != key:
                del mapping[key]
            mapping[new_key] = new


def _renamed(value: Any, rank: dict[int, int]) -> Any:
    text = _text(value)
    found = _COUNTED.fullmatch(text) if text is not None else None
    if found is None:
        return value
    new = f"{found[1]}{rank[int(found[2])]}"
    return new.encode() if isinstance(value, bytes) else new


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        try:
            return value.decode("ascii")
        except UnicodeDecodeError:
            return None
    return None


def _items(field: Any, value: Any) -> Iterator[Any]:
    if _is_map(field):
        yield from value
        yield from (value[key] for key in value)
    elif _is_repeated(field):
        yield from value
    else:
        yield value


def _is_repeated(field: Any) -> bool:
    return bool(field.is_repeated)


def _is_map(field: Any) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _rewrite_fingerprint(folder: str) -> None:
    import tensorflow as tf
    from tensorflow.core.protobuf import fingerprint_pb2
    from tensorflow.python.saved_model.pywrap_saved_model import fingerprinting

    fingerprint = fingerprint_pb2.FingerprintDef.FromString(
        fingerprinting.CreateFingerprintDef(folder)
    )
    fingerprint.uuid = str(fingerprint.saved_model_checksum)
    with tf.io.gfile.GFile(os.path.join(folder, _FINGERPRINT), "wb") as stream:
        stream.write(fingerprint.SerializeToString(deterministic=True))
