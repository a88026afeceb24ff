"""Training from Examples and a Transform graph to weights."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer import schema
from trainer.artifact import Trained, copy_trained, read_trained, write_trained
from trainer.checkpoint import Checkpoints
from trainer.compose import Feed, make_feed
from trainer.config import TrainerConfig
from trainer.denoising.saved import start_from
from trainer.errors import PlatewiseError
from trainer.geometry import check_size
from trainer.hosts import Hosts, hosts_of, mean_over_hosts
from trainer.identity import run_digest
from trainer.loop import Loop
from trainer.manifest import Manifest, Shard, read_manifest, verify
from trainer.models import build_model, initial_draws
from trainer.preemption import StopRequest
from trainer.progress import ProgressCallback
from trainer.representation import Representation
from trainer.scan import PlateRecords, scan_plates
from trainer.schedule import build_optimizer
from trainer.shuffled import shuffle_labels
from trainer.step import StageBefore, TrainStep, trained_variables
from trainer.strategy import make_strategy
from trainer.transform_graph import FittedNormaliser, load_transform, read_normaliser


@dataclass(frozen=True)
class TrainResult:
    """What a call of :func:`train` did."""

    out_dir: str
    checkpoint_dir: str
    trained: Trained
    #: Step from which this call went on: 0 from the start, ``n_steps`` if nothing was left.
    resumed_at_step: int
    seconds: float


def train(
    examples_dir: str,
    transform_dir: str,
    config: TrainerConfig,
    checkpoint_root: str,
    out_dir: str,
    progress: ProgressCallback | None = None,
    log_dir: str | None = None,
    stop: StopRequest | None = None,
) -> TrainResult:
    """Train on the split ``train``, or go on where a killed run of the same stopped.

    Under ``multi_worker`` every host calls this; the first of them alone writes and reports.

    Parameters
    ----------
    examples_dir
        Folder with ``manifest.json`` and ``Split-train``.
    transform_dir
        Folder of the Transform graph fitted on these Examples.
    config
        Everything that decides the result.
    checkpoint_root
        Checkpoints go into a folder inside it, named by what decides the result; a run that
        is finished already is copied from there.
    out_dir
        Receives ``weights.weights.h5``, ``trainer.json`` and ``history.csv``.
    progress
        Called about every ``config.loop.log_every_s`` seconds.
    log_dir
        Receives TensorBoard scalars.
    stop
        Asked after every step whether to save and stop; listens to SIGTERM while steps run.

    Raises
    ------
    PlatewiseError
        Unusable data (file or site named); :class:`trainer.loop.TrainingDiverged` on a loss
        that is not finite, the last good checkpoint being kept;
        :class:`trainer.preemption.TrainingInterrupted` where ``stop`` said so.
    """
    started_s = time.monotonic()
    manifest = read_manifest(examples_dir)
    shards = manifest.of_split(schema.SPLIT_TRAIN)
    normaliser = read_normaliser(transform_dir)
    check_inputs(examples_dir, manifest, shards, normaliser, config)
    checkpoint_dir = f"{checkpoint_root.rstrip('/')}/{run_digest(config, shards, normaliser)}"
    finished_dir = f"{checkpoint_dir}/finished"
    trained, resumed_at_step = read_trained(finished_dir), 0
    hosts = Hosts()
    if trained is not None:
        resumed_at_step = trained.n_steps
    else:
        verify(examples_dir, manifest, [schema.SPLIT_TRAIN])
        strategy = make_strategy(config.loop)
        hosts = hosts_of(strategy)
        plates = _plates(examples_dir, transform_dir, manifest, shards, normaliser, config, hosts)
        n_replicas = strategy.num_replicas_in_sync
        feed = make_feed(plates, manifest, config, n_replicas, hosts.n)
        n_classes = len(normaliser.classes)
        loop = _build_loop(strategy, feed, config, n_classes, checkpoint_dir, hosts, stop)
        resumed_at_step = loop.restore()
        if stop is not None:
            stop.listen()
        loop.run(progress if hosts.chief else None, log_dir if hosts.chief else None)
        loop.finish()
        described = loop.trained(normaliser.classes)
        if hosts.chief:
            trained = write_trained(finished_dir, described, loop.model)
        else:
            with tempfile.TemporaryDirectory() as scratch:
                trained = write_trained(scratch, described, loop.model)
    if hosts.chief:
        copy_trained(finished_dir, out_dir)
    if hosts.processes:  # a host that leaves while the chief still writes would be taken for lost
        mean_over_hosts(strategy, 0.0)
    seconds = time.monotonic() - started_s
    return TrainResult(out_dir, checkpoint_dir, trained, resumed_at_step, seconds)


def _plates(
    examples_dir: str,
    transform_dir: str,
    manifest: Manifest,
    shards: tuple[Shard, ...],
    normaliser: FittedNormaliser,
    config: TrainerConfig,
    hosts: Hosts,
) -> list[PlateRecords]:
    """Facts of every training plate; their records too, where they are to be held."""
    plates = scan_plates(
        examples_dir,
        shards,
        load_transform(transform_dir),
        manifest,
        n_classes=len(normaliser.classes),
        # A process that feeds other hosts would have to send them what it holds.
        hold=config.data.cache_in_memory and (hosts.processes or hosts.n == 1),
        controls=config.context.well_types if config.context.control_sites else (),
    )
    _check_classes(plates, normaliser.classes)
    return shuffle_labels(plates, config.loop.seed) if config.data.shuffle_labels else plates


def _build_loop(
    strategy: tf.distribute.Strategy,
    feed: Feed,
    config: TrainerConfig,
    n_classes: int,
    checkpoint_dir: str,
    hosts: Hosts,
    stop: StopRequest | None,
) -> Loop:
    with strategy.scope(), initial_draws(config.loop.seed + 1):
        model = build_model(config.model, n_classes)
        if config.denoiser_stage.start:
            start_from(model.get_layer("denoiser"), config.denoiser_stage.start)
        representation = Representation(config, model, feed, n_classes)
        optimizer = build_optimizer(config.optimizer, config.loop.epochs * feed.steps_per_epoch)
        optimizer.build(trained_variables(model, config) + representation.trainable_variables)
        before = _stage_before(model, feed, config)
    saved = [*model.variables, *optimizer.variables]
    saved += before.optimizer.variables if before else []
    variables: list[Any] = [v.value for v in saved] + representation.saved_variables
    checkpoints = Checkpoints(
        checkpoint_dir,
        variables,
        keep=config.loop.keep_checkpoints,
        every_s=config.loop.checkpoint_every_s,
        every_steps=config.loop.checkpoint_every_steps,
        writes=hosts.chief,
    )
    step = TrainStep(strategy, model, optimizer, config, n_classes, representation, before)
    return Loop(strategy, feed, model, step, checkpoints, config, hosts, stop or _never)


def _stage_before(model: keras.Model, feed: Feed, config: TrainerConfig) -> StageBefore | None:
    stage = config.denoiser_stage
    if not stage.epochs:
        return None
    n_steps = stage.epochs * feed.steps_per_epoch
    peak = dataclasses.replace(config.optimizer, peak_learning_rate=stage.peak_learning_rate)
    optimizer = build_optimizer(peak, n_steps)
    optimizer.build(model.get_layer("denoiser").trainable_variables)
    return StageBefore(n_steps, optimizer)


def _never() -> bool:
    return False


def check_inputs(
    examples_dir: str,
    manifest: Manifest,
    shards: tuple[Shard, ...],
    normaliser: FittedNormaliser,
    config: TrainerConfig,
) -> None:
    """Refuse what can be refused before anything is read or built.

    Raises
    ------
    PlatewiseError
        No training split, other channels or too small sites, or a plate that the Transform graph
        was not fitted on.
    """
    if not shards:
        raise PlatewiseError(
            f"{examples_dir} has no split {schema.SPLIT_TRAIN!r} (it has: "
            f"{', '.join(manifest.splits()) or 'none'}): nothing to train on"
        )
    if manifest.n_channels != config.model.n_channels:
        raise PlatewiseError(
            f"{examples_dir} has {manifest.n_channels} channels, but model.n_channels is "
            f"{config.model.n_channels}; set it to {manifest.n_channels}"
        )
    strangers = {shard.plate_id for shard in shards} - set(normaliser.plates)
    if strangers:
        raise PlatewiseError(
            f"the Transform graph does not know plate {min(strangers)} of {examples_dir} "
            f"({len(strangers)} unknown): it was fitted on other Examples; run the Transform "
            "step again"
        )
    check_size(manifest.height, manifest.width, config.model)


def _check_classes(plates: Sequence[PlateRecords], classes: tuple[str, ...]) -> None:
    """Every class needs a training site, or it would be evaluated but never be learnt."""
    seen = np.unique(np.concatenate([plate.labels for plate in plates]))
    unseen = [name for label, name in enumerate(classes) if label not in seen]
    if unseen:
        raise PlatewiseError(
            f"class {unseen[0]!r} ({len(unseen)} of {len(classes)} classes) has sites in other "
            f"splits and none in split {schema.SPLIT_TRAIN!r}: training never sees it, so it "
            "cannot be predicted. Were its training sites left out (see the dead letters)? Mend "
            "them, move an experiment that has it to training, or leave the class out"
        )
