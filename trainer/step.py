"""One training step, on one device or on many.

noise in raw grey levels -> normalise by plate -> augment -> denoise and classify -> loss.
Every random draw is stateless and follows from (seed, step, replica), so that a resumed
run repeats what the killed one would have done. Shapes are static.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from trainer import augment, schema
from trainer.config import TrainerConfig
from trainer.geometry import grey_image, shrink
from trainer.losses import joint_loss, stage_loss
from trainer.neighbour_pairs import neighbour_pair
from trainer.noise import add_noise
from trainer.normalize import normalise_image
from trainer.representation import Representation
from trainer.strict import ConfigError

#: Keys of the scalars that every step gives beside the loss terms.
LOSS = "loss"
ACCURACY = "accuracy"
#: Loss of the stage in which the denoiser trains alone.
STAGE = "denoiser_stage"
GRADIENT_NORM = "gradient_norm"
#: Mean over replicas of what each host asked for when it started the step.
ASKED = "asked"

#: From grey levels and a seed to a reference and the network's input.
_Pair = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


@dataclass(frozen=True)
class StageBefore:
    """The steps in which the denoiser trains alone, before the joint ones.

    Their optimizer is their own. Adam makes up for averages that start at zero by the number of
    its steps: one that had counted these would move the classifier, at its first steps, six times
    as far as its learning rate says.
    """

    n_steps: int
    optimizer: keras.optimizers.Optimizer


class TrainStep:
    """Compiled step of a model under a strategy.

    Each replica sees a minibatch of its own, from one plate; BatchNorm is not synchronised;
    gradients are averaged over replicas, then clipped by their global norm.

    Parameters
    ----------
    strategy
        Under whose scope model and optimizer were built.
    model, optimizer
        What is trained.
    config
        Noise, augmentation, loss, clipping, seed.
    n_classes
        K.
    representation
        What the configuration adds: heads, control sites in the minibatch, image sizes, averages.
    before
        Steps in which the denoiser trains alone come first; None: joint from the start.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        config: TrainerConfig,
        n_classes: int,
        representation: Representation | None = None,
        before: StageBefore | None = None,
    ) -> None:
        self._strategy, self._model, self._optimizer = strategy, model, optimizer
        self._config, self._n_classes = config, n_classes
        self._added = representation or Representation(config)
        self._before = before
        self._n_before = before.n_steps if before else 0
        # A program for each size of image, compiled when a step first needs it.
        self._joint = {
            size_px: self._on_all(partial(self._one_replica, size_px))
            for size_px in self._added.sizes.all_px
        }
        self._denoise = self._on_all(self._one_replica_denoises)

    def __call__(self, element: Any, step: int, asked: float | None = None) -> dict[str, tf.Tensor]:
        """Update the weights; returns scalars averaged over replicas, not yet fetched.

        Where hosts have processes of their own, ``asked`` is averaged with them, so that all
        learn of it after the same step.
        """
        words = () if asked is None else (tf.constant(asked, tf.float32),)
        compiled = self._denoise
        if step >= self._n_before:
            compiled = self._joint[self._added.sizes.at(step - self._n_before)]
        return compiled(element, tf.constant(step, tf.int32), *words)

    def finish(self) -> None:
        """After the last step: the average of the weights takes their place."""
        self._added.finish()

    def _on_all(self, one_replica: Callable[..., dict[str, tf.Tensor]]) -> Callable[..., Any]:
        def all_replicas(
            element: Any, step: tf.Tensor, asked: tf.Tensor | None = None
        ) -> dict[str, tf.Tensor]:
            per_replica = self._strategy.run(one_replica, args=(element, step, asked))
            return {
                name: self._strategy.reduce(tf.distribute.ReduceOp.MEAN, value, axis=None)
                for name, value in per_replica.items()
            }

        return tf.function(all_replicas, autograph=False)

    def _one_replica(
        self,
        size_px: int,
        element: dict[str, tf.Tensor],
        step: tf.Tensor,
        asked: tf.Tensor | None,
    ) -> dict[str, tf.Tensor]:
        replica = tf.distribute.get_replica_context()
        seeds = self._seeds(step, replica.replica_id_in_sync_group)
        clean_BHWC, noisy_BHWC, targets = self.prepare(element, seeds, size_px)
        target_BK = targets[:, : self._n_classes]
        with tf.GradientTape() as tape:
            # Control sites, which stand last, are for BatchNorm alone.
            outputs = self._added.without_controls(self._model(noisy_BHWC, training=True))
            clean_logits_BK = None
            if self._config.loss.clean_classification > 0.0:
                clean_outputs = self._model(clean_BHWC, training=True)
                clean_logits_BK = self._added.without_controls(clean_outputs)["logits"]
            clean_BHWC = self._added.without_controls({"image": clean_BHWC})["image"]
            loss, terms = joint_loss(
                outputs, target_BK, clean_BHWC, self._config.loss, clean_logits_BK
            )
            joint_step = step - self._n_before
            more, more_terms, found = self._added.loss(
                outputs["embedding"], target_BK, targets[:, self._n_classes :], joint_step
            )
            loss += more
        variables = trained_variables(self._model, self._config) + self._added.trainable_variables
        norm = self._update(tape, loss, variables, self._optimizer)
        self._added.after_update(joint_step, found)
        right_B = tf.equal(tf.argmax(outputs["logits"], -1), tf.argmax(target_BK, -1))
        accuracy = tf.reduce_mean(tf.cast(right_B, tf.float32))
        scalars = {LOSS: loss, **terms, **more_terms, ACCURACY: accuracy, GRADIENT_NORM: norm}
        return scalars if asked is None else scalars | {ASKED: asked}

    def _one_replica_denoises(
        self, element: dict[str, tf.Tensor], step: tf.Tensor, asked: tf.Tensor | None
    ) -> dict[str, tf.Tensor]:
        """The stage before: no label is looked at, and the classifier stays as it was made."""
        replica_id = tf.distribute.get_replica_context().replica_id_in_sync_group
        seeds = self._seeds(step, replica_id)
        size_px = self._config.model.image_size_px
        stage = self._config.denoiser_stage
        pair = neighbour_pair if stage.target == "neighbours" else None
        clean_BHWC, noisy_BHWC, _ = self.prepare(element, seeds, size_px, pair)
        denoiser = self._model.get_layer("denoiser")
        with tf.GradientTape() as tape:
            denoised_BHWC = denoiser(noisy_BHWC, training=True)
            loss = stage_loss(denoised_BHWC, clean_BHWC, stage)
        assert self._before is not None
        variables = list(denoiser.trainable_variables)
        norm = self._update(tape, loss, variables, self._before.optimizer)
        scalars = {LOSS: loss, STAGE: loss, GRADIENT_NORM: norm}
        return scalars if asked is None else scalars | {ASKED: asked}

    def _update(
        self,
        tape: tf.GradientTape,
        loss: tf.Tensor,
        variables: list[Any],
        optimizer: keras.optimizers.Optimizer,
    ) -> tf.Tensor:
        """Move the variables; returns the norm of the gradient before it was clipped."""
        replica = tf.distribute.get_replica_context()
        # Zeros and not None where a share or a weight of 0 cuts a part of the network off.
        gradients = tape.gradient(
            loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        gradients = replica.all_reduce(tf.distribute.ReduceOp.MEAN, gradients)
        gradients, norm = tf.clip_by_global_norm(gradients, self._config.optimizer.clip_global_norm)
        # Keras sums over replicas once more.
        n_replicas = self._strategy.num_replicas_in_sync
        optimizer.apply([gradient / n_replicas for gradient in gradients], variables)
        return norm

    def prepare(
        self,
        element: dict[str, tf.Tensor],
        seeds: list[tf.Tensor],
        size_px: int,
        pair: _Pair | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """From stored pixels to the clean and noisy image (normalised) and their targets.

        ``pair`` makes the two, in grey levels; None: the image as it is, and noise added to it.
        Targets are [B, K], and [B, K + E] where a term asks for the experiment: what mixes
        images mixes both. Control sites have none.
        """
        config = self._config
        raw_BHWC = grey_image(element[schema.PIXELS], config.model)
        raw_BHWC = augment.random_crop(raw_BHWC, config.model.image_size_px, seeds[0])
        raw_BHWC = shrink(raw_BHWC, size_px)
        raw_BHWC = augment.geometric(raw_BHWC, config.augment, seeds[1])
        if pair is None:
            noisy_BHWC = add_noise(raw_BHWC, config.noise, seeds[2])
        else:
            raw_BHWC, noisy_BHWC = pair(raw_BHWC, seeds[2])
        center_BC, scale_BC = element[schema.CENTER], element[schema.SCALE]
        clean_BHWC = normalise_image(raw_BHWC, center_BC, scale_BC)
        noisy_BHWC = normalise_image(noisy_BHWC, center_BC, scale_BC)
        clean_BHWC, noisy_BHWC = augment.intensity(clean_BHWC, noisy_BHWC, config.augment, seeds[3])
        targets = self._added.targets(element, tf.one_hot(element[schema.LABEL], self._n_classes))
        clean, noisy = {"image": clean_BHWC}, {"image": noisy_BHWC}
        *mixed, targets = augment.cutmix(
            self._added.without_controls(clean)["image"],
            self._added.without_controls(noisy)["image"],
            targets,
            config.augment,
            seeds[4],
        )
        clean_BHWC = self._added.with_controls(mixed[0], clean_BHWC)
        return clean_BHWC, self._added.with_controls(mixed[1], noisy_BHWC), targets

    def _seeds(self, step: tf.Tensor, replica_id: Any) -> list[tf.Tensor]:
        seed = tf.stack([tf.constant(self._config.loop.seed, tf.int32), step])
        folded = tf.random.experimental.stateless_fold_in(seed, replica_id)
        return tf.unstack(tf.random.experimental.stateless_split(folded, 5))


def trained_variables(model: keras.Model, config: TrainerConfig) -> list[Any]:
    """Variables that the loss reaches: without a classification term, the denoiser's alone.

    Raises
    ------
    ConfigError
        The loss reaches none.
    """
    loss = config.loss
    if loss.classification > 0.0 or loss.clean_classification > 0.0:
        return list(model.trainable_variables)
    variables = list(model.get_layer("denoiser").trainable_variables)
    if not variables or loss.reconstruction == 0.0:
        raise ConfigError(
            "nothing to train: set loss.classification above 0, or loss.reconstruction with "
            "model.denoiser = true"
        )
    return variables
