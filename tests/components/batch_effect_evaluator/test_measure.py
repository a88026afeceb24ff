"""From well profiles to tables: before and after corrections, deterministic, saved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.batch_effect_evaluator.config import BatchEffectsConfig
from components.batch_effect_evaluator.executor import _write_tables
from components.batch_effect_evaluator.measure import LABEL_FREE, measure
from components.batch_effect_evaluator.profiles import WellProfiles
from components.batch_effect_evaluator.results import from_json
from trainer import schema
from trainer.corrections import load_correction
from trainer.metrics.batch_effect import BatchEffectConfig
from trainer.predictions import SPLIT
from trainer.strict import ConfigError

FAST = BatchEffectsConfig(metrics=BatchEffectConfig(n_permutations=50))


def profiles(split_of_last: str = "eval", labelled: bool = True) -> WellProfiles:
    """Two cell types of three experiments, the last of each held out, each shifted far."""
    rng = np.random.default_rng(0)
    centre = rng.normal(0, 2, (10, 6))
    rows: dict[str, list] = {key: [] for key in ("e", "t", "kind", "label", "x", "plate", "well")}
    for kind in "AB":
        for e in range(3):
            shift = rng.normal(0, 6, 6)
            for w in range(26):
                control = w >= 20
                rows["e"].append(f"{kind}-{e}")
                rows["plate"].append(f"{kind}-{e}_{w % 2}")
                rows["well"].append(f"B{w // 2:02d}")
                rows["kind"].append(schema.WELL_NEGATIVE if control else schema.WELL_TREATMENT)
                rows["label"].append(-1 if control or not labelled else w % 10)
                rows["t"].append("" if control or not labelled else f"s{w % 10}")
                base = 0 if control else centre[w % 10]
                rows["x"].append(base + shift + rng.normal(0, 1, 6))
    experiment = np.array(rows["e"], object)
    held_out = np.array([name.endswith("-2") for name in experiment])
    split = (
        np.where(held_out, split_of_last, "train")
        if labelled
        else np.full(len(experiment), "score")
    )
    names = {
        schema.EXPERIMENT: experiment,
        schema.CELL_TYPE: np.array([name[0] for name in experiment], object),
        schema.PLATE_ID: np.array(rows["plate"], object),
        schema.WELL: np.array(rows["well"], object),
        schema.WELL_TYPE: np.array(rows["kind"], object),
        schema.TREATMENT: np.array(rows["t"], object),
        SPLIT: split.astype(object),
    }
    embedding = np.array(rows["x"], np.float32)
    return WellProfiles(embedding, embedding[:, ::-1].copy(), names, np.array(rows["label"]))


def test_corrections_take_the_experiment_out(tmp_path: Path) -> None:
    found = measure(profiles(), FAST, str(tmp_path))
    assert [r.correction for r in found.results] == ["none", *FAST.corrections]
    assert (found.n_wells, found.n_controls, found.n_experiments) == (120, 36, 6)
    assert found.fitted_on == ("A-0", "A-1", "B-0", "B-1") and not found.left_out
    before, centred = found.result(), found.result("centring")
    assert before.cards.guessed.value > 0.9 > 0.5 > centred.cards.guessed.value
    assert centred.sources["A-2"] != centred.sources["A-0"]
    # The same numbers in another order of columns: the baseline is probed on the same wells.
    assert found.baseline_guessed.value == pytest.approx(before.cards.guessed.value, abs=0.05)
    assert from_json(found.to_json()) == found
    assert measure(profiles(), FAST, str(tmp_path / "again")).to_json() == found.to_json()
    # What was saved corrects as it did.
    again = load_correction(tmp_path / "corrections" / "centring")
    rows = profiles()
    apart = again.apply(rows.embedding_ND, rows.names[schema.EXPERIMENT].astype(str))
    assert abs(apart[rows.names[schema.EXPERIMENT] == "A-2"].mean()) < 1e-4
    table = pd.read_parquet(tmp_path / "embeddings_centring.parquet")
    np.testing.assert_allclose(np.stack(table[schema.EMBEDDING]), apart, atol=1e-5)
    assert table[schema.WELL].tolist() == rows.names[schema.WELL].tolist()
    _write_tables(found, tmp_path)
    table = pd.read_parquet(tmp_path / "metrics.parquet")
    assert set(table["correction"]) == {"none", *FAST.corrections}
    assert set(table["scope"]) == {"A", "B", "all"}
    assert len(pd.read_parquet(tmp_path / "experiments.parquet")) == 6 * len(found.results)


def test_scored_plates_need_no_labels_and_take_the_models_corrections(tmp_path: Path) -> None:
    measure(profiles(), FAST, str(tmp_path / "fitted"))
    scored = profiles(labelled=False)
    found = measure(scored, FAST, str(tmp_path / "own"), str(tmp_path / "fitted/corrections"))
    assert {row.metric for row in found.result().rows} == set(LABEL_FREE)
    assert found.result("centring") is not None and not found.left_out
    bare = measure(scored, FAST, str(tmp_path / "own"))
    assert [r.correction for r in bare.results] == ["none"]
    assert set(bare.left_out) == set(FAST.corrections)


def test_a_correction_that_cannot_be_fitted_is_left_out_and_said(tmp_path: Path) -> None:
    rows = profiles()
    rows.names[schema.WELL_TYPE][:] = schema.WELL_TREATMENT
    found = measure(rows, FAST, str(tmp_path))
    assert set(found.left_out) == {"tvn", "sphering", "sphering_oas"}
    assert "controls" in found.left_out["tvn"]


def test_unknown_corrections_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown 'combat'; known: centring"):
        BatchEffectsConfig(corrections=("combat",))
