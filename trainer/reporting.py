"""Averages, rates and reports of a training loop."""

from __future__ import annotations

import time

import tensorflow as tf

from trainer.progress import Progress, ProgressCallback
from trainer.step import ACCURACY, GRADIENT_NORM


class Averages:
    """Running means of the scalars of steps: sums are kept, and divided once."""

    def __init__(self, sums: dict[str, float] | None = None, n_steps: int = 0) -> None:
        self.sums, self.n_steps = dict(sums or {}), n_steps

    def add(self, scalars: dict[str, float]) -> None:
        """Count one more step."""
        for name, value in scalars.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.n_steps += 1

    def means(self) -> dict[str, float]:
        """Mean of each scalar over the counted steps."""
        return {name: value / max(self.n_steps, 1) for name, value in self.sums.items()}


class Timer:
    """Rates of this process, without its first step (which compiles)."""

    def __init__(self, sites_per_step: int) -> None:
        self._sites_per_step = sites_per_step
        self._began_s = self._ended_s = time.perf_counter()
        self._wait_s, self._steps, self._wait_began_s = 0.0, -1, 0.0

    def __enter__(self) -> None:
        self._wait_began_s = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._wait_s += time.perf_counter() - self._wait_began_s

    def waiting(self) -> Timer:
        """Context in which the loop waits for input."""
        return self

    def step_done(self) -> None:
        self._ended_s = time.perf_counter()
        self._steps += 1
        if self._steps == 0:
            self._began_s, self._wait_s = self._ended_s, 0.0

    def seconds_per_step(self) -> float:
        return (self._ended_s - self._began_s) / self._steps if self._steps > 0 else 0.0

    def sites_per_s(self) -> float:
        seconds = self.seconds_per_step()
        return self._sites_per_step / seconds if seconds > 0 else 0.0

    def wait_share(self) -> float:
        elapsed_s = self._ended_s - self._began_s
        return self._wait_s / elapsed_s if elapsed_s > 0 else 0.0


class Reporter:
    """Hands averages to the callback and to TensorBoard from time to time."""

    def __init__(
        self, callback: ProgressCallback | None, log_dir: str | None, every_s: float
    ) -> None:
        self.averages = Averages()
        self._callback, self._every_s = callback, every_s
        self._writer = tf.summary.create_file_writer(log_dir) if log_dir else None
        self._reported_s = time.monotonic()

    def due(self) -> bool:
        return self.averages.n_steps > 0 and time.monotonic() - self._reported_s >= self._every_s

    def report(self, look: Progress) -> None:
        if self._callback is not None:
            self._callback(look)
        if self._writer is not None:
            scalars = {**look.losses, ACCURACY: look.accuracy, "sites_per_s": look.sites_per_s}
            scalars["input_wait_share"] = look.input_wait_share
            if GRADIENT_NORM in self.averages.sums:
                scalars[GRADIENT_NORM] = self.averages.means()[GRADIENT_NORM]
            with self._writer.as_default(step=look.step):
                for name, value in scalars.items():
                    tf.summary.scalar(name, value)
        self.averages = Averages()
        self._reported_s = time.monotonic()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
