"""Row filters undone as the specification defines them, compiled or not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.plate_example_gen import kernels, unfilter

NONE, PAETH = 0, 4


def stored_rows(image_HW: np.ndarray, filters: list[int]) -> np.ndarray:
    """Rows [H, 1 + W] with the given filters, by the definitions of the specification."""
    padded = np.pad(image_HW.astype(np.int16), ((1, 0), (1, 0)))
    here, left = padded[1:, 1:], padded[1:, :-1]
    above, corner = padded[:-1, 1:], padded[:-1, :-1]
    near = np.abs(np.stack([above - corner, left - corner, left + above - 2 * corner]))
    paeth = np.choose(near.argmin(axis=0), [left, above, corner])
    guesses = np.stack([0 * here, left, above, (left + above) // 2, paeth])
    stored_HW = here - guesses[filters, np.arange(len(filters))]
    return np.column_stack([filters, stored_HW % 256]).astype(np.uint8)


@pytest.fixture(scope="module", params=["compiled", "libpng"])
def undo(request):
    if request.param == "libpng":
        return unfilter.undo_with_libpng
    if kernels.compiled() is None:
        pytest.skip("set-up found no compiler")
    return unfilter.undo_with_compiled


@settings(max_examples=60, deadline=None)
@given(
    patterns=st.lists(st.integers(0, 2), min_size=1, max_size=17),
    seed=st.integers(0, 2**32 - 1),
    width=st.integers(1, 40),
)
def test_several_images_at_once(undo, patterns, seed, width):
    """Images with the same filters and with others, of odd widths, in any number."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 5, (3, 12))
    images_CHW = rng.integers(0, 256, (len(patterns), 12, width), dtype=np.uint8)
    rows_CHX = [
        stored_rows(i, kinds[p].tolist()) for i, p in zip(images_CHW, patterns, strict=True)
    ]
    out_CHW = np.zeros_like(images_CHW)
    undo(rows_CHX, out_CHW)
    np.testing.assert_array_equal(out_CHW, images_CHW)


def test_every_paeth_predictor(undo):
    """All 2^24 combinations of left, up and corner, in the odd columns of odd rows."""
    corner, up = np.divmod(np.arange(1 << 16, dtype=np.int32), 256)
    filters = [NONE, PAETH] * 128
    for lefts in np.arange(256).reshape(-1, 8):
        images_CHW = np.zeros((8, 128, 2, 1024), np.uint8)
        images_CHW[:, :, 0, 0::2] = corner.reshape(128, 512)
        images_CHW[:, :, 0, 1::2] = up.reshape(128, 512)
        images_CHW[:, :, 1, 0::2] = lefts[:, None, None]
        images_CHW = images_CHW.reshape(8, 256, 1024)
        out_CHW = np.zeros_like(images_CHW)
        undo([stored_rows(image, filters) for image in images_CHW], out_CHW)
        assert (out_CHW == images_CHW).all()
