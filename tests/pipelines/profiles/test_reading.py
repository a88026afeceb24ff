"""Reading tables of profiles: no column and no name is lost in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.profiles.table import ProfileColumns, Profiles, read_profiles
from trainer.errors import PlatewiseError

COLUMNS = ProfileColumns("Metadata_compound", "Metadata_batch")


def _frame(n: int = 12) -> pd.DataFrame:
    features = np.random.default_rng(0).normal(size=(n, 3))
    frame = pd.DataFrame(features, columns=["Cells_a", "Cells_b", "Nuclei_a"])
    frame.insert(0, "Metadata_compound", [f"c{i % 3}" for i in range(n)])
    frame.insert(1, "Metadata_batch", [f"b{i % 2}" for i in range(n)])
    return frame


def _read(frame: pd.DataFrame, folder: Path, columns: ProfileColumns = COLUMNS) -> Profiles:
    frame.to_csv(folder / "wells.csv", index=False)
    return read_profiles(str(folder / "wells.csv"), columns)


@pytest.mark.parametrize("odd", ["ERR", "1,5", "True"])
def test_one_value_that_is_no_number_is_refused_with_its_row(tmp_path: Path, odd: str) -> None:
    frame = _frame().astype({"Cells_b": object})
    frame.loc[6, "Cells_b"] = odd
    with pytest.raises(PlatewiseError, match=r"column 'Cells_b' .* in 1 of 12 rows") as caught:
        _read(frame, tmp_path)
    assert f"the first in row 7: {odd!r}" in str(caught.value)


def test_columns_of_text_or_truth_values_are_left_out_and_named(tmp_path: Path) -> None:
    is_edge = [None, *[True, False] * 5, True]  # with one missing, pandas reads objects
    frame = _frame().assign(note="fine", is_edge=is_edge, Metadata_who="me")
    profiles = _read(frame, tmp_path)
    assert profiles.feature_names == ("Cells_a", "Cells_b", "Nuclei_a")
    assert profiles.notes == ("2 columns that do not hold numbers left out: note, is_edge",)


def test_a_pattern_that_matches_text_is_refused(tmp_path: Path) -> None:
    columns = ProfileColumns("Metadata_compound", "Metadata_batch", features=("Cells_",))
    with pytest.raises(PlatewiseError, match=r"'Cells_note' .* first in row 1: 'fine'"):
        _read(_frame().assign(Cells_note="fine"), tmp_path, columns)


def test_numbers_that_parquet_holds_as_text_are_numbers(tmp_path: Path) -> None:
    frame = _frame()
    path = tmp_path / "wells.parquet"
    frame.assign(Cells_b=frame["Cells_b"].map(repr)).to_parquet(path)
    profiles = read_profiles(str(path), COLUMNS)
    assert profiles.features_ND == pytest.approx(frame.iloc[:, 2:].to_numpy(), rel=1e-12)
    assert profiles.notes == ("1 columns of numbers written as text read as numbers: Cells_b",)


def test_two_columns_of_lists_need_a_choice(tmp_path: Path) -> None:
    frame = _frame()[["Metadata_compound", "Metadata_batch"]]
    frame = frame.assign(
        raw=[[float(i), 1.0] for i in range(12)], tvn=[[2.0 * i] for i in range(12)]
    )
    path = tmp_path / "wells.parquet"
    frame.to_parquet(path)
    with pytest.raises(PlatewiseError, match="'raw', 'tvn' hold lists"):
        read_profiles(str(path), COLUMNS)
    chosen = ProfileColumns("Metadata_compound", "Metadata_batch", features=("tvn",))
    assert read_profiles(str(path), chosen).features_ND[:, 0].tolist() == list(range(0, 24, 2))


@pytest.mark.parametrize("name", ["NA", "None", "nan", "null", "N/A"])
def test_a_name_that_pandas_takes_for_missing_is_a_name(tmp_path: Path, name: str) -> None:
    frame = _frame().replace("c1", name).replace("b1", name)
    columns = ProfileColumns("Metadata_compound", "Metadata_batch", controls=(name,))
    profiles = _read(frame, tmp_path, columns)
    assert set(profiles.label_N) == {"c0", name, "c2"} and set(profiles.experiment_N) == {
        "b0",
        name,
    }
    assert profiles.control_N.sum() == 4
    assert (
        f"{name!r} in 4 rows of column 'Metadata_compound' is read as a name" in profiles.notes[0]
    )


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_name_is_an_error_and_na_in_a_feature_is_missing(
    tmp_path: Path, empty: str
) -> None:
    frame = _frame()
    frame.loc[2, "Metadata_batch"] = empty
    with pytest.raises(PlatewiseError, match=r"'Metadata_batch' is empty in 1 of 12 rows.* row 3"):
        _read(frame, tmp_path)
    dropping = ProfileColumns("Metadata_compound", "Metadata_batch", missing="drop-rows")
    assert len(_read(frame, tmp_path, dropping).label_N) == 11
    frame = _frame().astype({"Cells_a": object})
    frame.loc[4, "Cells_a"] = "NA"
    with pytest.raises(PlatewiseError, match=r"'Cells_a' has 1 of 12 values missing.* row 5"):
        _read(frame, tmp_path)


def test_names_in_the_index_of_parquet_are_found_and_others_are_no_features(
    tmp_path: Path,
) -> None:
    frame = _frame().assign(cell=range(12)).set_index(["Metadata_compound", "cell"])
    frame.to_parquet(tmp_path / "wells.parquet")
    profiles = read_profiles(str(tmp_path / "wells.parquet"), COLUMNS)
    assert profiles.label_N.tolist() == _frame()["Metadata_compound"].tolist()
    assert profiles.feature_names == ("Cells_a", "Cells_b", "Nuclei_a")


@pytest.mark.parametrize(
    ("suffix", "separator", "decimal", "words"),
    [
        ("csv", ";", ".", "semicolons"),
        ("csv", ";", ",", "semicolons with decimal commas"),
        ("csv", "\t", ".", "tabs"),
        ("tsv", "\t", ",", "tabs with decimal commas"),
        ("tsv", ",", ".", "commas"),
    ],
)
def test_other_separators_are_read_and_said(
    tmp_path: Path, suffix: str, separator: str, decimal: str, words: str
) -> None:
    frame, path = _frame(), tmp_path / f"wells.{suffix}"
    frame.to_csv(path, index=False, sep=separator, decimal=decimal)
    profiles = read_profiles(str(path), COLUMNS)
    assert profiles.features_ND == pytest.approx(frame.iloc[:, 2:].to_numpy(), rel=1e-12)
    assert profiles.notes == (f"the file is separated by {words}, and was read so",)


def test_a_misspelt_column_of_a_file_with_semicolons_has_its_nearest_name(tmp_path: Path) -> None:
    path = tmp_path / "wells.csv"
    _frame().to_csv(path, index=False, sep=";")
    with pytest.raises(PlatewiseError, match="did you mean 'Metadata_compound'"):
        read_profiles(str(path), ProfileColumns("compound", "batch"))


def test_a_name_with_a_comma_makes_no_decimal_comma(tmp_path: Path) -> None:
    frame, path = _frame().replace("c1", "1,5"), tmp_path / "wells.tsv"
    frame.to_csv(path, index=False, sep="\t")
    profiles = read_profiles(str(path), COLUMNS)
    assert profiles.features_ND == pytest.approx(frame.iloc[:, 2:].to_numpy(), rel=1e-12)
    assert "1,5" in profiles.label_N and profiles.notes == ()


def test_rows_that_end_in_a_comma_stay_in_their_columns(tmp_path: Path) -> None:
    path = tmp_path / "trailing.csv"
    header, *rows = _frame().to_csv(index=False).splitlines()
    path.write_text("\n".join([header, *(f"{row}," for row in rows)]))
    read = read_profiles(str(path), COLUMNS)
    expected = _read(_frame(), tmp_path)
    np.testing.assert_array_equal(read.features_ND, expected.features_ND)
    path.write_text("\n".join([header, *(f"{row},7" for row in rows)]))
    with pytest.raises(PlatewiseError, match="Length of header"):
        read_profiles(str(path), COLUMNS)
