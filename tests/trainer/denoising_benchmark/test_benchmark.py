"""The benchmark's noise, intervals, comparisons and gates."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import ndimage, stats

from trainer.denoise import GENERIC, load_denoiser
from trainer.denoising_benchmark import (
    ALL_CASES,
    CLASSICAL,
    NO_NOISE,
    Field,
    Method,
    NoiseCase,
    best_classical,
    check_gates,
    evaluate,
    gain_db,
    gate_table,
    noisy_method,
    paired_bootstrap,
    select,
    simulated_fields,
    table,
    told_method,
)
from trainer.denoising_benchmark.cases import gaussian, impulse, mixed, poisson
from trainer.denoising_benchmark.tables import channel_table
from trainer.errors import PlatewiseError
from trainer.simulation import tiny_config


def flat(level: float, side_px: int = 256) -> np.ndarray:
    return np.full((1, side_px, side_px, 2), level, np.float32)


def blur(sigma_px: float):
    return lambda image: ndimage.gaussian_filter(image, (0, sigma_px, sigma_px, 0))


def fields(n: int = 4) -> list[Field]:
    rng = np.random.default_rng(5)
    images = ndimage.gaussian_filter(rng.normal(size=(n, 32, 32, 2)), (0, 3, 3, 0)) * 200 + 60
    return [Field(f"F{i}", np.clip(image, 0, 255)) for i, image in enumerate(images)]


@pytest.mark.parametrize("level", [6.0, 120.0, 250.0])
def test_moments_of_unclipped_noise(level: float) -> None:
    noisy = gaussian(25, clipped=False).corrupt(flat(level), "a")
    assert noisy.mean() == pytest.approx(level, abs=0.4)
    assert noisy.std() == pytest.approx(25, rel=0.01)
    noisy = poisson(60).corrupt(flat(level), "a")
    assert noisy.mean() == pytest.approx(level, rel=0.02)
    assert noisy.var() == pytest.approx(255 / 60 * level, rel=0.02)


@pytest.mark.parametrize("level", [0.0, 6.0, 120.0, 250.0])
@pytest.mark.parametrize("sigma", [10.0, 50.0])
def test_moments_of_clipped_noise_are_scipys(level: float, sigma: float) -> None:
    noisy = gaussian(sigma, clipped=True).corrupt(flat(level), "a")
    grid = np.arange(256)
    upper = stats.norm.cdf(grid + 0.5, level, sigma)
    upper[-1] = 1.0
    mass = np.diff(upper, prepend=0.0)
    mean = (mass * grid).sum()
    assert noisy.mean() == pytest.approx(mean, abs=5 * sigma / 360)
    assert noisy.var() == pytest.approx((mass * grid**2).sum() - mean**2, rel=0.02)
    assert np.array_equal(noisy, np.round(noisy))


def test_impulses_have_their_density_and_spare_the_rest() -> None:
    noisy = impulse(0.1).corrupt(flat(77), "a")
    assert np.isin(noisy, [0, 77, 255]).all()
    assert (noisy == 0).mean() == pytest.approx(0.05, rel=0.05)
    assert (noisy == 255).mean() == pytest.approx(0.05, rel=0.05)


def test_mixed_noise_has_all_three() -> None:
    noisy = mixed(clipped=False).corrupt(flat(100), "a")
    struck = (noisy == 0) | (noisy == 255)
    assert struck.mean() == pytest.approx(0.02, rel=0.1)
    assert noisy[~struck].var() == pytest.approx(100 + 255 / 60 * 100, rel=0.03)


def test_noise_is_named_seeded_and_complete() -> None:
    assert len({case.name for case in ALL_CASES}) == len(ALL_CASES) == 15
    assert gaussian(25, clipped=True).name == "gaussian 25 clipped"
    assert impulse(0.02).name == "impulse 2%"
    image = flat(50)
    first = gaussian(10, clipped=False).corrupt(image, "a")
    assert np.array_equal(first, gaussian(10, clipped=False).corrupt(image, "a"))
    assert not np.array_equal(first, gaussian(10, clipped=False).corrupt(image, "b"))
    assert not np.array_equal(first, gaussian(10, clipped=False).corrupt(image, "a", seed=1))
    assert np.array_equal(NO_NOISE.corrupt(image, "a"), image)


def test_the_interval_is_scipys_bootstrap() -> None:
    values = np.random.default_rng(1).normal(2, 1, 40)
    ours = paired_bootstrap(values, n_resamples=20_000)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=3)
    assert ours.value == pytest.approx(values.mean())
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.02)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.02)
    alone = paired_bootstrap(values[:1])
    assert alone.value == values[0]
    assert np.isnan(alone.low)


def test_scores_and_the_best_classical() -> None:
    case = gaussian(25, clipped=False)
    methods = [
        noisy_method,
        Method.of("weak", blur(0.3), CLASSICAL),
        Method.of("strong", blur(1.5), CLASSICAL),
        Method.of("ours", blur(2.0)),
    ]
    scores = evaluate(methods, fields(), [case])
    best = best_classical(scores, case.name)
    assert best is not None
    assert best.method == "strong"
    noisy = select(scores, case.name, "noisy")
    expected = 10 * np.log10(255**2 / 25**2)
    assert noisy.psnr_db_FC.mean() == pytest.approx(expected, abs=0.2)
    gain = gain_db(best, noisy)
    assert gain.low <= gain.value <= gain.high
    assert gain.value == pytest.approx((best.psnr_db_FC - noisy.psnr_db_FC).mean())
    text = table(scores)
    assert "strong" in text
    assert "best; next is weak" in text
    assert len(channel_table(scores).splitlines()) == 1 + len(methods)


def test_a_method_may_be_told_the_noise() -> None:
    told: list[str] = []

    def for_case(case: NoiseCase):
        told.append(case.name)
        return lambda image: image

    evaluate([Method("told", for_case, blind=False)], fields(1), ALL_CASES[:2])
    assert told == [case.name for case in ALL_CASES[:2]]


def test_a_captured_twin_is_taken_as_it_is() -> None:
    (field,) = fields(1)
    twin = field.clean_HWC + 3
    captured = dataclasses.replace(field, noisy_HWC=twin)
    (scores,) = evaluate([noisy_method], [captured], [NoiseCase("captured")])
    np.testing.assert_allclose(scores.bias_grey_levels_FC, 3, atol=1e-4)


def test_gates_say_by_how_much() -> None:
    cases = [gaussian(50, clipped=False), NO_NOISE]
    methods = [Method.of("weak", blur(0.3), CLASSICAL), Method.of("ours", blur(2.0))]
    scores = evaluate(methods, fields(), cases)
    gain, psnr, mean = check_gates(scores, "ours")
    ours, weak = (select(scores, cases[0].name, name) for name in ("ours", "weak"))
    assert gain.value == pytest.approx((ours.psnr_db_FC - weak.psnr_db_FC).mean(axis=0).min())
    assert gain.passed
    assert gain.margin == pytest.approx(gain.value - 1.5)
    assert not psnr.passed  # a blur of sigma 2 is far from leaving a clean image alone
    assert mean.passed
    assert "PASS" in gate_table([gain]) and "FAIL" in gate_table([psnr])


def test_a_gate_without_its_peer_fails() -> None:
    scores = evaluate([Method.of("ours", blur(1.0))], fields(2), [poisson(60)])
    (gate,) = check_gates(scores, "ours")
    assert not gate.passed
    assert "not measured" in gate_table([gate])


def test_being_blind_is_compared_with_being_told() -> None:
    methods = [
        Method.of("ours", blur(1.0)),
        Method.of("told", blur(1.5)),
        Method.of("weak", blur(0.3), CLASSICAL),
    ]
    scores = evaluate(methods, fields(), [gaussian(50, clipped=False)])
    blind = check_gates(scores, "ours", told="told")[-1]
    assert blind.test.startswith("blind")
    assert not blind.passed


@pytest.mark.parametrize(
    ("denoise", "words"),
    [
        (lambda image: image[:, 1:], r"odd on F0 .* returned shape \(1, 31, 32, 2\)"),
        (lambda image: image * np.nan, "odd on F0 .* not finite"),
    ],
)
def test_what_a_method_returns_is_checked(denoise, words: str) -> None:
    with pytest.raises(PlatewiseError, match=words):
        evaluate([Method.of("odd", denoise)], fields(1), [NO_NOISE])


def test_no_fields_are_an_error() -> None:
    with pytest.raises(PlatewiseError, match="no fields"):
        evaluate([noisy_method], [], [NO_NOISE])


def test_simulated_fields_are_held_out_wells_of_every_cell_type() -> None:
    config = tiny_config()
    found = simulated_fields(config, 4)
    experiments = {field.key.rsplit("_", 3)[0] for field in found}
    assert {name.split("-")[0] for name in experiments} == set(config.cell_types)
    last = f"-{config.experiments_per_cell_type:02d}"
    assert all(name.endswith(last) for name in experiments)
    assert len({field.key for field in found}) == 4
    assert not {f.key for f in simulated_fields(config, 4, "train")} & {f.key for f in found}
    cut = simulated_fields(config, 1, size_px=16)[0].clean_HWC
    assert cut.shape == (16, 16, 6)
    np.testing.assert_array_equal(cut, found[0].clean_HWC[8:24, 8:24])
    assert np.array_equal(cut, np.round(cut))


def test_structure_painted_into_pure_noise_is_caught() -> None:
    from trainer.denoising_benchmark import pure_noise_gate

    rng = np.random.default_rng(5)
    blurred = ndimage.gaussian_filter(rng.normal(size=(2, 128, 128, 3)), (0, 4, 4, 0))
    fields = [
        Field(str(i), (80 + 400 * image).astype(np.float32)) for i, image in enumerate(blurred)
    ]
    honest = pure_noise_gate(lambda noisy: noisy, fields)
    assert honest.passed and 0 <= honest.value < 0.05
    painting = pure_noise_gate(
        lambda noisy: noisy + 0.5 * noisy.sum(axis=-1, keepdims=True), fields
    )
    assert not painting.passed and painting.value > 0.3
    # Broad hills of noise lie like some channel by chance, which is no structure painted.
    hills = pure_noise_gate(lambda noisy: ndimage.gaussian_filter(noisy, (0, 5, 5, 0)), fields)
    chance = pure_noise_gate(
        lambda noisy: ndimage.gaussian_filter(noisy, (0, 5, 5, 0)), fields, draws=1
    )
    assert hills.passed and hills.value < 0.7 * chance.value
    with pytest.raises(ValueError, match="no other channel"):
        pure_noise_gate(lambda noisy: noisy, [Field("one", fields[0].clean_HWC[..., :1])])


def test_the_denoiser_that_ships_loses_little_by_being_blind() -> None:
    rng = np.random.default_rng(1)
    smooth = ndimage.gaussian_filter(rng.normal(size=(2, 128, 128, 2)), (0, 6, 6, 0))
    fields = [Field(f"f{i}", 90 + 600 * image.astype(np.float32)) for i, image in enumerate(smooth)]
    told = told_method("told", GENERIC)
    assert told is not None
    blind = Method.of("blind", load_denoiser(GENERIC))
    case = gaussian(25.0, False)
    scores = evaluate([noisy_method, blind, told], fields, [case])
    gates = [gate for gate in check_gates(scores, "blind", "told") if "told" in gate.test]
    assert [gate.case for gate in gates] == [case.name]
    assert gates[0].passed
    gained = gain_db(select(scores, case.name, "told"), select(scores, case.name, "noisy"), 0)
    assert gained.value > 8
    assert told_method("told", "/nowhere") is None
