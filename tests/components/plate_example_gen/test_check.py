"""What is wrong with a screen, counted and listed, without a pipeline."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from components.plate_example_gen.check import check_screen
from components.plate_example_gen.config import QualityConfig, ScreenConfig, SplitConfig
from components.plate_example_gen.screen import ScreenError
from components.plate_example_gen.storage import StorageError

LENIENT = QualityConfig(max_excluded_share=1.0)


def check(small, splits=None, quality=LENIENT, **options):
    return check_screen(ScreenConfig(str(small.root), **options), splits, quality)


def counts(report) -> dict[str, int]:
    names = ("expected", "found", "complete", "incomplete", "corrupt", "missing")
    facts = report.to_json()
    return {name: facts[f"sites_{name}"] for name in names}


WHOLE = {
    "expected": 48, "found": 48, "complete": 48, "incomplete": 0, "corrupt": 0, "missing": 0,
}  # fmt: skip


def test_a_whole_screen_passes(small_screen):
    report = check(small_screen, quality=QualityConfig())
    assert counts(report) == WHOLE
    facts = report.to_json()
    assert not report.failed
    assert not facts["failed"]
    assert (facts["rows"], facts["plates"], facts["experiments"]) == (48, 6, 6)
    assert (facts["height_px"], facts["width_px"], facts["files_found"]) == (24, 24, 288)
    assert facts["splits"]["eval"]["experiments_list"] == ["HUVEC-17", "RPE-09"]
    assert report.summary().endswith("passed")
    json.dumps(facts)


def test_missing_incomplete_and_unnamed_files(small_screen):
    for path in small_screen.paths("RPE-01_1_B03_1"):
        path.unlink()
    small_screen.paths("RPE-01_1_B04_2")[4].unlink()
    stray = small_screen.paths("RPE-01_1_B04_2")[0].with_name("Z99_s1_w1.png")
    stray.write_bytes(b"x")
    elsewhere = small_screen.root / "images" / "OLD-01" / "Plate1" / "B02_s1_w1.png"
    elsewhere.parent.mkdir(parents=True)
    elsewhere.write_bytes(b"x")
    report = check(small_screen)
    assert counts(report) == WHOLE | {"found": 47, "complete": 46, "incomplete": 1, "missing": 1}
    facts = report.to_json()
    assert facts["sites_missing_list"] == ["RPE-01_1_B03_1"]
    assert facts["sites_incomplete_list"] == ["RPE-01_1_B04_2"]
    assert facts["rows_without_files"] == 1
    path = "images/RPE-01/Plate1/B03_s1_w1.png"
    row = {"table": "metadata.csv", "line": 20, "id": "RPE-01_1_B03_1", "path": path}
    assert facts["rows_without_files_list"] == [row]
    assert not any("leading zeros" in warning for warning in facts["warnings_list"])
    assert facts["files_without_rows_list"] == [
        "images/OLD-01/Plate1/B02_s1_w1.png",
        "images/RPE-01/Plate1/Z99_s1_w1.png",
    ]
    letter = facts["dead_letters_list"][0]
    assert letter["path"] == "images/RPE-01/Plate1/B04_s2_w5.png"
    assert letter["reason"] == "incomplete site: 5 of 6 channels, without channel 5"
    assert letter["row"] == "metadata.csv line 23"
    assert f"metadata.csv line 20: RPE-01_1_B03_1, such as {path}" in report.summary()


@pytest.mark.parametrize(
    ("change", "asked", "there"),
    [
        (lambda name: name.replace(".png", ".PNG"), "B02_s1_w1.png", "B02_s1_w1.PNG"),
        (lambda name: name.replace("0", "", 1), "B02_s1_w1.png", "B2_s1_w1.png"),
    ],
)
def test_names_that_nearly_meet_are_told_not_guessed(small_screen, change, asked, there):
    for path in small_screen.root.rglob("*.png"):
        path.rename(path.with_name(change(path.name)))
    report = check(small_screen)
    assert counts(report)["missing"] == 48
    advice = next(w for w in report.to_json()["warnings_list"] if w.startswith("48 rows miss"))
    folder = "images/HUVEC-01/Plate1"
    assert f"asks for {folder}/{asked}, and there is {folder}/{there}; rename" in advice


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda good: good[: len(good) // 2], "cut within a chunk"),
        (lambda good: good[:-12], "IEND"),
        (lambda good: b"\xff\xd8\xff\xe0" + good, "not a PNG but a JPEG"),
        (lambda good: b"", "empty file"),
        (lambda good: good + bytes(4 << 20), "bytes or more, where at most"),
    ],
)
def test_a_corrupt_file_drops_its_site_and_is_listed(small_screen, harm, reason):
    path = small_screen.paths("RPE-01_1_B03_1")[2]
    path.write_bytes(harm(path.read_bytes()))
    report = check(small_screen)
    assert counts(report) == WHOLE | {"complete": 47, "corrupt": 1}
    facts = report.to_json()
    assert facts["corrupt"] == 1
    assert facts["corrupt_list"] == ["images/RPE-01/Plate1/B03_s1_w3.png"]
    letter = facts["dead_letters_list"][0]
    assert reason in letter["reason"]
    assert letter["site_id"] == "RPE-01_1_B03_1"
    content = path.read_bytes()
    if 0 < len(content) < 1 << 20:
        assert letter["digest"] == hashlib.sha256(content).hexdigest()


def test_the_size_of_the_majority_counts(small_screen, to_png):
    for path in small_screen.paths("HUVEC-01_1_B02_1"):
        path.write_bytes(to_png(np.zeros((12, 12), np.uint8)))
    facts = check(small_screen).to_json()
    assert facts["sites_corrupt_list"] == ["HUVEC-01_1_B02_1"]
    assert (facts["height_px"], facts["width_px"]) == (24, 24)
    assert "12 x 12 pixels, where the screen has 24 x 24" in facts["dead_letters_list"][0]["reason"]
    configured = check(small_screen, height_px=12, width_px=12)
    assert counts(configured) == WHOLE | {"complete": 1, "corrupt": 47}


def test_an_unreadable_folder_in_place_of_a_file(small_screen):
    path = small_screen.paths("RPE-01_1_B03_1")[2]
    path.unlink()
    path.mkdir()
    assert counts(check(small_screen)) == WHOLE | {"complete": 47, "incomplete": 1}


def test_a_pipe_in_place_of_a_file_does_not_hang(small_screen):
    path = small_screen.paths("RPE-01_1_B03_1")[2]
    path.unlink()
    os.mkfifo(path)
    assert counts(check(small_screen)) == WHOLE | {"complete": 47, "incomplete": 1}


def test_headers_alone(small_screen):
    cut = small_screen.paths("RPE-01_1_B03_1")[2]
    cut.write_bytes(cut.read_bytes()[:-20])
    harmed = small_screen.paths("RPE-01_1_B04_1")[2]
    content = bytearray(harmed.read_bytes())
    content[200] ^= 1
    harmed.write_bytes(content)
    headers = check(small_screen, quality=QualityConfig(max_excluded_share=1.0, decode=False))
    assert headers.to_json()["corrupt_list"] == ["images/RPE-01/Plate1/B03_s1_w3.png"]
    assert check(small_screen).to_json()["corrupt"] == 2


def test_the_threshold(small_screen):
    small_screen.paths("RPE-01_1_B03_1")[2].unlink()
    report = check(small_screen, quality=QualityConfig(max_excluded_share=0.02))
    assert report.failed
    assert "1 of 48 sites (2.08 %) are left out" in report.summary()
    assert not check(small_screen, quality=QualityConfig(max_excluded_share=0.03)).failed


def test_too_many_unnamed_files_fail_too(small_screen):
    for i in range(9):
        (small_screen.root / f"copy{i}.png").write_bytes(b"x")
    report = check(small_screen, quality=QualityConfig())
    assert report.failed
    assert "9 image files (3.03 %) have no table row" in report.reasons[0]


def test_contradictions_fail_whatever_the_threshold(small_screen):
    small_screen.row("RPE-01_1_B03_2")["sirna"] = "s2"
    small_screen.write_table()
    report = check(small_screen)
    assert report.failed
    assert report.to_json()["errors"] == 1
    assert "two labels for well RPE-01_1_B03" in report.to_json()["errors_list"][0]


def test_a_class_whose_training_sites_are_all_bad(small_screen):
    for row in small_screen.rows:
        if row["sirna"] == "s10" and row["dataset"] == "train":
            small_screen.paths(row["site_id"])[0].unlink()
    report = check(small_screen)
    assert "split eval has classes whose training sites are all left out: s10" in report.reasons[0]


def test_a_split_that_lost_everything(small_screen):
    for row in small_screen.rows:
        if row["dataset"] == "test":
            small_screen.paths(row["site_id"])[0].unlink()
    assert any("split eval has no complete site" in r for r in check(small_screen).reasons)


def test_experiments_left_out_are_neither_missing_nor_strays(small_screen):
    splits = SplitConfig(mode="experiments", train=("HUVEC-01",), eval=("HUVEC-02",))
    report = check(small_screen, splits, QualityConfig())
    assert not report.failed
    assert counts(report) == dict.fromkeys(("expected", "found", "complete"), 16) | dict.fromkeys(
        ("incomplete", "corrupt", "missing"), 0
    )
    assert report.to_json()["files_without_rows"] == 0


def test_an_outlier_plate_is_told(tmp_path, build_screen, to_png):
    small = build_screen(tmp_path / "screen", plates=4)
    for row in small.rows:
        if row["experiment"] == "RPE-02" and row["plate"] == "3":
            path = small.paths(row["site_id"])[1]
            path.write_bytes(to_png(small.images[row["site_id"]][1] // 4))
    outliers = check(small).to_json()["outlier_plates_list"]
    assert [plate["plate_id"] for plate in outliers] == ["RPE-02_3"]
    assert "w2 intensity z = -" in outliers[0]["reason"]


def test_the_leak_through_plate_groups_is_told(tmp_path, build_screen):
    small = build_screen(tmp_path / "screen", plates=2)
    for row in small.rows:
        if row["sirna"] != "EMPTY":
            row["sirna"] = f"{row['sirna']}{row['plate']}"
    small.write_table()
    report = check(small)
    assert report.to_json()["plate_groups"]["sizes"] == [3, 3]
    assert "2 fixed plate groups (3 + 3) over 6 experiments" in report.summary()


def test_a_flat_folder_of_all_plates(small_screen):
    flat = small_screen.root / "flat"
    flat.mkdir()
    for row in small_screen.rows:
        for channel, path in enumerate(small_screen.paths(row["site_id"]), start=1):
            path.rename(flat / f"{row['well_id']}-{row['site']}-{channel}.png")
    (flat / "stray.png").write_bytes(b"")
    template = "flat/{experiment}_{plate}_{well}-{site}-{channel}.png"
    report = check(small_screen, path_template=template)
    assert counts(report) == WHOLE
    assert report.to_json()["files_without_rows_list"] == ["flat/stray.png"]


def test_a_linked_folder_is_followed_once(small_screen):
    images = small_screen.root / "images"
    images.rename(small_screen.root.parent / "elsewhere")
    images.symlink_to(small_screen.root.parent / "elsewhere", target_is_directory=True)
    (images / "loop").symlink_to(images, target_is_directory=True)
    assert counts(check(small_screen)) == WHOLE


def test_scoring_a_folder_without_any_table(small_screen):
    (small_screen.root / "metadata.csv").unlink()
    with pytest.raises(ScreenError, match=r"has no table that we know: neither metadata\.csv"):
        check(small_screen)
    report = check(small_screen, SplitConfig(mode="score"))
    assert counts(report) == WHOLE
    assert report.to_json()["splits"]["score"]["experiments"] == 6
    report = check_screen(
        ScreenConfig(str(small_screen.root / "images")), SplitConfig(mode="score")
    )
    assert counts(report) == WHOLE


def test_a_folder_that_is_no_screen(tmp_path):
    for splits in (SplitConfig(), SplitConfig(mode="score")):
        with pytest.raises(ScreenError, match="table that we know"):
            check_screen(ScreenConfig(str(tmp_path)), splits)


def test_a_folder_that_is_not_there(tmp_path):
    (tmp_path / "file").write_text("")
    for name, what in (("nowhere", "is not there"), ("file", "is a file, not a folder")):
        with pytest.raises(StorageError, match=f"{name} {what}"):
            check_screen(ScreenConfig(str(tmp_path / name)))


def test_a_table_without_one_good_row_says_why(small_screen):
    for row in small_screen.rows:
        row["site"] += ".0"  # as pandas writes a column of integers with a gap
    small_screen.write_table()
    with pytest.raises(ScreenError, match=r"metadata\.csv line 2: column site is '1\.0'"):
        check(small_screen)


def test_it_starts_without_tensorflow_and_tfx(small_screen):
    script = (
        "import sys\n"
        "from components.plate_example_gen.check import check_screen\n"
        "from components.plate_example_gen.config import ScreenConfig\n"
        f"report = check_screen(ScreenConfig({str(small_screen.root)!r}))\n"
        "heavy = {'tensorflow', 'tfx', 'apache_beam', 'pandas'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy or report.failed else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
