"""The compiled kernels against NumPy, SciPy and what goes on without them."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays
from scipy.ndimage import convolve

from components.plate_example_gen import kernels

images = arrays.arrays(
    np.uint8, arrays.array_shapes(min_dims=3, max_dims=3, min_side=3, max_side=40)
)


def test_set_up_compiled_them_where_it_could():
    """Going on without them in silence would be noticed by the bill alone."""
    if shutil.which("gcc") is None:
        pytest.skip("no compiler on this machine")
    assert kernels.compiled() is not None


@pytest.fixture(scope="module", params=["compiled", "without"])
def either_way(request):
    if request.param == "compiled":
        if kernels.compiled() is None:
            pytest.skip("set-up found no compiler")
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "compiled", lambda: None)
        yield


@settings(max_examples=50, deadline=None)
@given(pixels_CHW=images)
def test_histogram_counts_as_numpy(either_way, pixels_CHW):
    expected = [np.bincount(channel.ravel(), minlength=256) for channel in pixels_CHW]
    np.testing.assert_array_equal(kernels.histogram(pixels_CHW), expected)


def check_laplacian(pixels_CHW):
    operator = np.array([[[0, -1, 0], [-1, 4, -1], [0, -1, 0]]])
    whole = convolve(pixels_CHW.astype(np.int64), operator, mode="constant")
    part = whole[:, 1:-1:8, 1:-1].reshape(len(pixels_CHW), -1)
    sums_C, squares_C, count = kernels.laplacian_sums(pixels_CHW)
    assert count == part.shape[1]
    np.testing.assert_array_equal(sums_C, part.sum(axis=1))
    np.testing.assert_array_equal(squares_C, (part**2).sum(axis=1))


@settings(max_examples=50, deadline=None)
@given(pixels_CHW=images)
def test_laplacian_is_scipys(either_way, pixels_CHW):
    check_laplacian(pixels_CHW)


def test_the_largest_laplacian_does_not_overflow(either_way):
    """A chessboard of 0 and 255, wider than one piece of a sum."""
    check_laplacian((np.indices((1, 12, 5000)).sum(axis=0) % 2 * 255).astype(np.uint8))
