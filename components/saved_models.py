"""SavedModels that are the same bytes whenever they hold the same things."""

from __future__ import annotations

import os

_FINGERPRINT = "fingerprint.pb"


def steady_fingerprints(folder: str) -> None:
    """Take the random uuid out of the fingerprints of all SavedModels under ``folder``.

    TensorFlow draws one at every save; everything else in the file follows from the content.
    The uuid becomes the checksum of the graph.
    """
    import tensorflow as tf
    from tensorflow.core.protobuf import fingerprint_pb2

    for parent, _, names in tf.io.gfile.walk(folder):
        if _FINGERPRINT not in names:
            continue
        path = os.path.join(parent, _FINGERPRINT)
        with tf.io.gfile.GFile(path, "rb") as stream:
            fingerprint = fingerprint_pb2.FingerprintDef.FromString(stream.read())
        fingerprint.uuid = str(fingerprint.saved_model_checksum)
        with tf.io.gfile.GFile(path, "wb") as stream:
            stream.write(fingerprint.SerializeToString(deterministic=True))
