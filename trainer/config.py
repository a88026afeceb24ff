"""Every knob of the science, with its unit and its default.

All dataclasses are frozen and validate themselves; build them from plain mappings with
:func:`trainer.strict.build`; :mod:`trainer.presets` has the three shipped sizes.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Literal

from trainer.denoiser_config import DenoiserDesign, DenoiserStage
from trainer.input_config import AugmentConfig, NoiseConfig, require
from trainer.input_config import NormalizerConfig as NormalizerConfig
from trainer.representation_config import (
    AdversaryConfig,
    AlignmentConfig,
    AverageConfig,
    ContextConfig,
    DataConfig,
    MarginConfig,
    ProgressiveConfig,
    check_together,
)
from trainer.schema import N_CHANNELS


@dataclass(frozen=True)
class ModelConfig:
    """Shapes of the denoiser and the classifier."""

    n_channels: int = N_CHANNELS
    #: Side of the square the network sees, px; larger sites are cropped at random in
    #: training and tiled from the centre in prediction, or resized first.
    image_size_px: int = 224
    #: Side that sites are resized to before cropping, px; 0 keeps their own size.
    resize_px: int = 0
    denoiser: bool = True
    #: Share (0..1) of the classification gradient that reaches the denoiser. At 1 it drowns
    #: the reconstruction gradient, and the denoiser stays the identity.
    task_gradient_share: float = 0.05
    #: Space-to-depth factor in front of the U-Net, and its widths per level.
    space_to_depth: int = 2
    denoiser_widths: tuple[int, ...] = (64, 128, 256)
    denoiser_design: DenoiserDesign = field(default_factory=DenoiserDesign)
    #: ``"tiny"`` is our own small network; any other name is a keras.applications class.
    backbone: str = "EfficientNetV2B0"
    #: Widths of the tiny network's stages.
    tiny_widths: tuple[int, ...] = (32, 64, 96)
    embedding_dim: int = 512
    dropout: float = 0.2
    precision: Literal["float32", "mixed_bfloat16"] = "float32"

    def __post_init__(self) -> None:
        for name in ("denoiser_widths", "tiny_widths"):
            widths = getattr(self, name)
            require(
                len(widths) > 0 and min(widths) > 0,
                f"{name} must list one or more positive widths; got {list(widths)}",
            )
        for name in ("n_channels", "image_size_px", "space_to_depth", "embedding_dim"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1")
        levels = len(self.denoiser_widths) - 1
        multiple = self.space_to_depth * 2**levels if self.denoiser else 1
        require(
            self.image_size_px % multiple == 0,
            f"image_size_px must be a multiple of {multiple} for this denoiser; "
            f"got {self.image_size_px}",
        )
        require(0 <= self.dropout < 1, "dropout must lie in 0..1, below 1")
        require(0 <= self.task_gradient_share <= 1, "task_gradient_share must lie in 0..1")


@dataclass(frozen=True)
class LossConfig:
    """Weights of the joint loss; a weight of 0 switches its term off."""

    classification: float = 1.0
    #: Charbonnier distance of denoised and clean image, in normalised units.
    reconstruction: float = 1.0
    #: Cross-entropy on the clean image as well (the classifier must not need noise).
    clean_classification: float = 0.0
    label_smoothing: float = 0.1

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            require(getattr(self, f.name) >= 0, f"{f.name} must be >= 0")
        require(self.label_smoothing < 1, "label_smoothing must be below 1")


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW with linear warm-up and cosine decay."""

    peak_learning_rate: float = 1e-3
    warmup_share: float = 0.05
    final_learning_rate_share: float = 0.01
    weight_decay: float = 1e-4
    clip_global_norm: float = 1.0

    def __post_init__(self) -> None:
        for name in ("peak_learning_rate", "clip_global_norm"):
            require(getattr(self, name) > 0, f"{name} must be positive")
        for name in ("warmup_share", "final_learning_rate_share"):
            require(0 <= getattr(self, name) <= 1, f"{name} must lie in 0..1")
        require(self.weight_decay >= 0, "weight_decay must be >= 0")


@dataclass(frozen=True)
class LoopConfig:
    """How long and where to train."""

    epochs: int = 60
    #: ``mirrored``: all devices of this machine; ``multi_worker``: of all in TF_CONFIG.
    strategy: Literal["default", "mirrored", "multi_worker", "tpu"] = "default"
    #: TPU address for ``strategy = "tpu"``; ``"local"`` on a TPU VM, ``"pod"`` for a slice of
    #: several, which TPU_CONFIG names.
    tpu_address: str = "local"
    #: More than 1 splits the CPU into logical devices (for trying replication).
    logical_cpu_devices: int = 1
    checkpoint_every_s: float = 300.0
    checkpoint_every_steps: int = 0
    keep_checkpoints: int = 2
    log_every_s: float = 2.0
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "epochs must be at least 1")
        require(0 <= self.seed < 2**31, f"seed must lie in 0..{2**31 - 1}")


@dataclass(frozen=True)
class PredictConfig:
    """How a trained model reads plates."""

    #: Estimate BatchNorm statistics from the plate at hand.
    adapt_batch_norm: bool = True
    minibatch_size: int = 32
    #: Keep only the k largest probabilities of a row (0 keeps all).
    top_k: int = 0
    #: Fixed noise protocol for PSNR and SSIM: Poisson peak photons and read sigma.
    protocol_peak_photons: float = 60.0
    protocol_read_sigma_grey_levels: float = 10.0
    #: Sites per plate measured under the protocol (0 switches it off).
    protocol_sites_per_plate: int = 8

    def __post_init__(self) -> None:
        require(self.minibatch_size >= 1, "minibatch_size must be at least 1")
        require(self.protocol_peak_photons > 0, "protocol_peak_photons must be positive")
        for name in ("top_k", "protocol_read_sigma_grey_levels", "protocol_sites_per_plate"):
            require(getattr(self, name) >= 0, f"{name} must be >= 0")


@dataclass(frozen=True)
class TrainerConfig:
    """Everything that decides what training gives."""

    model: ModelConfig = field(default_factory=ModelConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    denoiser_stage: DenoiserStage = field(default_factory=DenoiserStage)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    predict: PredictConfig = field(default_factory=PredictConfig)
    margin: MarginConfig = field(default_factory=MarginConfig)
    adversary: AdversaryConfig = field(default_factory=AdversaryConfig)
    alignment: AlignmentConfig = field(default_factory=AlignmentConfig)
    context: ContextConfig = field(default_factory=ContextConfig)
    progressive: ProgressiveConfig = field(default_factory=ProgressiveConfig)
    average: AverageConfig = field(default_factory=AverageConfig)

    def __post_init__(self) -> None:
        check_together(self)

    @property
    def epochs(self) -> int:
        """Of all stages together."""
        return self.denoiser_stage.epochs + self.loop.epochs
