"""Statistics from counts against NumPy and SciPy on the pixels themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from trainer import histogram

RTOL = 1e-6

ANY_PIXELS = hnp.arrays(
    np.uint8, st.tuples(st.integers(1, 3), st.integers(1, 60)), elements=st.integers(0, 255)
)


def count(pixels: np.ndarray) -> np.ndarray:
    return np.stack([np.bincount(c, minlength=256) for c in pixels.reshape(len(pixels), -1)])


@settings(max_examples=150, deadline=None)
@given(ANY_PIXELS, st.floats(0, 100))
def test_every_statistic_is_that_of_the_pixels(pixels: np.ndarray, percent: float) -> None:
    counts = count(pixels)
    mean, std = histogram.moments(counts)
    np.testing.assert_allclose(mean, pixels.mean(1), rtol=RTOL)
    np.testing.assert_allclose(std, pixels.std(1), rtol=RTOL, atol=1e-9)
    np.testing.assert_allclose(
        histogram.percentile(counts, percent),
        np.percentile(pixels, percent, axis=1),
        rtol=RTOL,
        atol=1e-9,
    )
    np.testing.assert_array_equal(histogram.percentile(counts, 50.0), np.median(pixels, axis=1))
    np.testing.assert_array_equal(
        histogram.median_absolute_deviation(counts),
        stats.median_abs_deviation(pixels.astype(float), axis=1),
    )


def test_statistics_hold_at_the_pixel_count_of_a_real_plate() -> None:
    # 1,232 sites of 512 x 512: counts far beyond 32 bits, position of a percentile too.
    counts = np.zeros((1, 256), np.int64)
    counts[0, [3, 40, 250]] = [2**29, 2**28, 2**26]
    weight = counts[0] / counts.sum()
    mean = (weight * np.arange(256)).sum()
    assert histogram.moments(counts)[0][0] == pytest.approx(mean, rel=1e-12)
    assert histogram.percentile(counts, 50.0)[0] == 3
    assert histogram.percentile(counts, 99.0)[0] == 250
