"""`platewise metrics` on tables as other tools write them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.cli import main
from pipelines.commands import metrics as command
from pipelines.profiles.columns import choose_features, nearest
from trainer.corrections import CORRECTION_NAMES, CORRECTIONS_ON_CONTROLS
from trainer.metrics.batch_effect import METRIC_NAMES, batch_effect_metrics

NAMES = ["--label", "Metadata_sirna", "--experiment", "Metadata_experiment"]
QUICK = ["--permutations", "50", "--metrics", "batch_probe", "pcr", "map", "variance_treatment"]


def _frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 120
    label, experiment = np.arange(n) % 8, np.arange(n) // 8 % 3
    features = rng.normal(size=(n, 10)) + rng.normal(size=(8, 10))[label]
    features += rng.normal(size=(3, 10))[experiment]
    frame = pd.DataFrame(features, columns=[f"Cells_{i}" for i in range(10)])
    frame.insert(0, "Metadata_sirna", [f"s{code}" for code in label])
    frame.insert(1, "Metadata_experiment", [f"E{code:02d}" for code in experiment])
    frame.insert(2, "Metadata_Plate", [f"{1 + i % 2:02d}" for i in range(n)])
    frame.insert(3, "Metadata_count", rng.integers(0, 9, n))
    return frame


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "wells.csv"
    _frame().to_csv(path, index=False)
    return path


def test_one_table_before_and_after_and_the_same_as_json(
    table: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "metrics.json"
    control = ["--control", "s0", "--plate", "Metadata_Plate"]
    assert main(["metrics", str(table), *NAMES, *control, *QUICK, "--json", str(out)]) == 0
    text = capfd.readouterr().out
    for word in ("120 rows", "10 features", "15 control rows", "uncorrected", "centring", "tvn"):
        assert word in text
    assert "PCR of the experiment" in text and "no effect" in text and "seconds" in text
    written = json.loads(out.read_text())
    assert [r["correction"] for r in written["results"]] == [
        "uncorrected",
        "centring",
        "tvn",
        "sphering",
        "sphering_oas",
    ]
    frame = _frame()
    expected = batch_effect_metrics(
        frame.filter(like="Cells_").to_numpy(),
        frame["Metadata_sirna"],
        frame["Metadata_experiment"],
    )
    rows = {row["metric"]: row for row in written["results"][0]["rows"]}
    assert rows["pcr"]["value"] == pytest.approx(expected.row("pcr").value)
    assert rows["map"]["value"] == pytest.approx(expected.row("map").value)
    assert rows["map"]["better"] == "higher" and rows["pcr"]["better"] == "lower"
    assert len(written["results"][0]["labels"]) == 8


def test_parquet_with_lists_and_compressed_csv_read_the_same(
    table: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    frame = _frame()
    lists = frame.filter(like="Metadata_").copy()
    lists["embedding"] = list(frame.filter(like="Cells_").to_numpy())
    lists.to_parquet(tmp_path / "wells.parquet")
    frame.to_csv(tmp_path / "wells.csv.gz", index=False)
    found = []
    for path in (table, tmp_path / "wells.parquet", tmp_path / "wells.csv.gz"):
        options = ["--correct", "none", "--json", "-", "--metrics", "pcr", "label_asw"]
        assert main(["metrics", str(path), *NAMES, *options]) == 0
        results = json.loads(capfd.readouterr().out)["results"][0]
        found.append([row["value"] for row in results["rows"]])
    assert found[1] == pytest.approx(found[0])
    assert found[2] == pytest.approx(found[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--label", "sirna"], "has no column 'sirna' (--label); did you mean 'Metadata_sirna'?"),
        (["--control", "S0"], "has 'S0' in column 'Metadata_sirna' (--control); did you mean 's0'"),
        (["--features", "Nuclei_"], "begins with --features 'Nuclei_'; there are 'Metadata_sirna'"),
        (["--features", "("], "is no regular expression"),
        (["--features", "Metadata_P"], None),
        (["--plate", "Metadata_plate"], "(--plate); did you mean 'Metadata_Plate'"),
    ],
)
def test_errors_name_columns_and_what_comes_nearest(
    options: list[str], message: str | None, table: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = main(["metrics", str(table), *NAMES, *options, "--correct", "none", "--metrics", "pcr"])
    error = capfd.readouterr().err
    if message is None:  # plates 01 and 02 are numbers to pandas
        assert code == 0
        return
    assert code == 1 and message in error
    assert error.count("\n") <= 2


def test_a_missing_value_is_named_and_can_be_left_out(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    frame = _frame()
    frame.loc[4, "Cells_3"] = np.nan
    frame.to_csv(tmp_path / "wells.csv", index=False)
    arguments = ["metrics", str(tmp_path / "wells.csv"), *NAMES]
    arguments += ["--metrics", "pcr", "--correct", "none"]
    assert main(arguments) == 1
    error = capfd.readouterr().err
    assert "feature 'Cells_3' has 1 of 120 values missing or infinite, the first in row 5" in error
    assert main([*arguments, "--missing", "drop-columns"]) == 0
    assert "9 features" in capfd.readouterr().out
    assert main([*arguments, "--missing", "drop-rows"]) == 0
    assert "119 rows" in capfd.readouterr().out
    frame.loc[7, "Metadata_sirna"] = None
    frame.to_csv(tmp_path / "wells.csv", index=False)
    assert main(arguments) == 1
    assert "column 'Metadata_sirna' is empty in 1 of 120 rows" in capfd.readouterr().err


def test_corrections_on_controls_need_controls(
    table: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["metrics", str(table), *NAMES, "--correct", "tvn"]) == 2
    assert "--correct tvn is fitted on controls: say which" in capfd.readouterr().err


def test_features_are_found_by_convention_or_by_their_names() -> None:
    columns = ["Metadata_Well", "Metadata_n", "a", "b"]
    assert choose_features(["Metadata_n", "a", "b"], columns, ["a"]) == (["b"], ["Metadata_n"])
    columns = ["Unnamed: 0", "ImageNumber", "Image_Metadata_Week", "Image_Count"]
    assert choose_features(columns, columns, [])[0] == ["Image_Count"]
    columns = ["plate", "Image_Count", "Cells_Area", "Nuclei_Area"]
    assert choose_features(columns, columns, [])[0] == ["Cells_Area", "Nuclei_Area"]
    columns = ["plateId", "well_row", "f1", "f2", "Unnamed: 0"]
    chosen, left_out = choose_features(columns, columns, [])
    assert chosen == ["f1", "f2"] and left_out == ["plateId", "well_row", "Unnamed: 0"]
    assert nearest("x", ["aa", "bb"]) == "there are 'aa', 'bb'"


def test_the_command_knows_what_the_trainer_knows() -> None:
    assert command.METRICS == METRIC_NAMES
    assert command.CORRECTIONS == CORRECTION_NAMES
    assert command.ON_CONTROLS == CORRECTIONS_ON_CONTROLS
