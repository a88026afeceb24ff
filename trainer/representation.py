"""What the configuration adds to a training step, beyond the joint loss.

Heads that only training has, control sites in the minibatch, image sizes and the average of the
weights. An option of weight 0 builds no variable and no operation. The joint model is built
first, so its initial weights are the same with and without them.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from trainer.adversary import adversary_terms, build_adversary, reverse_gradient, strength_at
from trainer.align import Alignment
from trainer.average import WeightAverage
from trainer.compose import Feed
from trainer.config import TrainerConfig
from trainer.data import PLATE
from trainer.domains import Domains, domains_of
from trainer.margin import CosineHead, margin_loss
from trainer.progressive import image_sizes

MARGIN = "margin"
ADVERSARY = "adversary"
#: Share of sites whose experiment the adversary names, within their cell type.
ADVERSARY_ACCURACY = "adversary_accuracy"
ALIGNMENT = "alignment"


class Representation:
    """The options that are on.

    Parameters
    ----------
    config
        Which.
    model
        The joint model, built; with ``feed`` and ``n_classes`` it may be left out where no
        option needs it. To be called under the strategy's scope and the draws of initial weights.
    feed
        Gives experiments, and the length of the run.
    n_classes
        K.

    Raises
    ------
    PlatewiseError
        A term compares experiments, and no cell type has two.
    """

    def __init__(
        self,
        config: TrainerConfig,
        model: keras.Model | None = None,
        feed: Feed | None = None,
        n_classes: int = 0,
    ) -> None:
        self._config = config
        steps_per_epoch = feed.steps_per_epoch if feed is not None else 1
        self._n_steps = config.loop.epochs * steps_per_epoch
        self.sizes = image_sizes(config, steps_per_epoch)
        self._n_controls = config.context.control_sites
        self._domains: Domains | None = None
        self._margin = self._adversary = None
        self._alignment: Alignment | None = None
        self._average: WeightAverage | None = None
        dim = config.model.embedding_dim
        if feed is not None and max(config.adversary.weight, config.alignment.weight) > 0:
            self._domains = domains_of(feed.plates)
        if config.margin.weight > 0:
            self._margin = CosineHead(n_classes, name="margin")
            self._margin.build((None, dim))
        if self._domains is not None and config.adversary.weight > 0:
            n_experiments = len(self._domains.experiments)
            self._adversary = build_adversary(config.adversary, dim, n_experiments)
        if self._domains is not None and config.alignment.weight > 0:
            self._alignment = Alignment(config.alignment, self._domains, dim)
        if model is not None and config.average.decay > 0:
            self._average = WeightAverage(model, config.average.decay)

    @property
    def trainable_variables(self) -> list[Any]:
        """Variables of the heads."""
        heads = [head for head in (self._margin, self._adversary) if head is not None]
        return [variable for head in heads for variable in head.trainable_variables]

    @property
    def saved_variables(self) -> list[tf.Variable]:
        """What a checkpoint holds beside model and optimizer."""
        saved = [variable.value for variable in self.trainable_variables]
        for part in (self._alignment, self._average):
            saved += part.variables if part is not None else []
        return saved

    def targets(self, element: dict[str, tf.Tensor], target_BK: tf.Tensor) -> tf.Tensor:
        """Targets without control sites; behind the classes the experiments, where needed."""
        n_sites = target_BK.shape[0] or tf.shape(target_BK)[0]
        if self._domains is not None:
            experiment_BE = self._domains.shares(element[PLATE], n_sites)
            target_BK = tf.concat([target_BK, experiment_BE], axis=1)
        return self.without_controls({"target": target_BK})["target"]

    def without_controls(self, tensors: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Tensors [B, ...] without the control sites that stand last."""
        if self._n_controls == 0:
            return tensors
        return {name: values[: -self._n_controls] for name, values in tensors.items()}

    def with_controls(self, changed: tf.Tensor, whole: tf.Tensor) -> tf.Tensor:
        """``changed`` with the control sites of ``whole`` put back behind it."""
        if self._n_controls == 0:
            return changed
        return tf.concat([changed, whole[-self._n_controls :]], axis=0)

    def loss(
        self,
        embedding_BD: tf.Tensor,
        target_BK: tf.Tensor,
        experiment_BE: tf.Tensor,
        step: tf.Tensor,
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor], Any]:
        """Weighted sum of the terms that are on, each by itself (unweighted), and a rest.

        The adversary's own loss counts once, whatever its weight, which is on the gradient that
        it sends back. The rest is for :meth:`after_update`: replicas are threads that take turns,
        so nothing of a step is kept here.
        """
        config, terms, found = self._config, {}, None
        total = tf.zeros((), tf.float32)
        if self._margin is not None:
            terms[MARGIN] = margin_loss(self._margin(embedding_BD), target_BK, config.margin)
            total += config.margin.weight * terms[MARGIN]
        if self._adversary is not None and self._domains is not None:
            strength = strength_at(step, self._n_steps, config.adversary)
            logits_BE = self._adversary(reverse_gradient(embedding_BD, strength))
            terms[ADVERSARY], terms[ADVERSARY_ACCURACY] = adversary_terms(
                logits_BE, experiment_BE, self._domains
            )
            total += terms[ADVERSARY]
        if self._alignment is not None:
            terms[ALIGNMENT], found = self._alignment.loss(embedding_BD, experiment_BE)
            total += config.alignment.weight * terms[ALIGNMENT]
        return total, terms, found

    def after_update(self, step: tf.Tensor, found: Any) -> None:
        """Bring running statistics and averages up to the weights just made, in a replica."""
        if self._alignment is not None:
            replica = tf.distribute.get_replica_context()
            self._alignment.update(replica, found)
        if self._average is not None:
            self._average.update(step)

    def finish(self) -> None:
        """After the last step: the average of the weights takes their place."""
        if self._average is not None:
            self._average.put_into_model()
