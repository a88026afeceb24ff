"""Experiments as files: read strictly, compared honestly, not run twice."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from scipy import stats

from pipelines.cli import main
from pipelines.sweeps import arm as arms
from pipelines.sweeps.plan import Arm, Experiment, configuration, known, read_experiment
from pipelines.sweeps.score import METRICS, score
from pipelines.sweeps.table import mean_of, table, to_csv, to_json, to_markdown
from trainer import schema
from trainer.corrections import CORRECTION_NAMES
from trainer.predictions import SPLIT
from trainer.strict import ConfigError

TWO = Experiment("why", 1, "what", (Arm("off"), Arm("on", {"training": {"loop": {"epochs": 3}}})))


def result(arm: str, seed: int, per_well: float | None) -> dict:
    return {"arm": arm, "seed": seed, "metrics": {"per_well": per_well, "probe": None}}


@pytest.mark.parametrize("name", known())
def test_what_ships_can_be_read_and_its_arms_differ(name):
    experiment = read_experiment(name)
    digests = {
        str(configuration(experiment, a, 0)) + a.correction + str(a.predict_on)
        for a in experiment.arms
    }
    assert len(digests) == len(experiment.arms) >= 2
    assert experiment.purpose
    assert experiment.expected


def test_the_sets_that_were_promised_ship():
    assert {
        "adversary", "corrections", "denoise", "minibatch", "normaliser", "over_correction",
        "shuffled_labels",
    } <= set(known())  # fmt: skip


def test_seeds_reach_training_and_screen():
    config = configuration(TWO, TWO.arms[1], 7)
    assert (config.training.loop.seed, config.simulation.seed) == (7, 7)
    assert config.training.loop.epochs == 3
    assert configuration(TWO, TWO.arms[0], 7).training.loop.epochs == 20
    still = Experiment("why", 1, "what", TWO.arms, vary_screen=False)
    assert configuration(still, still.arms[0], 7).simulation.seed == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[arms]]\nname = "a"\nset.training.loop.epoch = 3', "arm a: .*loop.epoch.*epochs"),
        ('[[arms]]\nname = "a"\ncorection = "tvn"', "corection.*did you mean.*correction"),
        ('[[arms]]\nname = "a"\ncorrection = "tvm"', f"one of {', '.join(CORRECTION_NAMES)}"),
        ('[[arms]]\nname = "a,b"', "letters, digits"),
        ('[[arms]]\nname = "a"\n[[arms]]\nname = "a"', "names that differ"),
        ('[[arms]]\nname = "a"\npredict_on.blur = 1', "simulation.blur"),
        ("", "at least one"),
        ("arms = 3", r"each under \[\[arms\]\]"),
        ("[[arms", "not valid TOML"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_name(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(f'purpose = "p"\nminutes = 1\nexpected = "e"\n{text}\n')
    with pytest.raises(ConfigError, match=message):
        read_experiment(str(path))


def test_an_unknown_experiment_is_told_what_there_is(capsys):
    assert main(["sweep", "minibach"]) == 2
    assert "minibatch" in capsys.readouterr().err
    assert main(["sweep", "--list"]) == 0
    assert "minibatch: Which sites share a minibatch" in capsys.readouterr().out


def test_intervals_are_scipys():
    values = [80.0, 84.0, 91.0]
    expected = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    found = mean_of(values)
    assert (found.low, found.high) == pytest.approx(expected)
    assert mean_of([3.0]).low is None
    assert mean_of([]).mean is None


def test_differences_are_paired_by_seed():
    scores = {"off": [50.0, 70.0, 90.0], "on": [51.0, 72.0, 90.0]}
    results = [result(a, s, v) for a, values in scores.items() for s, v in enumerate(values)]
    results.append(result("on", 3, 10.0))  # the other arm has no such seed
    (first, second) = table(TWO, results)
    paired = stats.ttest_rel(scores["on"], scores["off"]).confidence_interval()
    assert first.difference.mean is None
    assert (second.difference.n, second.difference.mean) == (3, pytest.approx(1.0))
    assert (second.difference.low, second.difference.high) == pytest.approx(
        (paired.low, paired.high)
    )
    assert second.value.n == 4
    rows = list(csv.DictReader(io.StringIO(to_csv([first, second]))))
    assert [row["arm"] for row in rows] == ["off", "on"]
    assert float(rows[1]["difference_mean"]) == pytest.approx(1.0)
    assert json.loads(to_json(TWO, [first, second], results))["cells"][1]["difference"]["n"] == 3
    text = to_markdown(TWO, [first, second])
    low, high = stats.t.interval(0.95, 3, 55.75, stats.sem([51.0, 72.0, 90.0, 10.0]))
    assert f"| on | 55.8 ({low:.1f} to {high:.1f}); +1.0 (-1.5 to +3.5) |" in text
    assert "| off | 70.0 (20.3 to 119.7), n = 3 |" in text
    assert "probe" not in text.split("\n")[0]


def test_what_is_finished_is_not_run_again(tmp_path, monkeypatch):
    def refuse(*_):
        raise AssertionError("prepared again")

    monkeypatch.setattr(arms, "prepare", refuse)
    path = arms.result_path(tmp_path, TWO, TWO.arms[0], 1)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(result("off", 1, 5.0)))
    found = arms.run_arm(TWO, TWO.arms[0], 1, tmp_path, 1, lambda _: None)
    assert found["metrics"]["per_well"] == 5.0
    path.write_text("{")
    with pytest.raises(AssertionError, match="prepared again"):
        arms.run_arm(TWO, TWO.arms[0], 1, tmp_path, 1, lambda _: None)
    others = {arms.result_path(tmp_path, TWO, a, s) for a in TWO.arms for s in (0, 1)}
    assert len(others) == 4


def prediction_rows(shift: float) -> dict:
    """Four experiments of one cell type; the embedding is the treatment plus the experiment."""
    rng = np.random.default_rng(0)
    rows: dict[str, list] = {}
    for e, split in enumerate(("train", "train", "train", "eval")):
        for w in range(16):
            label = w % 4
            kind = schema.WELL_TREATMENT if w < 12 else schema.WELL_POSITIVE
            embedding = np.zeros(8)
            embedding[label] = 1.0
            embedding[4 + e] += shift
            embedding += rng.normal(0, 0.05, 8)
            for level in (schema.LEVEL_SITE, schema.LEVEL_WELL):
                row = {
                    schema.LEVEL: level,
                    SPLIT: split,
                    schema.EXPERIMENT: f"E-{e}",
                    schema.CELL_TYPE: "E",
                    schema.WELL_ID: f"E-{e}_1_{w}",
                    schema.WELL_TYPE: kind,
                    schema.LABEL: label if w < 12 else -1,
                    schema.PROBABILITIES: np.eye(4)[label if w != 3 else 0],
                    schema.EMBEDDING: embedding,
                    schema.PSNR_NOISY: [20.0, 21.0],
                    schema.PSNR_DENOISED: [23.0, 22.0],
                }
                for key, value in row.items():
                    rows.setdefault(key, []).append(value)
    text = (schema.LEVEL, SPLIT, schema.EXPERIMENT, schema.CELL_TYPE, schema.WELL_ID)
    return {
        key: np.array(values, object) if key in (*text, schema.WELL_TYPE) else np.array(values)
        for key, values in rows.items()
    }


def test_scores_are_those_of_hand_made_rows():
    found = score(prediction_rows(shift=5.0), "")
    assert found.keys() <= METRICS.keys()
    assert found["per_well"] == pytest.approx(100 * 11 / 12)
    assert found["psnr_gain_db"] == pytest.approx(2.0)
    assert found["probe"] == 100
    centred = score(prediction_rows(shift=5.0), "centring")
    assert centred["per_well"] == found["per_well"]
    assert centred["probe"] is not None
    assert centred["probe"] < 50
    assert centred["per_well_centroid"] == 100
