"""Untreated wells against real ones, at 512 px, without batch effects.

The real numbers are those of RxRx1's untreated wells B02, site 1, of HUVEC-01 (plates
1 to 4) and HEPG2-08 (plates 1 and 2), CC BY-NC-SA 4.0, measured once; no pixel of theirs
is kept here.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
from scipy import ndimage
from skimage.filters import threshold_otsu

from trainer.simulation import SimulationConfig
from trainer.simulation.camera import quantise
from trainer.simulation.layout import screen_rows
from trainer.simulation.screen import simulate_site


@dataclasses.dataclass(frozen=True)
class Real:
    mean_C: tuple[float, ...]
    sd_C: tuple[float, ...]
    percentile_1_C: tuple[float, ...]
    percentile_99_C: tuple[float, ...]
    nuclei: tuple[float, float]
    half_width_px: tuple[float, float]
    lag_1: tuple[float, float]


REAL = {
    "HUVEC": Real(
        mean_C=(5.2, 22.1, 11.8, 12.7, 2.4, 15.7),
        sd_C=(6.6, 16.5, 4.5, 9.0, 2.4, 7.5),
        percentile_1_C=(1, 7, 4, 4, 1, 6),
        percentile_99_C=(26, 80, 27, 42, 9, 38),
        nuclei=(77, 104),
        half_width_px=(6, 14),
        lag_1=(0.90, 0.99),
    ),
    "HEPG2": Real(
        mean_C=(7.9, 25.3, 20.9, 16.4, 30.4, 16.1),
        sd_C=(6.7, 12.3, 9.5, 7.3, 15.9, 7.1),
        percentile_1_C=(1, 4, 4, 3, 4, 3),
        percentile_99_C=(28, 60, 46, 34, 72, 34),
        nuclei=(108, 160),
        half_width_px=(10, 50),
        lag_1=(0.92, 0.995),
    ),
}


def half_width_px(image_HW: np.ndarray) -> float:
    """Radius at which the circular autocorrelation falls below one half."""
    spectrum = np.abs(np.fft.fft2(image_HW - image_HW.mean())) ** 2
    correlation = np.fft.ifft2(spectrum).real
    distance = np.fft.fftfreq(len(image_HW), 1 / len(image_HW))
    radius = np.hypot(distance[:, None], distance[None, :]).astype(int)
    profile = np.bincount(radius.ravel(), correlation.ravel()) / np.bincount(radius.ravel())
    return float(np.argmax(profile < profile[0] / 2))


def lag_1(image_HW: np.ndarray) -> float:
    z = image_HW - image_HW.mean()
    return float((z[:, 1:] * z[:, :-1]).mean() / (z * z).mean())


def count_nuclei(image_HW: np.ndarray) -> tuple[int, float]:
    """Number and median area, px, of what Otsu's threshold separates."""
    smooth = ndimage.gaussian_filter(image_HW, 1.0)
    labels, _ = ndimage.label(smooth > threshold_otsu(smooth))
    areas = np.bincount(labels.ravel())[1:]
    areas = areas[areas >= 30]
    return len(areas), float(np.median(areas))


@functools.cache
def untreated(cell_type: str) -> np.ndarray:
    """Images [N, C, H, W] of the untreated wells of one experiment's plates."""
    config = SimulationConfig(
        cell_types=(cell_type,), treatments=4, positive_controls=0, batch_strength=0.0
    )
    rows = [r for r in screen_rows(config) if r.well_type == "negative_control" and r.site == 1]
    images = [quantise(simulate_site(config, r)[0]) for r in rows[:4]]
    return np.stack(images).astype(np.float64)


@pytest.mark.parametrize("cell_type", REAL)
def test_brightness(cell_type: str) -> None:
    image_NCHW, real = untreated(cell_type), REAL[cell_type]
    pixels_CN = np.moveaxis(image_NCHW, 1, 0).reshape(6, -1)

    np.testing.assert_allclose(pixels_CN.mean(axis=1), real.mean_C, rtol=0.25)
    np.testing.assert_allclose(pixels_CN.std(axis=1), real.sd_C, rtol=0.5)
    low_C, high_C = np.percentile(pixels_CN, [1, 99], axis=1)
    assert np.abs(low_C - real.percentile_1_C).max() <= 6.5
    np.testing.assert_allclose(high_C, real.percentile_99_C, rtol=0.4)


@pytest.mark.parametrize("cell_type", REAL)
def test_smoothness(cell_type: str) -> None:
    image_NCHW, real = untreated(cell_type), REAL[cell_type]
    width_NC = np.array([[half_width_px(c) for c in site] for site in image_NCHW])
    lag_NC = np.array([[lag_1(c) for c in site] for site in image_NCHW])

    assert width_NC.mean(axis=0).min() >= real.half_width_px[0] * 0.7
    assert width_NC.mean(axis=0).max() <= real.half_width_px[1] * 1.3
    assert real.lag_1[0] - 0.02 <= lag_NC.mean(axis=0).min()
    assert lag_NC.mean(axis=0).max() <= real.lag_1[1] + 0.005


@pytest.mark.parametrize("cell_type", REAL)
def test_nuclei(cell_type: str) -> None:
    image_NCHW, real = untreated(cell_type), REAL[cell_type]
    counts, areas_px = zip(*(count_nuclei(site[0]) for site in image_NCHW), strict=True)

    assert real.nuclei[0] * 0.8 <= np.mean(counts) <= real.nuclei[1] * 1.2
    assert 170 * 0.8 <= np.mean(areas_px) <= 345 * 1.2


def test_stains_of_huvec_are_correlated_as_in_the_real_wells() -> None:
    r_CC = np.mean([np.corrcoef(site.reshape(6, -1)) for site in untreated("HUVEC")], axis=0)

    assert r_CC[1, 3] == pytest.approx(0.98, abs=0.04)
    assert r_CC[0, 5] == pytest.approx(0.81, abs=0.1)
    assert r_CC[0, 2] == pytest.approx(0.21, abs=0.12)


def test_cell_types_look_different() -> None:
    # Colonies of small cells against a sparse lawn of large ones.
    colony = [count_nuclei(site[0]) for site in untreated("HEPG2")]
    lawn = [count_nuclei(site[0]) for site in untreated("U2OS")]

    assert np.mean([n for n, _ in colony]) > 1.5 * np.mean([n for n, _ in lawn])
    assert np.mean([area for _, area in lawn]) > 1.3 * np.mean([area for _, area in colony])
