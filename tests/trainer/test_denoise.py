"""A denoiser as a function of raw images: sizes, channels, normalisers, what it must not do."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest

from trainer.bundle import load_bundle
from trainer.config import ModelConfig
from trainer.denoise import ImageDenoiser, load_denoiser
from trainer.denoiser_config import DenoiserDesign
from trainer.errors import PlatewiseError
from trainer.models.denoiser import build_denoiser, denoiser_multiple_px

RNG = np.random.default_rng(4)


@functools.cache  # measuring what it sees takes seconds
def denoiser(mode: str = "joint", n_channels: int = 2) -> ImageDenoiser:
    """With random weights, so that it does something."""
    design = DenoiserDesign(mode=mode, front="noise_scaled")  # type: ignore[arg-type]
    config = ModelConfig(n_channels=n_channels, denoiser_widths=(8, 12), denoiser_design=design)
    model = build_denoiser(config, any_channels=mode == "channelwise")
    rng = np.random.default_rng(8)
    for variable in model.trainable_variables:
        variable.assign(variable + 0.05 * rng.normal(size=variable.shape))
    free = mode == "channelwise"
    multiple_px = denoiser_multiple_px(config)
    return ImageDenoiser(model, 0 if free else n_channels, multiple_px, sees_extremes=True)


@pytest.mark.parametrize("shape", [(64, 64, 2), (3, 37, 51, 2), (5, 9, 2), (1, 1, 2)])
@pytest.mark.parametrize("mode", ["joint", "channelwise"])
def test_any_size_comes_back_in_its_own(mode: str, shape: tuple) -> None:
    noisy = RNG.uniform(0, 255, shape).astype(np.uint8)
    denoised = denoiser(mode)(noisy)
    assert denoised.shape == shape
    assert denoised.dtype == np.float32
    assert np.isfinite(denoised).all()


@pytest.mark.parametrize("mode", ["joint", "channelwise"])
def test_tiles_leave_no_seams_though_it_looks_at_the_whole_images_extremes(mode: str) -> None:
    noisy = RNG.uniform(0, 255, (150, 170, 2))
    noisy[3, 5], noisy[140, 150] = 255, 0
    ours = denoiser(mode)
    whole = ours(noisy)
    tiles = dataclasses.replace(ours, tile_px=32)(noisy)
    np.testing.assert_allclose(tiles, whole, atol=2e-3)
    apart = np.concatenate([ours(half) for half in np.split(noisy, 2)])
    assert np.abs(apart - whole).max() > 0.01  # or the tiles would prove nothing


def test_channels_go_each_their_own_way() -> None:
    noisy = RNG.uniform(0, 255, (2, 40, 40, 5))
    ours = denoiser("channelwise")
    together = ours(noisy)
    for c in range(5):
        np.testing.assert_allclose(together[..., c : c + 1], ours(noisy[..., c : c + 1]), atol=2e-3)


def test_gain_and_offset_of_the_image_pass_through() -> None:
    noisy = RNG.uniform(0, 200, (48, 48, 2))
    ours = denoiser()
    np.testing.assert_allclose(ours(3 * noisy + 11), 3 * ours(noisy) + 11, rtol=1e-3, atol=0.05)


def test_a_plates_normaliser_may_be_given() -> None:
    noisy = RNG.uniform(0, 200, (2, 48, 48, 2))
    ours = denoiser()
    own = ours(noisy[0], noisy[0].mean((0, 1)), noisy[0].std((0, 1)))
    np.testing.assert_allclose(own, ours(noisy[0]), atol=1e-2)
    other = ours(noisy, np.zeros(2), np.full((2, 2), 20.0))
    assert other.shape == noisy.shape
    assert np.abs(other - ours(noisy)).max() > 0.1


def test_constant_images_stay() -> None:
    flat = np.full((32, 32, 2), 7.0)
    model = denoiser()
    assert np.abs(model(flat) - 7).max() < 0.1


@pytest.mark.parametrize(
    ("noisy", "words"),
    [
        (np.zeros((4, 4)), r"got \(4, 4\)"),
        (np.zeros((0, 4, 2)), r"got \(0, 4, 2\)"),
        (np.zeros((8, 8, 3)), "trained on 2 channels"),
        (np.full((8, 8, 2), np.nan), "not finite"),
    ],
)
def test_what_it_cannot_take_is_said(noisy: np.ndarray, words: str) -> None:
    with pytest.raises(PlatewiseError, match=words):
        denoiser()(noisy)


def test_models_without_a_denoiser_are_refused(tmp_path) -> None:
    with pytest.raises(PlatewiseError, match="cannot read"):
        load_denoiser(tmp_path / "nothing")


def test_the_denoiser_of_a_training_is_found(trained_toy) -> None:
    ours = load_denoiser(trained_toy.folder)
    n_channels = load_bundle(trained_toy.folder).config.model.n_channels
    assert ours.n_channels == n_channels
    assert ours(RNG.uniform(0, 99, (33, 40, n_channels))).shape == (33, 40, n_channels)


def test_designs_differ_in_what_they_see() -> None:
    config = ModelConfig(denoiser_widths=(8, 12))
    plain = build_denoiser(config)
    assert {layer.name for layer in plain.layers} >= {"down0_conv", "up0_conv", "residual", "add"}
    design = DenoiserDesign(convs_per_level=2)
    deeper = build_denoiser(dataclasses.replace(config, denoiser_design=design))
    assert deeper.count_params() > plain.count_params()
    with pytest.raises(ValueError, match="channelwise"):
        build_denoiser(config, any_channels=True)
