"""Tuning finds what a plain search finds, and refuses what cannot be tuned."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio

from trainer.errors import PlatewiseError
from trainer.filters.settings import GaussianSettings
from trainer.filters.tune import Pair, tune
from trainer.strict import ConfigError


def pairs() -> list[Pair]:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(2):
        clean = ndimage.gaussian_filter(rng.normal(size=(48, 48, 1)), (3, 3, 0)) * 300 + 90
        found.append(Pair(clean, clean + rng.normal(size=clean.shape) * 12))
    return found


def test_the_best_blur_is_found() -> None:
    grid = (0.5, 1.0, 2.0, 4.0)
    tuned = tune("gaussian", pairs(), {"sigma_px": grid})
    expected = {
        sigma: np.mean(
            [
                peak_signal_noise_ratio(
                    pair.clean_HWC,
                    ndimage.gaussian_filter(pair.noisy_HWC, (sigma, sigma, 0), mode="mirror"),
                    data_range=255,
                )
                for pair in pairs()
            ]
        )
        for sigma in grid
    }
    best = max(expected, key=lambda sigma: expected[sigma])
    assert tuned.settings == GaussianSettings(sigma_px=best)
    assert tuned.psnr_db == pytest.approx(expected[best], abs=1e-3)
    assert [point["sigma_px"] for point, _ in tuned.tried] == sorted(
        grid, key=lambda sigma: -expected[sigma]
    )


def test_what_cannot_be_tuned_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean sigma_px"):
        tune("gaussian", pairs(), {"sigma": [1.0]})
    with pytest.raises(PlatewiseError, match="at least one pair"):
        tune("gaussian", [], {"sigma_px": [1.0]})
