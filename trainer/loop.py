"""The loop over steps: checks, averages, reports and saves."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from trainer.artifact import Trained
from trainer.checkpoint import Checkpoints
from trainer.config import TrainerConfig
from trainer.data import PLATE, PlateFeed
from trainer.errors import PlatewiseError
from trainer.progress import Progress, ProgressCallback
from trainer.step import ACCURACY, GRADIENT_NORM, LOSS, TrainStep

#: At the end of an epoch a checkpoint is written if this share of the interval has passed.
_EPOCH_END_SHARE = 0.1


class TrainingDiverged(PlatewiseError):  # noqa: N818  (what happened, not a fault of ours)
    """The loss or the gradient is no longer finite."""


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


class Loop:
    """Runs the steps that are left.

    The scalars of a step are fetched after the next step was started, so that an
    accelerator never waits for the host; a checkpoint is written only when the scalars of
    every step before it were found finite.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        feed: PlateFeed,
        model: keras.Model,
        step: TrainStep,
        checkpoints: Checkpoints,
        config: TrainerConfig,
    ) -> None:
        self.model = model
        self.n_steps = config.loop.epochs * feed.steps_per_epoch
        self._strategy, self._feed, self._step = strategy, feed, step
        self._checkpoints, self._config = checkpoints, config
        self._done = 0
        self._history: list[dict[str, float]] = []
        self._epoch = Averages()
        self._timer = _Timer(config.data.minibatch_size * strategy.num_replicas_in_sync)

    def restore(self) -> int:
        """Go back to the newest whole checkpoint; returns the number of finished steps.

        Raises
        ------
        PlatewiseError
            It was made on another number of replicas: its steps are not steps of this run.
        """
        state = self._checkpoints.restore()
        if state is not None:
            here = self._strategy.num_replicas_in_sync
            if state["n_replicas"] != here:
                raise PlatewiseError(
                    f"checkpoint {self._checkpoints.newest()} was made on {state['n_replicas']} "
                    f"replicas, and here are {here}: a step there is another number of sites, so "
                    "training cannot go on from it; use as many devices as before, or remove "
                    "that folder to train from the start"
                )
            self._done = state["step"]
            self._history = state["history"]
            self._epoch = Averages(state["epoch_sums"], state["epoch_steps"])
        return self._done

    def run(self, progress: ProgressCallback | None = None, log_dir: str | None = None) -> None:
        """Train to the last step.

        Raises
        ------
        TrainingDiverged
            Names the step, its plates and the checkpoint that is kept.
        """
        reporter = _Reporter(progress, log_dir, self._config.loop.log_every_s)
        iterator = self._minibatches()
        pending: tuple[int, Any, Any] | None = None
        for step in range(self._done, self.n_steps):
            with self._timer.waiting():
                element = next(iterator)
            scalars = self._step(element, step)
            if pending is not None:
                self._take(*pending, reporter)
            pending = (step, scalars, element[PLATE])
            epoch_ends = (step + 1) % self._feed.steps_per_epoch == 0
            if epoch_ends or self._checkpoints.due(step + 1):
                self._take(*pending, reporter)
                pending = None
                self._end(epoch_ends)
            self._timer.step_done()
            if reporter.due() or step + 1 == self.n_steps:
                reporter.report(self._look(reporter))
        reporter.close()

    def trained(self, classes: tuple[str, ...]) -> Trained:
        """What there is to say about the finished run."""
        return Trained(
            config=self._config,
            classes=classes,
            site_shape_px=self._feed.site_shape_px,
            n_steps=self.n_steps,
            history=tuple(self._history),
            sites_per_s=self._timer.sites_per_s(),
            input_wait_share=self._timer.wait_share(),
        )

    def _minibatches(self) -> Iterator[Any]:
        dataset = self._feed.dataset(self._config.loop.epochs, self._done)
        if self._strategy.num_replicas_in_sync > 1:
            return iter(self._strategy.distribute_datasets_from_function(lambda _: dataset))
        return iter(dataset)

    def _take(self, step: int, scalars: Any, plates: Any, reporter: _Reporter) -> None:
        """Fetch the scalars of a step, stop if they are not finite, and count them."""
        values = {name: float(value) for name, value in scalars.items()}
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if bad:
            local = self._strategy.experimental_local_results(plates)
            names = [self._feed.plates[int(plate)].plate_id for plate in local]
            kept = self._checkpoints.newest()
            raise TrainingDiverged(
                f"{' and '.join(bad)} became {values[bad[0]]} at step {step + 1} of "
                f"{self.n_steps} (minibatch from plate {', '.join(names)}); "
                + (f"the last good checkpoint is {kept}; " if kept else "no checkpoint yet; ")
                + "lower optimizer.peak_learning_rate or optimizer.clip_global_norm, or look at "
                "that plate's images"
            )
        self._epoch.add(values)
        reporter.averages.add(values)
        self._done = step + 1

    def _end(self, epoch_ends: bool) -> None:
        """At the end of an epoch, or when a checkpoint is due."""
        loop = self._config.loop
        if epoch_ends:
            epoch = self._done // self._feed.steps_per_epoch
            row = {"epoch": epoch, "step": self._done} | self._epoch.means()
            self._history.append(row)
            self._epoch = Averages()
        if (
            self._checkpoints.due(self._done)
            or self._done == self.n_steps
            or (
                epoch_ends
                and self._checkpoints.seconds_since() >= _EPOCH_END_SHARE * loop.checkpoint_every_s
            )
        ):
            state = {
                "history": self._history,
                "epoch_sums": self._epoch.sums,
                "epoch_steps": self._epoch.n_steps,
                "n_replicas": self._strategy.num_replicas_in_sync,
            }
            self._checkpoints.save(self._done, state)

    def _look(self, reporter: _Reporter) -> Progress:
        means = reporter.averages.means()
        accuracy = means.pop(ACCURACY, 0.0)
        means.pop(GRADIENT_NORM, None)
        return Progress(
            step=self._done,
            n_steps=self.n_steps,
            epoch=min(self._done // self._feed.steps_per_epoch + 1, self._config.loop.epochs),
            n_epochs=self._config.loop.epochs,
            sites_per_s=self._timer.sites_per_s(),
            losses={LOSS: means.pop(LOSS, 0.0)} | means,
            accuracy=accuracy,
            input_wait_share=self._timer.wait_share(),
            seconds_left=self._timer.seconds_per_step() * (self.n_steps - self._done),
        )


class _Timer:
    """Rates of this process, without its first step (which compiles)."""

    def __init__(self, sites_per_step: int) -> None:
        self._sites_per_step = sites_per_step
        self._began_s = self._ended_s = time.perf_counter()
        self._wait_s, self._steps, self._wait_began_s = 0.0, -1, 0.0

    def __enter__(self) -> None:
        self._wait_began_s = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._wait_s += time.perf_counter() - self._wait_began_s

    def waiting(self) -> _Timer:
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


class _Reporter:
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
