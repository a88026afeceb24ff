from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.simulation.cells import map_cells, place_cells
from trainer.simulation.fields import smooth_noise
from trainer.simulation.morphology import MORPHOLOGIES
from trainer.simulation.seeds import stream


@pytest.mark.parametrize("sigma_px", [0.5, 1.0, 2.7, 4.0, 9.0, 25.0])
def test_noise_has_variance_one_and_the_length_asked_for(sigma_px: float) -> None:
    fields = np.stack([smooth_noise(stream(i, "noise"), 128, sigma_px) for i in range(300)])

    assert fields.shape == (300, 128, 128)
    assert fields.mean() == pytest.approx(0, abs=0.1)
    assert (fields**2).mean() == pytest.approx(1, abs=0.1)
    # White noise under a Gaussian filter is correlated as exp(-d^2 / 4 sigma^2).
    lag = max(1, round(sigma_px))
    product = (fields[:, :, lag:] * fields[:, :, :-lag]).mean()
    if sigma_px >= 1:
        assert product == pytest.approx(np.exp(-((lag / sigma_px) ** 2) / 4), abs=0.08)


@settings(max_examples=30, deadline=None)
@given(size_px=st.integers(16, 200), sigma_px=st.floats(0.1, 300))
def test_noise_fits_any_image(size_px: int, sigma_px: float) -> None:
    field = smooth_noise(stream(0), size_px, sigma_px)

    assert field.shape == (size_px, size_px)
    assert np.isfinite(field).all()


@pytest.mark.parametrize("cell_type", MORPHOLOGIES)
def test_cells_keep_their_density_and_their_distance(cell_type: str) -> None:
    shape = MORPHOLOGIES[cell_type]
    field_um = 330.0
    counts = []
    for seed in range(12):
        centres = place_cells(stream(seed), shape, shape.density_per_mm2, field_um)
        inside = ((centres >= 0) & (centres < field_um)).all(axis=1)
        counts.append(inside.sum())
        gaps = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
        np.fill_diagonal(gaps, np.inf)
        assert gaps.min() > shape.nucleus_radius_um
    expected = shape.density_per_mm2 * (field_um / 1000) ** 2
    assert np.mean(counts) == pytest.approx(expected, rel=0.15)


def test_an_empty_field_has_no_cells() -> None:
    shape = MORPHOLOGIES["RPE"]
    centres = place_cells(stream(0), shape, 0.0, 100.0)
    cells = map_cells(stream(0), shape, centres, 32, 3.0)

    assert cells.n_cells == 0 and centres.shape == (0, 2)
    assert (cells.owner_HW == 0).all() and (cells.radius_HW > 3).all()


def test_pixels_belong_to_the_cell_they_lie_in() -> None:
    shape = MORPHOLOGIES["RPE"]
    centres = np.array([[30.0, 30.0], [30.0, 90.0], [90.0, 60.0]])
    cells = map_cells(stream(3), shape, centres, 120, 1.0)

    for i, (y_um, x_um) in enumerate(centres.astype(int)):
        assert cells.owner_HW[y_um, x_um] == i
        assert cells.nucleus_HW[y_um, x_um] < 1
    assert (cells.radius_HW <= cells.next_radius_HW).all()


def test_streams_depend_on_their_names_alone() -> None:
    a = stream(0, "site", "A").integers(2**62)

    assert a == stream(0, "site", "A").integers(2**62)
    assert len({a, *(stream(*n).integers(2**62) for n in [(1, "site", "A"), (0, "siteA")])}) == 3
