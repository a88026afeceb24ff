"""Scoring outputs read back with pandas and pyarrow, against NumPy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from components.report.scoring import sirna_numbers, write_scoring_outputs

CLASSES = tuple(str(i) for i in range(12))


def chunk(plate: int, wells: int = 4, seed: int = 0, classes: int = 12) -> dict[str, np.ndarray]:
    """Rows of one plate: two sites a well, then the wells."""
    generator = np.random.default_rng([seed, plate])
    names = [f"HUVEC-01_{plate}_B{w + 2:02d}" for w in range(wells)]
    sites = [(w, s) for w in range(wells) for s in (1, 2)]
    rows = [*sites, *[(w, 0) for w in range(wells)]]
    text = {
        "experiment": "HUVEC-01",
        "plate_id": f"HUVEC-01_{plate}",
        "cell_type": "HUVEC",
        "well_type": "treatment",
        "treatment": "",
    }
    columns: dict[str, np.ndarray] = {
        key: np.array([value] * len(rows), object) for key, value in text.items()
    }
    columns["well_id"] = np.array([names[w] for w, _ in rows], object)
    columns["well"] = np.array([names[w].split("_")[2] for w, _ in rows], object)
    columns["site_id"] = np.array([f"{names[w]}_{s}" if s else names[w] for w, s in rows], object)
    columns["site"] = np.array([s for _, s in rows])
    columns["level"] = np.array(["site" if s else "well" for _, s in rows], object)
    columns["n_sites"] = np.array([1 if s else 2 for _, s in rows])
    columns["plate_known"] = np.array([int(plate != 2)] * len(rows))
    columns["probabilities"] = generator.dirichlet(np.ones(classes), len(rows)).astype(np.float32)
    columns["embedding"] = generator.normal(size=(len(rows), 3)).astype(np.float32)
    return columns


def test_tables_hold_what_was_predicted(tmp_path):
    chunks = [chunk(1), chunk(2)]
    written = write_scoring_outputs(iter(chunks), tmp_path, CLASSES)
    assert (written.n_sites, written.n_wells, written.n_submission_rows) == (16, 8, 8)
    for level, name, n in (("site", "sites", 16), ("well", "wells", 8)):
        probabilities = np.concatenate([c["probabilities"][c["level"] == level] for c in chunks])
        embedding = np.concatenate([c["embedding"][c["level"] == level] for c in chunks])
        known = np.concatenate([c["plate_known"][c["level"] == level] for c in chunks])
        parquet = pq.read_table(tmp_path / f"predictions_{name}.parquet").to_pandas()
        table = pd.read_csv(
            tmp_path / f"predictions_{name}.csv", dtype={"predicted": str, "probability": "f4"}
        )
        assert len(table) == len(parquet) == n
        for found in (table, parquet):
            assert found["predicted"].tolist() == [CLASSES[i] for i in probabilities.argmax(axis=1)]
            assert (found["probability"].to_numpy() == probabilities.max(axis=1)).all()
            fifth = np.sort(probabilities, axis=1)[:, -5]
            assert found["probability_5"].to_numpy() == pytest.approx(fifth)
            assert found["plate_known"].tolist() == known.tolist()
        assert "embedding" not in table
        assert (np.stack(parquet["embedding"]) == embedding).all()
        both = [c for c in parquet if c != "embedding"]
        assert list(table) == both
        assert table["well_id"].tolist() == parquet["well_id"].tolist()
    assert "site_id" in parquet or "n_sites" in parquet


def test_a_temperature_of_wells_is_for_wells(tmp_path):
    rows = chunk(1)
    write_scoring_outputs([rows], tmp_path, CLASSES, temperature=0.5)
    squares = rows["probabilities"][rows["level"] == "well"].astype(float) ** 2
    expected = (squares / squares.sum(axis=1, keepdims=True)).max(axis=1)
    wells = pd.read_csv(tmp_path / "predictions_wells.csv")
    np.testing.assert_allclose(wells["calibrated_probability"], expected, rtol=1e-5)
    assert "calibrated_probability" not in pd.read_csv(tmp_path / "predictions_sites.csv")


def test_submission_is_sorted_integers_of_treatment_wells(tmp_path):
    plates = [chunk(2), chunk(1)]
    plates[0]["well_type"][:] = "positive_control"
    classes = [f"sirna_{i}" for i in (*range(11), 1120)]
    plates[1]["probabilities"][:, 11] = 1  # a control's class must not be submitted
    write_scoring_outputs(plates, tmp_path, classes)
    lines = (tmp_path / "submission.csv").read_text().splitlines()
    wells = plates[1]["level"] == "well"
    best = plates[1]["probabilities"][wells][:, :11].argmax(axis=1)
    assert lines == ["id_code,sirna"] + [
        f"{code},{i}" for code, i in zip(plates[1]["well_id"][wells], best, strict=True)
    ]


@pytest.mark.parametrize(("labelled", "plates"), [((1,), {"2", "3"}), ((1, 2, 3), {"1", "2", "3"})])
def test_wells_that_the_tables_label_are_not_submitted_beside_others(tmp_path, labelled, plates):
    """Kaggle's folder holds train.csv beside test.csv, and scoring reads all of it."""
    chunks = [chunk(plate) for plate in (1, 2, 3)]
    for plate in labelled:
        chunks[plate - 1]["treatment"][:] = "7"
    written = write_scoring_outputs(chunks, tmp_path, CLASSES)
    lines = (tmp_path / "submission.csv").read_text().splitlines()[1:]
    assert {line.split("_")[1] for line in lines} == plates
    assert written.n_submission_rows == len(lines) == 4 * len(plates)


