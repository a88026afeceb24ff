"""The denoiser: a U-Net behind a space-to-depth, that predicts what to add."""

from __future__ import annotations

import keras

from trainer.config import ModelConfig
from trainer.models.blocks import (
    DepthToSpace,
    FoldChannels,
    SpaceToDepth,
    UnfoldChannels,
    conv,
)
from trainer.models.noise_front import N_ANSWERS, AnswerInNoiseUnits, NoiseFront, ToldNoiseFront


def build_denoiser(
    config: ModelConfig, any_channels: bool = False, told: bool = False
) -> keras.Model:
    """Normalised noisy image [B, H, W, C] -> denoised image of the same shape, float32.

    There are no normalisation layers, because they would shift intensities with the content
    of the minibatch. The last convolution starts at zero, so an untrained denoiser returns
    its input. It predicts the residual, which is added in float32: bfloat16 resolves about
    one grey level. H and W are free, but multiples of ``denoiser_multiple_px(config)``.

    Parameters
    ----------
    config
        Widths, mode and front.
    any_channels
        Leave C free, for ``channelwise`` alone.
    told
        The model wants ``[noisy image, standard deviation of its noise]``, both [B, H, W, C], and
        estimates nothing; for ``noise_scaled`` alone. Weights are those of the blind one.
    """
    design = config.denoiser_design
    if any_channels and design.mode != "channelwise":
        raise ValueError("only a channelwise denoiser takes any number of channels")
    if told and design.front != "noise_scaled":
        raise ValueError("only a noise_scaled denoiser can be told the noise")
    shape = (None, None, None if any_channels else config.n_channels)
    inputs = [keras.Input(shape, name=name) for name in ("noisy", "told")[: 2 if told else 1]]
    if design.mode == "channelwise":
        # Channels stand where images of a minibatch do: none sees another.
        fold = FoldChannels(dtype="float32", name="fold")
        single_BHW1 = _restore([fold(x) for x in inputs], config, 1)
        denoised_BHWC = UnfoldChannels(dtype="float32", name="unfold")([single_BHW1, inputs[0]])
    else:
        denoised_BHWC = _restore(inputs, config, config.n_channels)
    return keras.Model(inputs if told else inputs[0], denoised_BHWC, name="denoiser")


def denoiser_multiple_px(config: ModelConfig) -> int:
    """Height and width of an image must be multiples of this, px; 1 without a denoiser."""
    return config.space_to_depth * 2 ** (len(config.denoiser_widths) - 1) if config.denoiser else 1


def _restore(
    inputs: list[keras.KerasTensor], config: ModelConfig, n_channels: int
) -> keras.KerasTensor:
    """One network's answer to the noisy image (and the noise that it is told), float32."""
    noisy_BHWC = inputs[0]
    if config.denoiser_design.front == "plain":
        # An impulse in a dim channel stands a hundred of its standard deviations high;
        # unbounded, such inputs teach the network that channel and nothing of the others.
        x = keras.ops.arcsinh(noisy_BHWC)
        residual_BHWC = _unet(x, config, n_channels)
        return keras.layers.Add(dtype="float32", name="add")([noisy_BHWC, residual_BHWC])
    if len(inputs) == 1:
        front = NoiseFront(dtype="float32", name="noise_front")(noisy_BHWC)
    else:
        front = ToldNoiseFront(dtype="float32", name="noise_front")(inputs)
    answer = _unet(front["features"], config, N_ANSWERS * n_channels)
    return AnswerInNoiseUnits(dtype="float32", name="add")(
        [noisy_BHWC, *(front[name] for name in ("repair", "lift", "noise", "details")), answer]
    )


def _unet(x_BHWC: keras.KerasTensor, config: ModelConfig, n_out: int) -> keras.KerasTensor:
    """Features [B, H, W, F] -> [B, H, W, n_out], zeros before training."""
    n_convs = config.denoiser_design.convs_per_level
    x = SpaceToDepth(config.space_to_depth, name="space_to_depth")(x_BHWC)
    first_width, *wider = config.denoiser_widths
    x = _convs(x, first_width, "down0_conv", n_convs)
    skips = []
    for level, width in enumerate(wider, start=1):
        skips.append(x)
        x = conv(width, f"down{level}_stride", stride=2)(x)
        x = _convs(x, width, f"down{level}_conv", n_convs)
    for level in reversed(range(len(wider))):
        # 2 x 2 with stride 2: each output pixel has one parent, so no checkerboard of
        # overlapping windows; and a sum instead of a concatenation halves the next layer.
        x = keras.layers.Conv2DTranspose(
            config.denoiser_widths[level], 2, strides=2, name=f"up{level}_stride"
        )(x)
        x = keras.layers.Add(name=f"up{level}_add")([x, skips[level]])
        x = _convs(x, config.denoiser_widths[level], f"up{level}_conv", n_convs)
    x = keras.layers.Conv2D(
        n_out * config.space_to_depth**2,
        3,
        padding="same",
        kernel_initializer="zeros",
        name="residual",
    )(x)
    return DepthToSpace(config.space_to_depth, name="depth_to_space")(x)


def _convs(x: keras.KerasTensor, width: int, name: str, n_convs: int) -> keras.KerasTensor:
    x = conv(width, name)(x)
    for i in range(1, n_convs):
        x = keras.layers.Add(name=f"{name}{i}_add")([x, conv(width, f"{name}{i}")(x)])
    return x
