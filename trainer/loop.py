"""The loop over steps: checks, averages, reports and saves."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.artifact import Trained
from trainer.checkpoint import Checkpoints
from trainer.compose import Feed
from trainer.config import TrainerConfig
from trainer.data import PLATE
from trainer.errors import PlatewiseError
from trainer.hosts import Hosts, check_agreement, mean_over_hosts
from trainer.preemption import TrainingInterrupted
from trainer.progress import Progress, ProgressCallback
from trainer.reporting import Averages, Reporter, Timer
from trainer.step import ACCURACY, ASKED, GRADIENT_NORM, LOSS, TrainStep

#: At the end of an epoch a checkpoint is written if this share of the interval has passed.
_EPOCH_END_SHARE = 0.1

#: What a host may ask of all in a step: to save (the chief's clock decides), and to stop as well.
_SAVE, _STOP = 1.0, 1024.0


class TrainingDiverged(PlatewiseError):  # noqa: N818  (what happened, not a fault of ours)
    """The loss or the gradient is no longer finite."""


class Loop:
    """Runs the steps that are left.

    The scalars of a step are fetched after the next step was started, so that an
    accelerator never waits for the host; a checkpoint is written only when the scalars of
    every step before it were found finite.

    Where hosts have processes of their own, a checkpoint or a stop that one of them asks for
    travels with the scalars of its step, so that all act after the same one.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        feed: Feed,
        model: keras.Model,
        step: TrainStep,
        checkpoints: Checkpoints,
        config: TrainerConfig,
        hosts: Hosts,
        stop: Callable[[], bool],
    ) -> None:
        self.model = model
        self.n_steps = config.epochs * feed.steps_per_epoch
        self._strategy, self._feed, self._step = strategy, feed, step
        self._checkpoints, self._config = checkpoints, config
        self._hosts, self._stop = hosts, stop
        self._asked = 0.0
        self._done = 0
        self._history: list[dict[str, float]] = []
        self._epoch = Averages()
        self._timer = Timer(config.data.minibatch_size * strategy.num_replicas_in_sync)

    def restore(self) -> int:
        """Go back to the newest whole checkpoint; returns the number of finished steps.

        Raises
        ------
        PlatewiseError
            It was made on another number of replicas: its steps are not steps of this run.
        """
        state = self._checkpoints.restore()
        if state is not None:
            self._check_devices(state["n_replicas"], state.get("n_hosts", 1))
            self._done = state["step"]
            self._history = state["history"]
            self._epoch = Averages(state["epoch_sums"], state["epoch_steps"])
        if self._hosts.processes:
            check_agreement(self._strategy, self._done)
        return self._done

    def _check_devices(self, n_replicas: int, n_hosts: int) -> None:
        here = self._strategy.num_replicas_in_sync
        if (n_replicas, n_hosts) != (here, self._hosts.n):
            there, now = f"{n_replicas} replicas", f"{here}"
            if n_hosts != self._hosts.n:
                there, now = f"{there} on {n_hosts} hosts", f"{now} on {self._hosts.n}"
            raise PlatewiseError(
                f"checkpoint {self._checkpoints.newest()} was made on {there}, and here are "
                f"{now}: a step there is other sites, so training cannot go on from it; use as "
                "many devices as before, or remove that folder to train from the start"
            )

    def run(self, progress: ProgressCallback | None = None, log_dir: str | None = None) -> None:
        """Train to the last step.

        Raises
        ------
        TrainingDiverged
            Names the step, its plates and the checkpoint that is kept.
        TrainingInterrupted
            A stop was asked for; the checkpoint of the last step is written.
        """
        reporter = Reporter(progress, log_dir, self._config.loop.log_every_s)
        iterator = self._minibatches()
        pending: tuple[int, Any, Any] | None = None
        for step in range(self._done, self.n_steps):
            with self._timer.waiting():
                element = next(iterator)
            scalars = self._step(element, step, *self._words(step))
            if pending is not None:
                self._take(*pending, reporter)
            pending = (step, scalars, element[PLATE])
            epoch_ends = (step + 1) % self._feed.steps_per_epoch == 0
            if epoch_ends or self._interrupts(step + 1):
                self._take(*pending, reporter)
                pending = None
                self._end(epoch_ends)
            self._timer.step_done()
            if reporter.due() or step + 1 == self.n_steps:
                reporter.report(self._look(reporter))
        reporter.close()

    def finish(self) -> None:
        """Leave in the model what is to be kept: the average of its weights, where there is one."""
        self._step.finish()

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
        def dataset(host: int) -> tf.data.Dataset:
            return self._feed.dataset(self._config.epochs, self._done, host)

        if self._hosts.n > 1:
            # Repeated in name only: of endless input TensorFlow need not ask, step by step and on
            # every host, whether there is more.
            return iter(
                self._strategy.distribute_datasets_from_function(
                    lambda context: dataset(context.input_pipeline_id).repeat()
                )
            )
        if self._strategy.num_replicas_in_sync > 1:
            return iter(self._strategy.distribute_datasets_from_function(lambda _: dataset(0)))
        return iter(dataset(0))

    def _words(self, step: int) -> tuple[float, ...]:
        """What this host asks of the others in a step."""
        if not self._hosts.processes:
            return ()
        save = self._hosts.chief and self._checkpoints.due(step + 1)
        return (_STOP * self._stop() + _SAVE * save,)

    def _interrupts(self, step: int) -> bool:
        """Whether to save, or to stop, after ``step`` finished steps."""
        if self._hosts.processes:
            return self._asked > 0
        return self._stop() or self._checkpoints.due(step)

    def _take(self, step: int, scalars: Any, plates: Any, reporter: Reporter) -> None:
        """Fetch the scalars of a step, stop if they are not finite, and count them."""
        values = {name: float(value) for name, value in scalars.items()}
        self._asked = max(self._asked, values.pop(ASKED, 0.0))
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if bad:
            local = self._strategy.experimental_local_results(plates)
            positions = np.unique(np.concatenate([np.ravel(plate) for plate in local]))
            names = [self._feed.plates[plate].plate_id for plate in positions]
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
        if epoch_ends:
            epoch = self._done // self._feed.steps_per_epoch
            row = {"epoch": epoch, "step": self._done} | self._epoch.means()
            self._history.append(row)
            self._epoch = Averages()
        stops = self._stops()
        if stops or self._saves(epoch_ends):
            state = {
                "history": self._history,
                "epoch_sums": self._epoch.sums,
                "epoch_steps": self._epoch.n_steps,
                "n_replicas": self._strategy.num_replicas_in_sync,
                "n_hosts": self._hosts.n,
            }
            self._checkpoints.save(self._done, state)
        self._asked = 0.0
        if stops and self._done < self.n_steps:
            if self._hosts.processes:  # none leaves before the chief has written
                mean_over_hosts(self._strategy, 0.0)
            raise TrainingInterrupted(
                f"training was asked to stop and saved step {self._done} of {self.n_steps} in "
                f"{self._checkpoints.newest()}; the same command goes on from there"
            )

    def _stops(self) -> bool:
        if not self._hosts.processes:
            return self._stop()
        # A mean over at most hundreds of replicas: one that asks for a stop outweighs every save.
        return self._asked * self._strategy.num_replicas_in_sync > _STOP / 2

    def _saves(self, epoch_ends: bool) -> bool:
        if self._done == self.n_steps:
            return True
        if self._hosts.processes:  # their clocks differ: the chief's has been asked
            return self._asked > 0
        interval_s = self._config.loop.checkpoint_every_s
        waited = self._checkpoints.seconds_since() >= _EPOCH_END_SHARE * interval_s
        return self._checkpoints.due(self._done) or (epoch_ends and waited)

    def _look(self, reporter: Reporter) -> Progress:
        means = reporter.averages.means()
        accuracy = means.pop(ACCURACY, 0.0)
        means.pop(GRADIENT_NORM, None)
        return Progress(
            step=self._done,
            n_steps=self.n_steps,
            epoch=min(self._done // self._feed.steps_per_epoch + 1, self._config.epochs),
            n_epochs=self._config.epochs,
            sites_per_s=self._timer.sites_per_s(),
            losses={LOSS: means.pop(LOSS, 0.0)} | means,
            accuracy=accuracy,
            input_wait_share=self._timer.wait_share(),
            seconds_left=self._timer.seconds_per_step() * (self.n_steps - self._done),
        )
