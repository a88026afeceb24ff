"""Warnings and errors that say what to do about a screen that is nearly right."""

from __future__ import annotations

import os

import pytest

from components.plate_example_gen.check import check_screen
from components.plate_example_gen.config import QualityConfig, ScreenConfig
from components.plate_example_gen.storage import StorageError


def advice(root) -> list[str]:
    lenient = QualityConfig(max_excluded_share=1.0, decode=False)
    report = check_screen(ScreenConfig(str(root)), None, lenient)
    return list(report.facts["warnings_list"])


def test_wells_without_a_treatment_are_told(tables_only):
    for site in (1, 2):
        tables_only.row(f"RPE-01_1_B03_{site}")["sirna"] = ""
    assert advice(tables_only.root) == []
    tables_only.write_table()
    assert advice(tables_only.root) == [
        "1 treatment wells of labelled experiments name no treatment, so nothing is learnt from "
        "them: metadata.csv line 20"
    ]


def test_tables_of_controls_that_are_not_there_are_told(tmp_path):
    folder = tmp_path / "train" / "RPE-01" / "Plate1"
    folder.mkdir(parents=True)
    (tmp_path / "train.csv").write_text("id_code,sirna\nRPE-01_1_B03,5\n")
    (folder / "B03_s1_w1.png").write_bytes(b"x")
    assert not any("controls" in warning for warning in advice(tmp_path))
    (folder / "B02_s1_w1.png").write_bytes(b"x")
    absent = "test.csv, train_controls.csv, test_controls.csv are not there, which would name"
    assert sum(warning.startswith(absent) for warning in advice(tmp_path)) == 1


def test_a_folder_that_cannot_be_listed_is_no_empty_one(small_screen, monkeypatch):
    closed, scandir = str(small_screen.root / "images" / "RPE-01"), os.scandir

    def refuse(path):  # root may list everything, so the system's refusal is put in its place
        if path == closed:
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(StorageError, match=r"RPE-01 \(Permission denied\); make it readable"):
        advice(small_screen.root)
