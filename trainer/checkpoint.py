"""Checkpoints that survive a kill at any moment.

A checkpoint is TensorFlow's pair of files plus ``ckpt-<step>.json``, written last and
renamed into place: without it the checkpoint does not exist. Before restoring, every
tensor is read once (TensorFlow checks its crc), so that a torn or damaged checkpoint is
skipped for the one before it.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from trainer.strict import digest

_LOG = logging.getLogger(__name__)
_NAME = re.compile(r"ckpt-(\d+)\.json$")


class Checkpoints:
    """Saves and restores a list of variables with a JSON-safe state beside them.

    Parameters
    ----------
    folder
        Local or ``gs://``; made where it is missing.
    variables
        What is saved, always in the same order.
    keep
        How many of the newest are kept, at least 1.
    every_s, every_steps
        When :meth:`due` says yes; 0 switches either off.
    writes
        Whether this process writes: the chief's alone does where several train together.
    """

    def __init__(
        self,
        folder: str,
        variables: Sequence[tf.Variable],
        keep: int = 2,
        every_s: float = 300.0,
        every_steps: int = 0,
        writes: bool = True,
    ) -> None:
        self.folder = folder.rstrip("/")
        self._checkpoint = tf.train.Checkpoint(
            **{f"variable_{i:05d}": variable for i, variable in enumerate(variables)}
        )
        self._keep = max(keep, 1)
        self._every_s, self._every_steps = every_s, every_steps
        self._saved_at_s, self._saved_step = time.monotonic(), 0
        self._writes = writes
        if writes:
            tf.io.gfile.makedirs(self.folder)

    def due(self, step: int) -> bool:
        """Whether it is time to save; ``step`` is the number of finished steps."""
        if self._every_steps > 0 and step - self._saved_step >= self._every_steps:
            return True
        return 0 < self._every_s <= self.seconds_since()

    def seconds_since(self) -> float:
        """Seconds since the last save (or since the start)."""
        return time.monotonic() - self._saved_at_s

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write the checkpoint of ``step``, then delete the ones no longer kept."""
        self._saved_at_s, self._saved_step = time.monotonic(), step
        if not self._writes:
            return
        prefix = self._prefix(step)
        self._checkpoint.write(prefix)
        temporary = f"{prefix}.json.tmp"
        with tf.io.gfile.GFile(temporary, "w") as stream:
            text = json.dumps({"step": step} | state)
            stream.write(json.dumps({"state": text, "digest": digest(text)}))
        tf.io.gfile.rename(temporary, f"{prefix}.json", overwrite=True)
        self._saved_at_s = time.monotonic()
        for old in self.steps()[: -self._keep]:
            self._delete(old)

    def steps(self) -> list[int]:
        """Steps of the checkpoints in the folder, ascending, unchecked."""
        names = tf.io.gfile.listdir(self.folder) if tf.io.gfile.isdir(self.folder) else []
        found = (_NAME.match(name) for name in names)
        return sorted(int(match.group(1)) for match in found if match)

    def restore(self) -> dict[str, Any] | None:
        """Restore the newest whole checkpoint.

        Returns
        -------
        Its state with the key ``step``, or ``None`` where there is no whole checkpoint and
        no variable was touched.
        """
        for step in reversed(self.steps()):
            state = self._read_state(step)
            if state is not None:
                status = self._checkpoint.read(self._prefix(step))
                status.assert_existing_objects_matched().expect_partial()
                self._saved_at_s, self._saved_step = time.monotonic(), step
                return state
        return None

    def newest(self) -> str:
        """Prefix of the newest checkpoint, for messages; empty where there is none."""
        steps = self.steps()
        return self._prefix(steps[-1]) if steps else ""

    def _read_state(self, step: int) -> dict[str, Any] | None:
        prefix = self._prefix(step)
        try:
            with tf.io.gfile.GFile(f"{prefix}.json", "r") as stream:
                sealed = json.loads(stream.read())
            if sealed["digest"] != digest(sealed["state"]):
                raise ValueError("its state was changed")
            state: dict[str, Any] = json.loads(sealed["state"])
            reader = tf.train.load_checkpoint(prefix)
            for name in reader.get_variable_to_shape_map():
                reader.get_tensor(name)
        except (tf.errors.OpError, OSError, ValueError, RuntimeError, LookupError) as error:
            _LOG.warning("skipping checkpoint %s, which is not whole: %s", prefix, error)
            return None
        return state

    def _prefix(self, step: int) -> str:
        return f"{self.folder}/ckpt-{step}"

    def _delete(self, step: int) -> None:
        # The JSON first: from then on the checkpoint does not exist.
        prefix = self._prefix(step)
        for path in [f"{prefix}.json", *tf.io.gfile.glob(f"{prefix}.*")]:
            if tf.io.gfile.exists(path):
                tf.io.gfile.remove(path)
