"""What a blind denoiser is told about the noise, against SciPy and known truths."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from trainer.config import ModelConfig
from trainer.denoising.saved import GENERIC, model_config, read_denoiser
from trainer.models.blocks import FoldChannels, UnfoldChannels
from trainer.models.denoiser import build_denoiser
from trainer.models.noise_front import N_ANSWERS, AnswerInNoiseUnits, NoiseFront, window_mean

RNG = np.random.default_rng(6)
#: What goes from the front to the answer, in order.
FRONT = ("repair", "lift", "noise", "details")


def smooth(side_px: int = 96, n_channels: int = 2) -> np.ndarray:
    noise = RNG.normal(size=(2, side_px, side_px, n_channels))
    return (ndimage.gaussian_filter(noise, (0, 5, 5, 0)) * 8).astype(np.float32)


def test_the_window_mean_is_scipys() -> None:
    image = RNG.normal(size=(2, 24, 40, 3)).astype(np.float32)
    expected = image
    for _ in range(2):
        expected = ndimage.uniform_filter(expected, (1, 11, 11, 1), mode="reflect")
    np.testing.assert_allclose(window_mean(image), expected, atol=1e-5)


@pytest.mark.parametrize("sigma", [0.1, 1.0, 4.0])
def test_the_noise_level_is_that_of_the_noise(sigma: float) -> None:
    image = smooth() + sigma * RNG.normal(size=(2, 96, 96, 2)).astype(np.float32)
    noise = NoiseFront()(image)["noise"].numpy()
    assert noise.mean() == pytest.approx(sigma, rel=0.05)
    assert noise.std() < 0.15 * sigma


def test_an_image_without_noise_has_next_to_none() -> None:
    image = smooth()
    assert NoiseFront()(image)["noise"].numpy().mean() < 0.02 * image.std()


def test_impulses_are_repaired_from_their_neighbours_and_nothing_else_is() -> None:
    image = smooth()
    struck = RNG.random(image.shape) < 0.1
    salt = RNG.random(image.shape) < 0.5
    noisy = np.where(struck, np.where(salt, 50.0, -50.0), image).astype(np.float32)
    repair = NoiseFront()(noisy)["repair"].numpy()
    assert (repair[~struck] == 0).all()
    error = (noisy + repair - image)[struck]
    assert np.sqrt(np.square(error).mean()) < 0.1 * image.std()


def _struck(image: np.ndarray, share: float) -> np.ndarray:
    salt = RNG.random(image.shape) < 0.5
    impulses = np.where(salt, 50.0, -50.0)
    return np.where(RNG.random(image.shape) < share, impulses, image).astype(np.float32)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_impulses_alone_are_no_noise(share: float) -> None:
    image = smooth()
    noise = NoiseFront()(_struck(image, share))["noise"].numpy()
    assert noise.mean() < 0.03 * image.std()


@pytest.mark.parametrize("share", [0.02, 0.3])
def test_impulses_do_not_change_the_noise_level_of_the_rest(share: float) -> None:
    image = smooth() + RNG.normal(size=(2, 96, 96, 2)).astype(np.float32)
    noise = NoiseFront()(_struck(image, share))["noise"].numpy()
    assert noise.mean() == pytest.approx(1.0, rel=0.05)


def test_a_fill_bends_with_the_image() -> None:
    """A paraboloid, of which a mean of neighbours is off by half its curvature times variance."""
    y, x = np.mgrid[-16:16, -16:16].astype(np.float32) / 4
    image = (x**2 + 0.5 * y**2 + x * y)[None, ..., None]
    noisy = image.copy()
    inside = np.zeros(image.shape, bool)
    inside[:, 10:22:3, 10:22:3] = True
    noisy[inside] = 100.0
    repaired = noisy + NoiseFront()(noisy)["repair"].numpy()
    plain_error = 0.8**2 * (2 + 1) / 2 / 16
    assert np.abs(repaired - image)[inside].max() < 0.15 * plain_error


def test_rounding_is_no_noise_but_a_grey_level_of_it_is() -> None:
    grey = 20 + 4 * smooth(side_px=192)
    noisy = grey + RNG.normal(size=grey.shape)

    def beyond(image: np.ndarray) -> np.ndarray:
        features = NoiseFront()(((image - 20) / 7).astype(np.float32))["features"].numpy()
        return features[..., -2:]

    assert beyond(np.round(grey)).mean() < 0.05
    assert beyond(np.round(noisy)).min() == 1
    # Never rounded: it has less noise than rounding makes, and that counts.
    assert beyond(grey + 0.1 * RNG.normal(size=grey.shape)).min() == 1


def test_gain_and_offset_change_neither_flags_nor_noise_units() -> None:
    image = smooth() + RNG.normal(size=(2, 96, 96, 2)).astype(np.float32)
    one, two = NoiseFront()(image), NoiseFront()(3 * image + 5)
    np.testing.assert_allclose(two["noise"], 3 * one["noise"], rtol=1e-3)
    np.testing.assert_allclose(two["repair"], 3 * one["repair"], atol=1e-3)
    np.testing.assert_allclose(two["features"][..., :4], one["features"][..., :4], atol=5e-3)
    np.testing.assert_allclose(two["details"], 3 * one["details"], atol=1e-3)


def test_answers_of_zero_give_the_image_back() -> None:
    image = smooth()
    front = NoiseFront()(image)
    answer = np.zeros((*image.shape[:3], 2 * N_ANSWERS), np.float32)
    given = [image, *(front[name] for name in FRONT)]
    np.testing.assert_array_equal(AnswerInNoiseUnits()([*given, answer]), image)


def test_all_details_taken_away_leave_the_widest_blur() -> None:
    image = smooth() + RNG.normal(size=(2, 96, 96, 2)).astype(np.float32)
    front = NoiseFront()(image)
    answer = np.zeros((2, 96, 96, 2, N_ANSWERS), np.float32)
    answer[..., 3:] = -10.0
    # One group of channels after another, as the network gives them.
    answer = np.moveaxis(answer, -1, -2).reshape(2, 96, 96, -1)
    given = [image, *(front[name] for name in FRONT)]
    left = AnswerInNoiseUnits()([*given, answer]).numpy()
    blurred = ndimage.gaussian_filter(image, 9.2, axes=(1, 2))
    inside = slice(32, -32)
    assert np.abs((left - blurred)[:, inside, inside]).max() < 0.05 * image.std()


def test_what_clipping_lifts_can_be_taken_back() -> None:
    """Repairs made and their local mean taken away: locally, the mean is what it was."""
    rng = np.random.default_rng(3)
    image = np.maximum(rng.normal(0.2, 1.0, (1, 96, 96, 1)), 0).astype(np.float32)
    front = NoiseFront()(image)
    assert front["lift"].numpy().mean() > 0.15  # four pixels in ten are 0, and are mended
    answer = np.zeros((1, 96, 96, N_ANSWERS), np.float32)
    answer[..., 1], answer[..., 2] = 10.0, -10.0
    left = AnswerInNoiseUnits()([image, *(front[name] for name in FRONT), answer])
    mended = image + front["repair"]
    inside = np.s_[:, 24:-24, 24:-24]
    raw, lifted, back = (window_mean(x).numpy()[inside] for x in (image, mended, left))
    assert np.abs(back - raw).max() < 0.2 * np.abs(lifted - raw).mean()


def test_folding_and_back() -> None:
    image = RNG.normal(size=(2, 4, 6, 3)).astype(np.float32)
    folded = FoldChannels()(image)
    assert folded.shape == (6, 4, 6, 1)
    np.testing.assert_array_equal(folded[1, ..., 0], image[0, ..., 1])
    np.testing.assert_array_equal(UnfoldChannels()([folded, image]), image)


def test_told_what_it_would_estimate_it_answers_the_same() -> None:
    blind, fit = read_denoiser(str(GENERIC))
    told = build_denoiser(model_config(fit), any_channels=True, told=True)
    told.set_weights(blind.get_weights())
    rng = np.random.default_rng(0)
    image = rng.normal(size=(2, 48, 64, 3)).astype(np.float32)
    noise = NoiseFront()(image)["noise"].numpy()
    expected = blind(image, training=False).numpy()
    np.testing.assert_allclose(told([image, noise], training=False), expected, atol=1e-5)
    assert np.abs(told([image, 0.3 * noise], training=False) - expected).max() > 0.1
    with pytest.raises(ValueError, match="noise_scaled"):
        build_denoiser(ModelConfig(), told=True)
