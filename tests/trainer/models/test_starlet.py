"""The starlet transform, against SciPy's convolutions."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from trainer.models.starlet import DETAIL_OF_NOISE, N_SCALES, details

RNG = np.random.default_rng(5)
#: Further from an edge than the coarsest detail sees.
INSIDE = slice(32, -32)


def test_details_are_those_of_dilated_b_splines() -> None:
    image = RNG.normal(size=(96, 112))
    two_scale = np.array([1, 4, 6, 4, 1]) / 16
    blurred = image
    found = details(image[None, ..., None].astype(np.float32))
    for scale, detail in enumerate(found):
        dilated = np.zeros(4 * 2**scale + 1)
        dilated[:: 2**scale] = two_scale
        wider = ndimage.convolve1d(ndimage.convolve1d(blurred, dilated, 0), dilated, 1)
        expected = (blurred - wider)[INSIDE, INSIDE]
        np.testing.assert_allclose(detail[0, INSIDE, INSIDE, 0], expected, atol=2e-6)
        blurred = wider


def test_noise_has_the_details_that_are_told() -> None:
    noise = RNG.normal(size=(1, 512, 512, 1)).astype(np.float32)
    spread = [float(np.std(detail[:, INSIDE, INSIDE])) for detail in details(noise)]
    np.testing.assert_allclose(spread, DETAIL_OF_NOISE, rtol=0.05)


@given(height=st.integers(1, 40), width=st.integers(1, 40), grey=st.floats(-5, 300))
def test_constant_images_of_any_size_have_none(height: int, width: int, grey: float) -> None:
    found = details(np.full((1, height, width, 2), grey, np.float32))
    assert len(found) == N_SCALES
    for detail in found:
        assert detail.shape == (1, height, width, 2)
        np.testing.assert_allclose(detail, 0, atol=1e-6 * abs(grey) + 1e-6)
