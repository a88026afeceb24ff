"""Files that the command writes, and those that it refuses before it computes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control

from pipelines.cli import main

QUICK = ["--permutations", "50", "--metrics", "pcr", "map", "batch_asw", "variance_treatment"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    code = np.arange(60)
    features = rng.normal(size=(60, 6)) + rng.normal(size=(5, 6))[code % 5]
    frame = pd.DataFrame(features + (code // 20)[:, None], columns=list("abcdef"))
    frame["label"], frame["experiment"] = code % 5, code // 20
    frame.to_csv(tmp_path / "wells.csv", index=False)
    return tmp_path / "wells.csv"


def _arguments(table: Path, *more: str) -> list[str]:
    names = ["--label", "label", "--experiment", "experiment", "--correct", "centring"]
    return ["metrics", str(table), *names, *QUICK, *more]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--json", "{}/no/x.json"], "/no is not there"),
        (["--per-label", "{}/no/x.csv"], "/no is not there"),
        (["--json", "{}"], "it is a folder"),
        (["--json", "{}/wells.csv/x.json"], "wells.csv is no folder"),
        (["--json", "{}/../{name}/wells.csv"], "it is the table that is read"),
        (["--json", "{}/x", "--per-label", "{}/x"], "it is what --json writes"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_computed(
    options: list[str],
    reason: str,
    table: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    computed: list[str] = []
    monkeypatch.setattr("pipelines.profiles.run.measure", lambda *_: computed.append("so"))
    folder = table.parent
    options = [option.format(folder, name=folder.name) for option in options]
    before = table.read_bytes()
    assert main(_arguments(table, *options)) == 1
    error = capfd.readouterr().err
    assert "platewise: cannot write" in error and reason in error
    assert not computed and table.read_bytes() == before


def test_each_labels_numbers_are_those_of_the_json(
    table: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out, machine = table.parent / "labels.csv", table.parent / "all.json"
    assert main(_arguments(table, "--per-label", str(out), "--json", str(machine))) == 0
    assert f"written: {machine}, {out}" in capfd.readouterr().out
    found = pd.read_csv(out)
    assert found.groupby("correction").size().to_dict() == {"uncorrected": 5, "centring": 5}
    for result in json.loads(machine.read_text())["results"]:
        rows = found[found["correction"] == result["correction"]]
        expected = pd.DataFrame(result["labels"]).astype(
            {"label": int, "replicate_correlation": float}
        )
        pd.testing.assert_frame_equal(
            rows.drop(columns="correction").reset_index(drop=True), expected, check_dtype=False
        )
        corrected = false_discovery_control(rows["p_value"])
        assert rows["corrected_p_value"].to_numpy() == pytest.approx(corrected)


def test_each_labels_numbers_need_map(table: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = _arguments(table, "--per-label", "x.csv", "--metrics", "pcr")
    assert main(arguments) == 2
    assert "--metrics must have map" in capfd.readouterr().err


def test_standardized_metrics_do_not_depend_on_units(
    table: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def values(*more: str) -> tuple[list[float], list[str]]:
        assert main(_arguments(table, "--json", "-", *more)) == 0
        found = json.loads(capfd.readouterr().out)
        rows = [row["value"] for one in found["results"] for row in one["rows"]]
        return rows, found["notes"]

    plain, _ = values("--standardize")
    frame = pd.read_csv(table)
    frame["c"] *= 1e6
    frame.assign(constant=7.0).to_csv(table, index=False)
    scaled, notes = values("--standardize")
    assert scaled == pytest.approx(plain, abs=1e-5)
    assert "1 constant features left out, the first 'constant'" in notes
    raw, notes = values()
    assert raw != pytest.approx(plain, abs=1e-2)
    assert notes[-1].startswith("feature 'c' alone holds 100.0 % of the total variance")


def test_a_label_always_in_one_well_is_said(table: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frame = pd.read_csv(table)
    frame.assign(well=[f"A{code + 1:02d}" for code in frame["label"]]).to_csv(table, index=False)
    assert main(_arguments(table, "--well", "well")) == 0
    assert "note: the well position (--well) determines the label" in capfd.readouterr().out
