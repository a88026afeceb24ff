"""Prediction rows: files and wells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trainer import predictions, schema
from trainer.errors import PlatewiseError
from trainer.manifest import Manifest, write_manifest
from trainer.predictions import Columns


def rows(n_wells: int = 3, n_classes: int = 4, baseline: bool = True) -> Columns:
    """Two sites a well, in an order in which wells are not sorted."""
    rng = np.random.default_rng(0)
    n = 2 * n_wells
    well = [f"B{10 - i // 2:02d}" for i in range(n)]
    site = [1 + i % 2 for i in range(n)]
    table: Columns = {
        schema.SITE_ID: [f"HUVEC-01_1_{w}_{s}" for w, s in zip(well, site, strict=True)],
        schema.WELL_ID: [f"HUVEC-01_1_{w}" for w in well],
        schema.EXPERIMENT: ["HUVEC-01"] * n,
        schema.PLATE_ID: ["HUVEC-01_1"] * n,
        schema.WELL: well,
        schema.CELL_TYPE: ["HUVEC"] * n,
        schema.WELL_TYPE: [schema.WELL_TREATMENT] * n,
        schema.TREATMENT: [f"s{w}" for w in well],
        schema.LEVEL: [schema.LEVEL_SITE] * n,
        predictions.SPLIT: ["eval"] * n,
    }
    table = {key: np.array(values, object) for key, values in table.items()}
    table[schema.SITE] = np.array(site)
    table[schema.LABEL] = np.repeat(np.arange(n_wells), 2) - 1
    table[schema.PLATE_KNOWN] = np.array([1] * (n - 1) + [0])
    table[schema.N_SITES] = np.ones(n, np.int64)
    table[schema.PROBABILITIES] = rng.dirichlet(np.ones(n_classes), n).astype(np.float32)
    if baseline:
        table[schema.BASELINE_PROBABILITIES] = table[schema.PROBABILITIES][::-1].copy()
    table[schema.EMBEDDING] = rng.normal(size=(n, 5)).astype(np.float32)
    for key in predictions.FIDELITY_COLUMNS:
        table[key] = np.full((n, 2), np.nan, np.float32)
        table[key][0] = (1.5, 2.5)
    return table


def written(folder: Path, table: Columns) -> str:
    shard = predictions.write_plate(str(folder), "eval", "HUVEC-01_1", table)
    write_manifest(str(folder), Manifest((shard,), 2, 8, 8))
    return str(folder)


def assert_same(found: Columns, expected: Columns) -> None:
    assert found.keys() == expected.keys()
    for key in expected:
        assert found[key].dtype == expected[key].dtype
        np.testing.assert_array_equal(found[key], expected[key], err_msg=key)


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    table = predictions.join([rows(), predictions.well_rows(rows())])
    assert_same(predictions.read_rows(written(tmp_path, table)), table)
    assert list(tmp_path.rglob("*.tmp")) == []


@settings(max_examples=25, deadline=None)
@given(
    values=hnp.arrays(np.float32, (6, 4), elements=st.floats(0, 1, width=32)),
    text=st.lists(st.text(max_size=8), min_size=6, max_size=6),
)
def test_any_floats_and_text_survive(tmp_path_factory, values, text) -> None:
    table = rows(baseline=False) | {schema.PROBABILITIES: values}
    table[schema.TREATMENT] = np.array(text, object)
    folder = tmp_path_factory.mktemp("rows")
    assert_same(predictions.read_rows(written(folder, table)), table)


def test_wells_are_what_pandas_groups(tmp_path: Path) -> None:
    sites = rows(n_wells=5)
    wells = predictions.well_rows(sites)
    frame = pd.DataFrame(sites[schema.PROBABILITIES].astype(np.float64))
    grouped = frame.groupby(sites[schema.WELL_ID], sort=False)
    np.testing.assert_allclose(wells[schema.PROBABILITIES], grouped.mean(), rtol=1e-6)
    assert list(wells[schema.WELL_ID]) == list(grouped.mean().index)
    assert list(wells[schema.SITE_ID]) == list(wells[schema.WELL_ID])
    assert set(wells[schema.LEVEL]) == {schema.LEVEL_WELL}
    assert list(wells[schema.SITE]) == [0] * 5 and list(wells[schema.N_SITES]) == [2] * 5
    assert list(wells[schema.LABEL]) == [-1, 0, 1, 2, 3]
    assert list(wells[schema.PLATE_KNOWN]) == [1, 1, 1, 1, 0]
    assert np.isnan(wells[schema.PSNR_NOISY]).all()


def test_a_well_with_one_site_equals_it() -> None:
    sites = predictions.select(rows(), np.array([True] + [False] * 5))
    wells = predictions.well_rows(sites)
    np.testing.assert_array_equal(wells[schema.PROBABILITIES], sites[schema.PROBABILITIES])
    assert list(wells[schema.N_SITES]) == [1]


def test_damage_and_absence_are_named(tmp_path: Path) -> None:
    folder = written(tmp_path, rows())
    with pytest.raises(PlatewiseError, match=r"no predictions in test; it has: eval"):
        predictions.read_rows(folder, ["test"])
    shard = next(tmp_path.glob("Split-eval/*"))
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(PlatewiseError, match="HUVEC-01_1-00000-of-00001 has"):
        predictions.read_rows(folder)


def test_top_k_keeps_the_largest() -> None:
    probabilities = np.array([[0.1, 0.4, 0.3, 0.2], [0.25, 0.25, 0.25, 0.25]], np.float32)
    kept = predictions.keep_top_k(probabilities, 2)
    np.testing.assert_array_equal(kept, np.float32([[0, 0.4, 0.3, 0], [0.25, 0.25, 0, 0]]))
    for k in (0, 4, 9):
        np.testing.assert_array_equal(predictions.keep_top_k(probabilities, k), probabilities)
