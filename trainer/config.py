"""Every knob of the science, with its unit and its default.

All dataclasses are frozen and validate themselves; build them from plain mappings with
:func:`trainer.strict.build`. :func:`preset` gives the three shipped sizes.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

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
from trainer.strict import ConfigError, build, to_mapping


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
        require(
            self.model.denoiser or self.denoiser_stage.epochs == 0,
            "denoiser_stage.epochs is above 0, but model.denoiser = false leaves nothing to train",
        )

    @property
    def epochs(self) -> int:
        """Of all stages together."""
        return self.denoiser_stage.epochs + self.loop.epochs


#: Preset name -> values that differ from the defaults above.
_PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {
        "model": {
            "image_size_px": 64,
            "denoiser_widths": [24, 32],
            "backbone": "tiny",
            "tiny_widths": [24, 48, 64],
            "embedding_dim": 64,
            "dropout": 0.1,
        },
        "noise": {
            "peak_photons_low": 100.0,
            "read_sigma_high_grey_levels": 10.0,
            "impulse_density_high": 0.05,
        },
        "data": {"minibatch_size": 16, "cache_in_memory": True},
        "optimizer": {"peak_learning_rate": 3e-3},
        "loop": {"epochs": 20, "checkpoint_every_s": 20.0},
    },
    "base": {
        "model": {"image_size_px": 224, "resize_px": 224, "denoiser_widths": [48, 96, 192]},
    },
    "full": {
        "model": {
            "image_size_px": 512,
            "backbone": "EfficientNetV2S",
            "precision": "mixed_bfloat16",
        },
        "data": {"minibatch_size": 16},
        "loop": {"epochs": 90},
    },
}


def preset(name: str, overrides: dict[str, Any] | None = None) -> TrainerConfig:
    """One of the shipped sizes: ``tiny`` (CPU demo), ``base`` (224 px), ``full`` (512 px).

    Parameters
    ----------
    name
        Preset name.
    overrides
        Nested mapping laid over the preset.

    Raises
    ------
    ConfigError
        Unknown preset, or an override that does not fit.
    """
    if name not in _PRESETS:
        raise ConfigError(f"preset must be one of {', '.join(_PRESETS)}; got {name!r}")
    return build(TrainerConfig, _merge(_PRESETS[name], overrides or {}), "")


def resolve(
    config: TrainerConfig, config_preset: str, preset_name: str = "", epochs: int = 0
) -> TrainerConfig:
    """A configuration with what is only known when the run starts.

    Parameters
    ----------
    config
        What was configured.
    config_preset
        Preset that ``config`` began with.
    preset_name
        Preset to take instead: what ``config`` changed in its own is changed in this one too.
        Empty: the same.
    epochs
        Epochs to train; 0: as configured.

    Raises
    ------
    ConfigError
        Unknown preset, or changes that do not fit it.
    """
    if preset_name and preset_name != config_preset:
        config = preset(
            preset_name, _changes(to_mapping(preset(config_preset)), to_mapping(config))
        )
    if epochs:
        config = dataclasses.replace(config, loop=dataclasses.replace(config.loop, epochs=epochs))
    return config


def _changes(base: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
    """Nested values of ``changed`` that differ from ``base``."""
    found: dict[str, Any] = {}
    for key, value in changed.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            below = _changes(base[key], value)
            if below:
                found[key] = below
        elif base.get(key) != value:
            found[key] = value
    return found


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = (
            _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
        )
    return merged


def flatten(config: Any) -> dict[str, Any]:
    """Dotted keys and values of a configuration, for reports and comparisons."""
    flat: dict[str, Any] = {}

    def walk(prefix: str, node: Any) -> None:
        if isinstance(node, dict) and node:
            for key, value in node.items():
                walk(f"{prefix}{key}.", value)
        else:
            flat[prefix[:-1]] = node

    walk("", to_mapping(config))
    return flat
