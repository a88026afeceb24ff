"""What the dials promise: each test has its opposite, so that none can pass by accident."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage, stats
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trainer.simulation import SimulationConfig, demo_config
from trainer.simulation.camera import quantise
from trainer.simulation.effects import well_effects
from trainer.simulation.layout import SiteRow, screen_rows
from trainer.simulation.morphology import treatment_direction
from trainer.simulation.screen import simulate_site


def features(image_CHW: np.ndarray) -> np.ndarray:
    """Brightness, contrast at four scales and correlation of the stains."""
    values: list[float] = []
    for grey_HW in image_CHW.astype(np.float64):
        values += [grey_HW.mean(), grey_HW.std(), *np.percentile(grey_HW, [5, 50, 95, 99])]
        sharp = grey_HW
        for sigma_px in (1, 2, 4):
            soft = ndimage.gaussian_filter(grey_HW, sigma_px)
            values.append((sharp - soft).std())
            sharp = soft
    correlation = np.corrcoef(image_CHW.reshape(6, -1) + 0.0)[np.triu_indices(6, 1)]
    return np.concatenate([np.log(np.array(values) + 0.5), np.nan_to_num(correlation)])


def measure(config: SimulationConfig) -> tuple[list[SiteRow], np.ndarray]:
    rows = [r for r in screen_rows(config) if r.well_type == "treatment"]
    return rows, np.stack([features(quantise(simulate_site(config, r)[0])) for r in rows])


def one_cell_type(**changes) -> SimulationConfig:
    values = {"cell_types": ("HUVEC",), "experiments_per_cell_type": 3, "positive_controls": 0}
    return demo_config(**{**values, "image_size_px": 32, **changes})


def experiment_accuracy(rows: list[SiteRow], x_ND: np.ndarray) -> float:
    """Accuracy of a linear classifier of the experiment, cross-validated by well."""
    model = make_pipeline(
        StandardScaler(), LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.5)
    )
    y = [r.experiment for r in rows]
    wells = [r.well_id for r in rows]
    return float(cross_val_score(model, x_ND, y, groups=wells, cv=GroupKFold(6)).mean())


def treatment_accuracy(rows: list[SiteRow], x_ND: np.ndarray) -> tuple[float, int]:
    """Accuracy on held-out experiments, and the number of their wells, plates centred."""
    plates = np.array([f"{r.experiment}_{r.plate}" for r in rows])
    x_ND = x_ND.copy()
    for plate in np.unique(plates):
        x_ND[plates == plate] -= x_ND[plates == plate].mean(axis=0)
    wells = sorted({(r.well_id, r.dataset, r.sirna_id) for r in rows})
    index = np.array([r.well_id for r in rows])
    w_ND = np.stack([x_ND[index == well].mean(axis=0) for well, _, _ in wells])
    y = np.array([sirna_id for _, _, sirna_id in wells])
    test = np.array([dataset == "test" for _, dataset, _ in wells])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
    model.fit(w_ND[~test], y[~test])
    return float((model.predict(w_ND[test]) == y[test]).mean()), int(test.sum())


def smallest_p(rows: list[SiteRow], x_ND: np.ndarray) -> float:
    """Bonferroni-corrected Kruskal-Wallis p over features: do experiments differ?"""
    names = np.array([r.experiment for r in rows])
    # One value a well: its sites are not independent.
    first = np.array([r.site == 1 for r in rows])
    groups = [x_ND[first & (names == name)] for name in np.unique(names)]
    varied = np.flatnonzero(np.ptp(x_ND[first], axis=0) > 0)
    p_D = [stats.kruskal(*(g[:, d] for g in groups)).pvalue for d in varied]
    return float(min(p_D) * len(p_D))


def test_without_batch_effects_experiments_are_exchangeable() -> None:
    screens = [
        measure(one_cell_type(batch_strength=0.0, biology_strength=0.0, seed=seed))
        for seed in range(3)
    ]

    chance, n_wells = 1 / 3, sum(len(rows) for rows, _ in screens) / 2
    accuracy = np.mean([experiment_accuracy(*screen) for screen in screens])
    assert accuracy < chance + 2.6 * np.sqrt(chance * (1 - chance) / n_wells)
    assert min(smallest_p(*screen) for screen in screens) > 0.05 / 3


def test_batch_effects_give_the_experiment_away() -> None:
    rows, x_ND = measure(one_cell_type(biology_strength=0.0))

    assert experiment_accuracy(rows, x_ND) > 0.9
    assert smallest_p(rows, x_ND) < 1e-6


@pytest.mark.parametrize(
    "dial",
    [
        {"stain_gain_log_sd": 0.6},
        {"stain_offset_sd_grey_levels": 3.0},
        {"focus_blur_sd_px": 1.5},
        {"illumination_gradient_sd": 0.5},
        {"cell_density_log_sd": 0.5},
    ],
    ids=lambda dial: next(iter(dial)),
)
def test_each_batch_dial_alone_makes_experiments_differ(dial: dict) -> None:
    off = {
        "stain_gain_log_sd": 0.0,
        "stain_offset_sd_grey_levels": 0.0,
        "focus_blur_sd_px": 0.0,
        "illumination_gradient_sd": 0.0,
        "cell_density_log_sd": 0.0,
        "plate_edge_sd": 0.0,
    }
    rows, x_ND = measure(one_cell_type(biology_strength=0.0, **{**off, **dial}))

    assert smallest_p(rows, x_ND) < 0.01


def test_without_biology_no_classifier_beats_chance() -> None:
    results = [
        treatment_accuracy(
            *measure(
                demo_config(
                    seed=seed,
                    image_size_px=32,
                    biology_strength=0.0,
                    cell_types=("HUVEC", "HEPG2"),
                    positive_controls=0,
                    treatments=12,
                )
            )
        )
        for seed in range(3)
    ]

    chance, n_wells = 1 / 12, sum(n for _, n in results)
    accuracy = np.mean([accuracy for accuracy, _ in results])
    assert accuracy < chance + 2.6 * np.sqrt(chance * (1 - chance) / n_wells)


def test_biology_is_seen_across_experiments() -> None:
    accuracy, _ = treatment_accuracy(*measure(one_cell_type(batch_strength=0.0)))

    assert accuracy > 5 / 24


def test_biology_is_shared_by_cell_types() -> None:
    config = SimulationConfig()
    shared = [
        np.corrcoef(
            treatment_direction(config, "HUVEC", i), treatment_direction(config, "U2OS", i)
        )[0, 1]
        for i in range(50)
    ]
    others = [
        np.corrcoef(
            treatment_direction(config, "HUVEC", i), treatment_direction(config, "HUVEC", i + 50)
        )[0, 1]
        for i in range(50)
    ]

    assert np.mean(shared) == pytest.approx(1 - config.cell_type_specificity, abs=0.06)
    assert np.mean(others) == pytest.approx(0, abs=0.1)
    untreated = config.treatments + config.positive_controls
    assert not treatment_direction(config, "HUVEC", untreated).any()


def test_batch_effects_vary_more_between_experiments_than_between_plates() -> None:
    config = SimulationConfig(experiments_per_cell_type=40)
    log_gain_EPC = np.array(
        [
            [np.log(well_effects(config, f"HUVEC-{e:02d}", p, "H12").gain_C) for p in (1, 2, 3, 4)]
            for e in range(1, 41)
        ]
    )

    between = log_gain_EPC.mean(axis=1).std(axis=0).mean()
    within = log_gain_EPC.std(axis=1, ddof=1).mean()
    assert 2 < between / within < 8
    # RxRx1's experiments span a factor of 18 in the mean of w1.
    spread = np.exp(np.ptp(log_gain_EPC.mean(axis=1), axis=0))
    assert spread.min() > 5 and spread.max() < 30


def test_no_batch_effect_is_left_at_strength_zero() -> None:
    effects = well_effects(SimulationConfig(batch_strength=0.0), "RPE-01", 2, "B02")

    assert (effects.gain_C == 1).all() and (effects.offset_C == 0).all()
    assert effects.gradient_xy == (0, 0) and effects.vignetting == 0
    assert effects.blur_sigma_px == 0 and effects.density == 1


def test_edge_effects_fade_inwards() -> None:
    config = SimulationConfig(stain_gain_log_sd=0.0, cell_density_log_sd=0.0)
    by_depth = [
        abs(np.log(well_effects(config, "RPE-01", 2, well).density))
        for well in ("B02", "C03", "E05", "H08")
    ]

    assert by_depth[0] > 0.005
    assert by_depth == sorted(by_depth, reverse=True)
