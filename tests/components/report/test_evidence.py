"""The quality artifact as the page shows it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.plate_example_gen import quality as artifact
from components.plate_example_gen.storage import open_storage
from components.report.evidence import MOST_LETTERS, plate_group_text, read_screen_quality
from trainer.errors import PlatewiseError

GROUPS = {
    "sizes": [277, 277, 277, 277],
    "n_groups": 4,
    "n_experiments": 51,
    "chance": 1 / 1108,
    "chance_with_group": 1 / 277,
    "gain": 4.0,
    "group_from_plate_number": 0.5,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A quality artifact of two plates and 203 dead letters, through ingest's own writers."""
    storage = open_storage(str(tmp_path))
    facts = {
        "format": artifact.FORMAT,
        "channel_names": ["nuclei", "actin"],
        "warnings_list": [
            "leak through the plate layout: told elsewhere",
            "plate A_2 has no negative control",
        ],
        "plate_groups": GROUPS,
    }
    (tmp_path / artifact.QUALITY_NAME).write_text(json.dumps(facts))
    counts = {f"sites_{n}": 8 for n in ("expected", "found", "complete")}
    zero = {f"sites_{n}": 0 for n in ("incomplete", "corrupt", "missing")}
    base = {"experiment": "A", "cell_type": "RPE", "splits": "eval", **counts, **zero}
    plates = artifact.TableWriter(
        storage, f"{tmp_path}/{artifact.PLATES_NAME}", artifact.plate_columns(2, [50.0])
    )
    plates.write(base | {"plate_id": "A_1", "outlier": ""})
    plates.write(
        base
        | {"plate_id": "A_2", "sites_complete": 4, "sites_missing": 2, "sites_corrupt": 2}
        | {"outlier": "w2 focus z = +4.1; w1 intensity z = -5.0"}
    )
    plates.close()
    letters = artifact.TableWriter(
        storage,
        f"{tmp_path}/{artifact.DEAD_LETTERS_NAME}",
        ("path", "reason", "digest", "site_id", "row"),
    )
    letters.write({"path": "a.png", "reason": "=cmd()", "site_id": "A_1_B02_1", "row": "t line 2"})
    for i in range(202):
        letters.write({"path": f"{i}.png", "reason": f"incomplete site: {i} of 6", "row": "t"})
    letters.close()
    artifact.TableWriter(
        storage, f"{tmp_path}/{artifact.SITES_NAME}", artifact.site_columns(2)
    ).close()
    return tmp_path


def test_plates_and_their_outliers(folder):
    first, second = read_screen_quality(str(folder)).plates
    assert (first.plate_id, first.cell_type, first.sites_used, first.outlier) == (
        "A_1",
        "RPE",
        8,
        "",
    )
    assert (second.sites_expected, second.sites_used) == (8, 4)
    assert (second.sites_missing, second.sites_corrupt, second.sites_incomplete) == (2, 2, 0)
    assert second.outlier == "actin focus z = +4.1; nuclei intensity z = -5.0"


def test_dead_letters_are_counted_in_full_and_listed_in_part(folder):
    quality = read_screen_quality(str(folder))
    assert quality.n_dead_letters == 203 and len(quality.dead_letters) == MOST_LETTERS
    assert quality.reasons == {"incomplete site": 202, "=cmd()": 1}
    assert quality.dead_letters[0].path == "a.png"
    assert quality.dead_letters[0].detail == "site A_1_B02_1, t line 2"
    assert quality.warnings == ("plate A_2 has no negative control",)


def test_plate_groups_in_words():
    text = plate_group_text(GROUPS)
    assert "4 fixed groups (277 + 277 + 277 + 277) over 51 experiments" in text
    assert "0.36 % of wells instead of 0.09 % (4.0 times as often)" in text
    assert plate_group_text(None).startswith("None found")


def test_an_artifact_that_is_not_whole_is_refused(folder):
    (folder / artifact.PLATES_NAME).unlink()
    with pytest.raises(PlatewiseError, match="not whole"):
        read_screen_quality(str(folder))
