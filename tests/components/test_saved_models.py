"""The same module saved twice is the same bytes, fingerprint included."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from components.saved_models import steady_fingerprints


class Doubler(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
    def double(self, x: tf.Tensor) -> tf.Tensor:
        return 2 * x


def test_two_saves_have_one_fingerprint(tmp_path: Path) -> None:
    for name in ("a", "b"):
        tf.saved_model.save(Doubler(), str(tmp_path / name / "inner"))
    prints = [(tmp_path / name / "inner" / "fingerprint.pb").read_bytes() for name in ("a", "b")]
    assert prints[0] != prints[1], "TensorFlow no longer draws a uuid: the helper can go"
    steady_fingerprints(str(tmp_path))
    prints = [(tmp_path / name / "inner" / "fingerprint.pb").read_bytes() for name in ("a", "b")]
    assert prints[0] == prints[1]
    assert tf.saved_model.load(str(tmp_path / "a" / "inner")).double(2.0).numpy() == 4.0
    assert tf.saved_model.experimental.read_fingerprint(str(tmp_path / "a" / "inner"))
