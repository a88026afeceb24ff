"""What pulls the embedding towards biology and away from the experiment; all of it off at first.

Each option has a weight, a size or a list, whose 0 or empty value means that nothing of it is
built. The sources are named where the option is computed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from trainer.input_config import require

if TYPE_CHECKING:
    from trainer.config import TrainerConfig

Composition = Literal["plate", "experiment", "cell_type", "random"]
MarginKind = Literal["arcface", "cosface"]
AlignmentKind = Literal["coral", "mmd"]

PLATE: Composition = "plate"


@dataclass(frozen=True)
class DataConfig:
    """How Examples are fed."""

    #: Sites a replica sees in one step.
    minibatch_size: int = 32
    #: Where the sites of one minibatch come from: one plate, one experiment, one cell type, or
    #: the whole training split. BatchNorm sees what it is given. ``random`` is the usual way of
    #: training, with ``predict.adapt_batch_norm = false`` as its usual way of predicting.
    composition: Composition = PLATE
    #: Plates read at once; steps alternate between them (``composition = "plate"`` alone).
    open_plates: int = 8
    #: Sites of one plate held for shuffling (compressed, about 400 kB each at 512 px;
    #: ``composition = "plate"`` alone: the others draw from the whole at random).
    shuffle_sites: int = 616
    #: Keep the compressed records in memory after the first epoch (small screens).
    cache_in_memory: bool = False
    #: Train on labels dealt out anew among the wells of the training split. A model trained so
    #: must sit at chance on every held-out experiment; if it does not, something leaks.
    shuffle_labels: bool = False

    def __post_init__(self) -> None:
        for name in ("minibatch_size", "open_plates", "shuffle_sites"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1")


@dataclass(frozen=True)
class MarginConfig:
    """A second head with an angular margin, beside the softmax head that predicts."""

    #: Weight of its loss; 0 switches it off.
    weight: float = 0.0
    #: ``arcface`` adds the margin to the angle, ``cosface`` takes it from the cosine.
    kind: MarginKind = "arcface"
    #: Radians for ``arcface``, units of cosine for ``cosface``.
    margin: float = 0.3
    #: Cosines times this are logits.
    scale: float = 30.0

    def __post_init__(self) -> None:
        require(self.weight >= 0, "weight must be >= 0")
        high = math.pi / 2 if self.kind == "arcface" else 1.0
        require(0 <= self.margin < high, f"margin must lie in 0..{high:.3g}; got {self.margin}")
        require(self.scale > 0, "scale must be positive")


@dataclass(frozen=True)
class AdversaryConfig:
    """A classifier of the experiment within a cell type, whose gradient is reversed."""

    #: Share of its gradient that reaches the embedding, reversed, at the end of the ramp; 0
    #: switches it off.
    weight: float = 0.0
    #: Units of its hidden layer.
    hidden_width: int = 128
    #: Steepness of the ramp 2 / (1 + exp(-ramp * share of the run)) - 1; 0: full from the start.
    ramp: float = 10.0

    def __post_init__(self) -> None:
        for name in ("weight", "ramp"):
            require(getattr(self, name) >= 0, f"{name} must be >= 0")
        require(self.hidden_width >= 1, "hidden_width must be at least 1")


@dataclass(frozen=True)
class AlignmentConfig:
    """Draws the embedding's distribution of each experiment to that of its cell type."""

    #: Weight of the distance; 0 switches it off.
    weight: float = 0.0
    #: ``coral``: means and covariances; ``mmd``: all moments that a Gaussian kernel sees.
    kind: AlignmentKind = "coral"
    #: How much of an experiment's running statistics stays when a minibatch of it is added.
    decay: float = 0.9
    #: ``mmd``: kernel widths in units of the typical distance of two embeddings, sqrt(2 D).
    kernel_widths: tuple[float, ...] = (0.5, 1.0, 2.0)
    #: ``mmd``: random features that stand for the kernel.
    random_features: int = 1024

    def __post_init__(self) -> None:
        require(self.weight >= 0, "weight must be >= 0")
        require(0 <= self.decay < 1, "decay must lie in 0..1, below 1")
        require(
            len(self.kernel_widths) > 0 and min(self.kernel_widths) > 0,
            f"kernel_widths must list one or more positive widths; got {list(self.kernel_widths)}",
        )
        require(
            self.random_features >= 2 * len(self.kernel_widths),
            f"random_features must be at least 2 for each of kernel_widths; "
            f"got {self.random_features}",
        )


