"""Well profiles that the oracle script and our tests both make: no copies, no drift.

NumPy alone (its legacy generator, whose stream is frozen), so that any environment makes the
same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class WellProfiles:
    """Features and names of simulated wells."""

    features_ND: np.ndarray
    label_N: np.ndarray
    experiment_N: np.ndarray
    plate_N: np.ndarray
    position_N: np.ndarray


def screen(seed: int = 7, dimensions: int = 120) -> WellProfiles:
    """632 wells, 55 plates, 10 experiments: correlated, heavy-tailed features of unequal scale.

    Three labels have a single well, one stands in a single experiment, one experiment has three
    wells, and ten wells are exact copies of another.
    """
    rng = np.random.RandomState(seed)
    n, n_labels, n_experiments, n_plates = 632, 48, 10, 55
    experiment_of_plate = np.sort(np.arange(n_plates) % (n_experiments - 1))
    plate = np.sort(rng.randint(0, n_plates, n))
    experiment = experiment_of_plate[plate]
    experiment[:3], plate[:3] = n_experiments - 1, n_plates  # a tiny experiment on its own plate
    label = rng.randint(0, n_labels - 4, n)
    label[10:13] = n_labels - 4 + np.arange(3)
    alone = np.flatnonzero(experiment == 4)[:5]
    label[alone] = n_labels - 1
    label[rng.rand(n) < 0.15] = 0  # the control: many wells everywhere
    mixing = rng.standard_normal((dimensions, dimensions)) / np.sqrt(dimensions)
    scale = np.exp(rng.standard_normal(dimensions))
    noise = rng.standard_t(5, (n, dimensions)) @ mixing
    biology = 0.9 * rng.standard_normal((n_labels, dimensions))[label]
    batch = 0.5 * rng.standard_normal((n_experiments, dimensions))[experiment]
    by_plate = 0.2 * rng.standard_normal((n_plates + 1, dimensions))[plate]
    features = (noise + biology + batch + by_plate) * scale + 3.0 * scale
    features[600:610] = features[500:510]
    return _named(features, label, experiment, plate, rng.randint(0, 60, n))


def grid(seed: int = 3) -> WellProfiles:
    """240 wells on a lattice of whole numbers: most distances are tied, many rows are equal."""
    rng = np.random.RandomState(seed)
    n = 240
    experiment, label = rng.randint(0, 4, n), rng.randint(0, 12, n)
    features = rng.randint(0, 3, (n, 6)) + (label % 3)[:, None] + (experiment % 2)[:, None] + 1.0
    return _named(features, label, experiment, experiment, rng.randint(0, 30, n))


def small(seed: int = 5) -> WellProfiles:
    """60 wells: fewer than any neighbourhood asks for, more dimensions than wells."""
    rng = np.random.RandomState(seed)
    n = 60
    experiment, label = np.arange(n) % 3, rng.randint(0, 9, n)
    features = rng.standard_normal((n, 80)) + rng.standard_normal((9, 80))[label]
    return _named(features, label, experiment, experiment, rng.randint(0, 30, n))


def _named(
    features: np.ndarray,
    label: np.ndarray,
    experiment: np.ndarray,
    plate: np.ndarray,
    position: np.ndarray,
) -> WellProfiles:
    return WellProfiles(
        features,
        np.array([f"treatment-{code:02d}" for code in label]),
        np.array([f"experiment-{code}" for code in experiment]),
        np.array([f"plate-{code:02d}" for code in plate]),
        np.array([f"well-{code:02d}" for code in position]),
    )


PROFILES = {"screen": screen, "grid": grid, "small": small}
