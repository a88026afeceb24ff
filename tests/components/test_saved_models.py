"""SavedModels of the same content are the same bytes."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from components.saved_models import canonicalise


class Module(tf.Module):
    """Two functions that call one another, and a variable, so that a checkpoint is there."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = tf.Variable(factor)

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
    def scale(self, x: tf.Tensor) -> tf.Tensor:
        return self.factor * x

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
    def shifted(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": self.scale(x) + 1.0}


def save(folder: Path, factor: float) -> Path:
    module = Module(factor)
    tf.saved_model.save(module, str(folder), signatures={"serve": module.shifted})
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("saved_model.pb", "fingerprint.pb")}


def test_two_saves_of_the_same_are_the_same_bytes(tmp_path: Path) -> None:
    one, two = save(tmp_path / "one", 2.0), save(tmp_path / "two", 2.0)
    assert content(one)["saved_model.pb"] != content(two)["saved_model.pb"], "nothing left to do"
    canonicalise(str(tmp_path))
    assert content(one) == content(two)
    for folder in (one, two):
        loaded = tf.saved_model.load(str(folder))
        assert loaded.shifted(3.0)["y"].numpy() == 7.0
        assert loaded.signatures["serve"](tf.constant(3.0))["y"].numpy() == 7.0
        tf.saved_model.experimental.read_fingerprint(str(folder))


def test_again_changes_nothing(tmp_path: Path) -> None:
    folder = save(tmp_path / "one", 2.0)
    canonicalise(str(folder))
    before = content(folder)
    canonicalise(str(folder))
    assert content(folder) == before