@pytest.mark.parametrize(
    ("classes", "numbers"),
    [
        (["0", "7", "1107"], [0, 7, 1107]),
        (["sirna_250", "SIRNA_3"], [250, 3]),
        (["sirna_250", "sirna_1108", "UNTREATED"], [250, 1108, 1138]),
        (["250", "EMPTY"], [250, 1138]),
        (["A", "1"], None),
        (["1", "sirna_1"], None),
        ([], None),
    ],
)
def test_sirna_numbers(classes, numbers):
    assert sirna_numbers(classes) == numbers


def test_no_submission_says_why(tmp_path):
    named = [f"compound {i}" for i in range(12)]
    assert "not siRNA" in write_scoring_outputs([chunk(1)], tmp_path, named).no_submission_because
    odd = chunk(1)
    odd["well_id"][:] = "well 7"
    written = write_scoring_outputs([odd], tmp_path, CLASSES)
    assert "'well 7' is not of the form" in written.no_submission_because
    assert write_scoring_outputs([], tmp_path, CLASSES).no_submission_because.startswith("no treat")
    assert not (tmp_path / "submission.csv").exists()


def test_an_earlier_submission_that_no_longer_fits_is_removed(tmp_path):
    write_scoring_outputs([chunk(1)], tmp_path, CLASSES)
    assert (tmp_path / "submission.csv").exists()
    write_scoring_outputs([chunk(1)], tmp_path, [f"x{i}" for i in range(12)])
    assert not (tmp_path / "submission.csv").exists()


def test_fewer_than_five_classes(tmp_path):
    write_scoring_outputs([chunk(1, classes=3)], tmp_path, CLASSES[:3])
    table = pd.read_csv(tmp_path / "predictions_wells.csv")
    assert "probability_3" in table and "probability_4" not in table


def test_a_failure_leaves_no_half_written_file(tmp_path):
    def broken():
        yield chunk(1)
        raise RuntimeError("the shard ends here")

    with pytest.raises(RuntimeError, match="ends here"):
        write_scoring_outputs(broken(), tmp_path, CLASSES)
    assert list(tmp_path.iterdir()) == []


def test_equal_probabilities_name_the_first_class(tmp_path):
    rows = chunk(1)
    rows["probabilities"][:] = 1 / 12
    write_scoring_outputs([rows], tmp_path, CLASSES)
    table = pd.read_csv(tmp_path / "predictions_wells.csv")
    assert set(table["predicted"]) == {0} and set(table["predicted_2"]) == {1}
