"""What a run tells while it runs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

_FAILED = "failed"


@dataclass(frozen=True)
class Progress:
    """One look at a training run, averaged since the last look."""

    step: int
    n_steps: int
    epoch: int
    n_epochs: int
    sites_per_s: float
    #: ``loss`` and its unweighted terms.
    losses: Mapping[str, float] = field(default_factory=dict)
    #: Share of right answers on noisy, augmented training sites, 0..1.
    accuracy: float = 0.0
    #: Share of the wall clock spent waiting for input, 0..1.
    input_wait_share: float = 0.0
    seconds_left: float = 0.0


ProgressCallback = Callable[[Progress], None]


def print_line(progress: Progress) -> None:
    """One line on standard error, overwritten in a terminal."""
    line = format_line(progress)
    if sys.stderr.isatty():
        done = progress.step >= progress.n_steps
        sys.stderr.write(f"\r{line}\x1b[K" + ("\n" if done else ""))
    else:
        sys.stderr.write(line + "\n")
    sys.stderr.flush()


class ProgressFile:
    """Writes the latest look to a file, local or ``gs://``, for whoever watches from elsewhere."""

    def __init__(self, path: str, every_s: float = 20.0) -> None:
        self._path, self._every_s = path, every_s
        self._written_s = -every_s

    def __call__(self, progress: Progress) -> None:
        """Overwrite the file, not more often than every ``every_s`` seconds and at the end."""
        now_s = time.monotonic()
        if now_s - self._written_s < self._every_s and progress.step < progress.n_steps:
            return
        self._written_s = now_s
        self._write(asdict(progress))

    def fail(self, message: str) -> None:
        """Leave behind why training ended."""
        self._write({_FAILED: message})

    def _write(self, plain: dict[str, Any]) -> None:
        import tensorflow as tf

        try:
            tf.io.gfile.makedirs(self._path.rpartition("/")[0] or ".")
            with tf.io.gfile.GFile(self._path, "w") as stream:
                stream.write(json.dumps(plain))
        except (OSError, tf.errors.OpError) as error:  # training does not stop for that
            sys.stderr.write(f"cannot write {self._path}: {error}\n")


def read_progress(text: str) -> Progress | None:
    """What :class:`ProgressFile` wrote; ``None`` where it was read half-written."""
    try:
        return Progress(**json.loads(text))
    except (ValueError, TypeError):
        return None


def read_failure(text: str) -> str:
    """What :meth:`ProgressFile.fail` wrote; empty where training has not failed."""
    try:
        return str(json.loads(text).get(_FAILED, ""))
    except (ValueError, AttributeError):
        return ""


def format_line(progress: Progress) -> str:
    """Such as ``step 120/4000  epoch 2/60  loss 4.21  accuracy 12.0 %  88 sites/s  4 min left``."""
    parts = [
        f"step {progress.step}/{progress.n_steps}",
        f"epoch {progress.epoch}/{progress.n_epochs}",
        *(f"{name} {value:.3f}" for name, value in progress.losses.items()),
        f"accuracy {100 * progress.accuracy:.1f} %",
        f"{progress.sites_per_s:.0f} sites/s",
        f"{duration(progress.seconds_left)} left",
    ]
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """Seconds in the unit a person would choose."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
