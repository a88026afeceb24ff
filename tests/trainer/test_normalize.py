"""The normaliser's statistics against NumPy and SciPy on the pixels themselves."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from trainer import normalize
from trainer.config import NormalizerConfig
from trainer.errors import PlatewiseError
from trainer.normalize import PlateCounts

RTOL = 1e-6

ANY_PIXELS = hnp.arrays(
    np.uint8, st.tuples(st.integers(1, 3), st.integers(1, 60)), elements=st.integers(0, 255)
)


def count(pixels: np.ndarray) -> np.ndarray:
    return np.stack([np.bincount(c, minlength=256) for c in pixels.reshape(len(pixels), -1)])


def plate(
    pixels: np.ndarray, controls: np.ndarray | None = None, n_wells: int = 0, experiment: str = "E"
) -> PlateCounts:
    none = np.zeros((len(pixels), 256), np.int64)
    control = none if controls is None else count(controls)
    return PlateCounts(experiment, count(pixels), control, n_wells)


def method_oracle(pixels: np.ndarray, config: NormalizerConfig) -> tuple[np.ndarray, np.ndarray]:
    if config.method == "plate_median_mad":
        scale = stats.median_abs_deviation(pixels.astype(float), axis=1, scale="normal")
        center = np.median(pixels, axis=1)
    elif config.method == "plate_percentiles":
        center = np.percentile(pixels, config.low_percentile, axis=1)
        scale = np.percentile(pixels, config.high_percentile, axis=1) - center
    else:
        center, scale = pixels.mean(1), pixels.std(1)
    return center, np.maximum(scale, config.scale_floor_grey_levels)


@pytest.mark.parametrize("method", ["plate_mean_std", "plate_median_mad", "plate_percentiles"])
@settings(max_examples=60, deadline=None)
@given(pixels=ANY_PIXELS)
def test_plate_methods_equal_numpy_and_the_graph_equals_both(
    method: str, pixels: np.ndarray
) -> None:
    config = NormalizerConfig(method=method, low_percentile=3.0, high_percentile=92.5)
    expected = method_oracle(pixels, config)
    fitted = normalize.fit_plates({"P": plate(pixels)}, config)["P"]
    graph = normalize.histogram_center_scale(count(pixels)[None], config)
    for ours, ops, numpy_value in zip(fitted, graph, expected, strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, numpy_value, rtol=RTOL, atol=1e-6)
        np.testing.assert_array_equal(ops[0].numpy(), ours)


def test_experiment_pools_its_plates_and_no_other() -> None:
    rng = np.random.default_rng(0)
    a, b, c = (rng.integers(low, low + 90, (2, n)) for low, n in ((0, 50), (100, 70), (40, 60)))
    table = normalize.fit_plates(
        {
            "A_1": plate(a, experiment="A"),
            "A_2": plate(b, experiment="A"),
            "B_1": plate(c, experiment="B"),
        },
        NormalizerConfig(method="experiment_mean_std"),
    )
    pooled = np.concatenate([a, b], axis=1)
    for name, pixels in (("A_1", pooled), ("A_2", pooled), ("B_1", c)):
        np.testing.assert_allclose(table[name][0], pixels.mean(1), rtol=RTOL)
        np.testing.assert_allclose(table[name][1], pixels.std(1), rtol=RTOL)


@pytest.mark.parametrize("n_wells", [1, 3])
def test_controls_are_pulled_towards_their_plate(n_wells: int) -> None:
    rng = np.random.default_rng(n_wells)
    controls = rng.integers(60, 200, (2, 40 * n_wells))
    everything = np.concatenate([controls, rng.integers(0, 90, (2, 333))], axis=1)
    config = NormalizerConfig(method="plate_controls", control_shrinkage_wells=4.0)
    center, scale = normalize.fit_plates({"P": plate(everything, controls, n_wells)}, config)["P"]
    # The oracle weighs the pixels themselves.
    weight = n_wells / (n_wells + 4.0)
    values = np.concatenate([controls, everything], axis=1)
    shares = np.concatenate(
        [
            np.full(controls.shape[1], weight / controls.shape[1]),
            np.full(everything.shape[1], (1 - weight) / everything.shape[1]),
        ]
    )
    mean = np.average(values, axis=1, weights=shares)
    variance = np.average((values - mean[:, None]) ** 2, axis=1, weights=shares)
    np.testing.assert_allclose(center, mean, rtol=RTOL)
    np.testing.assert_allclose(scale, np.sqrt(variance), rtol=RTOL)


def test_controls_without_shrinkage_are_the_controls_alone() -> None:
    controls, rest = np.full((1, 10), 90), np.full((1, 50), 10)
    controls[0, :5] = 110
    counts = plate(np.concatenate([controls, rest], axis=1), controls, 1)
    config = NormalizerConfig(method="plate_controls", control_shrinkage_wells=0.0)
    center, scale = normalize.fit_plates({"P": counts}, config)["P"]
    assert (center[0], scale[0]) == (100.0, 10.0)


def test_plate_without_controls_falls_back_or_stops_as_configured() -> None:
    pixels = np.arange(100).reshape(2, 50)
    plates = {"P_2": plate(pixels), "P_10": plate(pixels, pixels[:, :5], 1)}
    config = NormalizerConfig(method="plate_controls")
    np.testing.assert_allclose(
        normalize.fit_plates(plates, config)["P_2"][0], pixels.mean(1), rtol=RTOL
    )
    assert normalize.plates_without_controls(plates) == ["P_2"]
    strict = dataclasses.replace(config, without_controls="error")
    with pytest.raises(PlatewiseError, match=r"1 of 2 plates .*\(P_2\).*without_controls"):
        normalize.fit_plates(plates, strict)


def test_none_uses_nothing_of_the_plate() -> None:
    config = NormalizerConfig(method="none")
    table = normalize.fit_plates(
        {"P": plate(np.zeros((2, 9), int)), "R": plate(np.full((2, 9), 200))}, config
    )
    for center, scale in table.values():
        np.testing.assert_array_equal(center, [0, 0])
        np.testing.assert_array_equal(scale, [255, 255])
    graph = normalize.histogram_center_scale(np.ones((4, 2, 256), np.int64), config)
    np.testing.assert_array_equal(graph[0].numpy(), np.zeros((4, 2)))
    np.testing.assert_array_equal(graph[1].numpy(), np.full((4, 2), 255))


@pytest.mark.parametrize("method", ["plate_mean_std", "plate_median_mad", "plate_percentiles"])
def test_a_constant_channel_keeps_a_finite_scale(method: str) -> None:
    config = NormalizerConfig(method=method, scale_floor_grey_levels=0.25)
    center, scale = normalize.fit_plates({"P": plate(np.full((1, 30), 17))}, config)["P"]
    assert (center[0], scale[0]) == (17.0, 0.25)


def test_a_channel_without_pixels_is_refused_by_name() -> None:
    counts = count(np.arange(20).reshape(2, 10))
    counts[1] = 0
    with pytest.raises(PlatewiseError, match="plate P: channel 2 has an empty histogram"):
        normalize.fit_plates({"P": PlateCounts("E", counts, counts)}, NormalizerConfig())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.5, 80), st.floats(0, 255))
def test_normalising_is_undone(seed: int, scale: float, center: float) -> None:
    rng = np.random.default_rng(seed)
    image = rng.uniform(-20, 290, (2, 5, 4, 3)).astype(np.float32)
    center_BC = np.full((2, 3), center, np.float32)
    scale_BC = np.full((2, 3), scale, np.float32) * np.array([[1], [3]], np.float32)
    normal = normalize.normalise_image(image, center_BC, scale_BC)
    assert normal.dtype.name == "float32"
    expected = (image[1] - center_BC[1]) / scale_BC[1]
    np.testing.assert_allclose(normal[1].numpy(), expected, rtol=1e-5, atol=1e-5)
    back = normalize.denormalise_image(normal, center_BC, scale_BC)
    np.testing.assert_allclose(back.numpy(), image, atol=1e-3)
