"""Knobs of the denoiser: how it looks at an image, and how it is trained before the classifier."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from trainer.input_config import NoiseConfig, require


@dataclass(frozen=True)
class DenoiserDesign:
    """How the denoiser sees its input, beside its widths in ``ModelConfig``."""

    #: ``joint``: one network sees all channels and lets strong ones help weak ones;
    #: ``channelwise``: one-channel network, applied to each channel, of any number.
    mode: Literal["joint", "channelwise"] = "joint"
    #: ``plain``: the normalised image alone; ``noise_scaled``: pixels at an image's extremes
    #: are told apart, and all is measured in units of the local noise (blindly estimated).
    front: Literal["plain", "noise_scaled"] = "plain"
    #: 3 x 3 convolutions at each resolution on the way down, and as many on the way up.
    convs_per_level: int = 1

    def __post_init__(self) -> None:
        require(
            1 <= self.convs_per_level <= 8,
            f"convs_per_level must lie in 1..8; got {self.convs_per_level}",
        )


#: ``clean``: noise is added to images taken as free of it, which the network learns to give back;
#: ``neighbours``: the images' own noise is what it learns to take away, without a clean one.
TrainingTarget = Literal["clean", "neighbours"]


@dataclass(frozen=True)
class DenoiserStage:
    """Epochs in which the denoiser trains alone, before it trains with the classifier."""

    #: Folder of a denoiser trained on images alone (``python -m trainer.denoising``) of the same
    #: architecture, whose weights come first; ``generic``: the one that ships. Empty: from scratch.
    start: str = ""
    #: Epochs before the ``loop.epochs`` joint ones; 0: joint from the start.
    epochs: int = 0
    #: Peak learning rate of the stage, warmed up and let down over it.
    peak_learning_rate: float = 1e-3
    #: ``charbonnier``: as in the joint loss; ``log_mse``: mean over images and channels of the
    #: error's decibels, so that weak noise counts as much as strong.
    loss: Literal["charbonnier", "log_mse"] = "log_mse"
    #: ``clean``: the images as they are, noise being added to the input; ``neighbours``: for
    #: screens whose own noise matters (:mod:`trainer.neighbour_pairs`). What the joint epochs
    #: then change of the denoiser comes from the classification alone.
    target: TrainingTarget = "clean"

    def __post_init__(self) -> None:
        require(self.epochs >= 0, f"epochs must be >= 0; got {self.epochs}")
        require(self.peak_learning_rate > 0, "peak_learning_rate must be positive")
        require(
            self.target == "clean" or self.loss == "log_mse",
            'target = "neighbours" needs loss = "log_mse": its targets are noisy, and only the '
            "mean of squares is least at the clean image",
        )


def blind_noise() -> NoiseConfig:
    """The full range of levels, with every kind of noise alone and in company."""
    return NoiseConfig(
        read_sigma_high_grey_levels=60.0,
        shot_share=0.8,
        read_share=0.6,
        correlated_share=0.4,
        pedestal_share=0.4,
        impulse_share=0.5,
        quantise_share=0.6,
    )


@dataclass(frozen=True)
class DenoiserFit:
    """How a channel-wise denoiser is trained on images alone, without plates or labels."""

    widths: tuple[int, ...] = (32, 64, 96)
    space_to_depth: int = 2
    design: DenoiserDesign = field(
        default_factory=lambda: DenoiserDesign(mode="channelwise", front="noise_scaled")
    )
    noise: NoiseConfig = field(default_factory=blind_noise)
    #: ``neighbours``: learn from noisy images alone; ``noise`` is not used then.
    target: TrainingTarget = "clean"
    steps: int = 2000
    minibatch_patches: int = 32
    #: Side of the squares a step sees, px, cut at random from stored patches of ``pool_patch_px``.
    patch_px: int = 64
    pool_patch_px: int = 128
    #: Patches held in memory (64 kB each at 128 px), of all sources together.
    pool_patches: int = 4000
    #: Each patch is brightened by exp(u), u drawn evenly from this range.
    log_gain_low: float = -0.7
    log_gain_high: float = 0.2
    peak_learning_rate: float = 1.5e-3
    checkpoint_every_s: float = 60.0
    seed: int = 0

    def __post_init__(self) -> None:
        multiple = self.space_to_depth * 2 ** (len(self.widths) - 1)
        multiple *= 2 if self.target == "neighbours" else 1
        require(
            self.patch_px > 0 and self.patch_px % multiple == 0,
            f"patch_px must be a multiple of {multiple} for these widths and this target; "
            f"got {self.patch_px}",
        )
        require(
            self.pool_patch_px >= self.patch_px,
            f"pool_patch_px must be at least patch_px = {self.patch_px}; got {self.pool_patch_px}",
        )
        for name in ("steps", "minibatch_patches", "pool_patches"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1")
        require(
            self.design.mode == "channelwise",
            "design.mode must be channelwise here; a joint denoiser is trained on Examples: "
            "python -m trainer with loss.classification = 0",
        )
        require(self.log_gain_low <= self.log_gain_high, "log_gain_low is above log_gain_high")
        require(self.peak_learning_rate > 0, "peak_learning_rate must be positive")
        require(0 <= self.seed < 2**31, f"seed must lie in 0..{2**31 - 1}")
