"""SIGTERM: the machine is about to be taken away, so save and leave.

Vertex AI sends it before it moves or reclaims a machine. The loop asks after each step, writes a
checkpoint of the step just done and raises :class:`TrainingInterrupted`.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType

from trainer.errors import PlatewiseError

#: Exit code of a training that was interrupted and can go on. Vertex AI starts a custom container
#: again after 134 and 139 alone (SIGABRT, SIGSEGV: "potentially transient"); any other code, 143
#: of SIGTERM among them, may end the job.
EXIT_CODE = 134


class TrainingInterrupted(PlatewiseError):  # noqa: N818  (what happened, not a fault of ours)
    """Training stopped on request, its last step saved."""


class StopRequest:
    """Whether somebody asked this process to stop."""

    def __init__(self) -> None:
        self._asked = threading.Event()

    def listen(self) -> None:
        """From now on take SIGTERM for a request; a second one ends the process at once.

        To be called after the strategy was made: TensorFlow's coordination service sets a handler
        of its own.
        """
        signal.signal(signal.SIGTERM, self._on_signal)

    def ask(self) -> None:
        """Ask for a stop after the step that is running."""
        self._asked.set()

    def __call__(self) -> bool:
        """Whether a stop was asked for."""
        return self._asked.is_set()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self.ask()