@dataclass(frozen=True)
class ContextConfig:
    """Control sites of the plate that BatchNorm sees beside each minibatch, and no loss does."""

    #: Control sites added to each minibatch, in training and in prediction; 0 switches it off.
    control_sites: int = 0
    #: Well types that count as controls.
    well_types: tuple[str, ...] = ("negative_control", "positive_control")

    def __post_init__(self) -> None:
        require(self.control_sites >= 0, "control_sites must be >= 0")
        known = {"negative_control", "positive_control"}
        require(
            len(self.well_types) > 0 and set(self.well_types) <= known,
            f"well_types must list {' or '.join(sorted(known))}; got {list(self.well_types)}",
        )


@dataclass(frozen=True)
class ProgressiveConfig:
    """Smaller images first."""

    #: (share of the epochs, side in px) in turn; the image is cut as ever and then shrunk to
    #: that side. Shares sum to 1; the last side is ``model.image_size_px``. Empty: one size.
    stages: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        for stage in self.stages:
            require(
                len(stage) == 2 and stage[0] > 0 and stage[1] >= 1 and stage[1] == int(stage[1]),
                "stages must list pairs of a share of the epochs (above 0) and a side in whole "
                f"px; got {list(stage)}",
            )
        total = sum(stage[0] for stage in self.stages)
        require(
            not self.stages or abs(total - 1.0) < 1e-6,
            f"the shares of stages must sum to 1; got {total:g}",
        )


@dataclass(frozen=True)
class AverageConfig:
    """An exponential moving average of the weights, which is what is exported."""

    #: Share of the average that stays at each step (0.999 is usual); 0 switches it off.
    decay: float = 0.0

    def __post_init__(self) -> None:
        require(0 <= self.decay < 1, "decay must lie in 0..1, below 1")


def check_together(config: TrainerConfig) -> None:
    """Refuse options that do not go together.

    Raises
    ------
    ConfigError
        Names the keys and what to change.
    """
    for section in ("margin", "adversary", "alignment"):
        require(
            getattr(config, section).weight == 0 or config.loss.classification > 0,
            f"{section}.weight is above 0, but loss.classification is 0: the head that predicts "
            f"would learn nothing; raise loss.classification, or set {section}.weight to 0",
        )
    require(
        config.context.control_sites == 0 or config.data.composition == PLATE,
        "context.control_sites takes the controls of the minibatch's plate, so data.composition "
        f'must be "plate"; got {config.data.composition!r}',
    )
    _check_stages(config)
    _check_stage_before(config)


def _check_stage_before(config: TrainerConfig) -> None:
    stage, model = config.denoiser_stage, config.model
    require(
        model.denoiser or not stage.start,
        f"denoiser_stage.start is {stage.start!r}, but model.denoiser = false leaves nothing to "
        "start",
    )
    if not stage.epochs:
        require(
            stage.target == "clean",
            'denoiser_stage.target = "neighbours" does nothing with denoiser_stage.epochs = 0: '
            "say how many epochs",
        )
        return
    require(
        model.denoiser,
        "denoiser_stage.epochs is above 0, but model.denoiser = false leaves nothing to train",
    )
    if stage.target == "clean":
        return
    halved = 2 * model.space_to_depth * 2 ** (len(model.denoiser_widths) - 1)
    require(
        model.image_size_px % halved == 0,
        f'denoiser_stage.target = "neighbours" needs an image_size_px that is a multiple of '
        f"{halved}, for its pairs are half as large; got {model.image_size_px}",
    )
    require(
        model.resize_px == 0,
        'denoiser_stage.target = "neighbours" needs model.resize_px = 0: resizing mixes '
        f"neighbouring pixels, and their noise is no longer independent; got {model.resize_px}",
    )
    require(
        config.loss.reconstruction == 0,
        'denoiser_stage.target = "neighbours" needs loss.reconstruction = 0: the joint epochs '
        "would teach the denoiser to give back the images as they are, with their own noise",
    )


def _check_stages(config: TrainerConfig) -> None:
    stages, model = config.progressive.stages, config.model
    if not stages:
        return
    require(
        stages[-1][1] == model.image_size_px,
        f"the last of progressive.stages must be model.image_size_px = {model.image_size_px}, "
        f"the size that prediction sees; got {stages[-1][1]:g}",
    )
    multiple = model.space_to_depth * 2 ** (len(model.denoiser_widths) - 1) if model.denoiser else 1
    for _, size_px in stages:
        require(
            size_px % multiple == 0 and size_px <= model.image_size_px,
            f"each size of progressive.stages must be a multiple of {multiple} for this denoiser "
            f"and at most model.image_size_px = {model.image_size_px}; got {size_px:g}",
        )
    n_epochs = [share * config.loop.epochs for share, _ in stages]
    require(
        min(n_epochs) >= 0.5,
        f"progressive.stages gives a size {min(n_epochs):.2g} of {config.loop.epochs} epochs; "
        "raise its share, or loop.epochs",
    )
