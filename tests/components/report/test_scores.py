"""Accuracies of slices against pandas and the interval functions."""

from __future__ import annotations

import pandas as pd
import pytest

from components.report import restoration, scores
from trainer.metrics.intervals import clustered_interval, wilson_interval


def wells_of(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows.level == "well"]


def test_headline_is_the_share_of_right_wells(rows):
    top = scores.headline(rows, 50)
    wells = wells_of(rows)
    assert top.well.n == 180
    assert top.well.value == pytest.approx((wells["rank"] == 0).mean())
    assert top.well == clustered_interval(
        wells["rank"] == 0, wells["plate_id"], wells["experiment"]
    )
    assert top.chance == 0.02
    by_experiment = (wells["rank"] == 0).groupby(wells["experiment"]).mean()
    assert top.mean_over_experiments == pytest.approx(by_experiment.mean())


def test_controls_unknown_labels_and_other_splits_do_not_count(rows):
    before = scores.headline(rows, 50)
    others = [
        rows.assign(well_type="positive_control", rank=0),
        rows.assign(label=-1, rank=-1),
        rows.assign(split="train", rank=0),
        rows.assign(split="id_test", rank=0),
    ]
    assert scores.headline(pd.concat([rows, *others]), 50) == before


def test_experiments_are_worst_first_within_their_cell_type(rows):
    table = scores.experiments(rows, {}, {})
    assert [e.name for e in table] == ["U2OS-04", "HUVEC-18", "HUVEC-17"]
    wells = wells_of(rows)
    for row in table:
        right = wells[wells.experiment == row.name]["rank"] == 0
        assert row.well.value == pytest.approx(right.mean())
        assert (row.well.low, row.well.high) == wilson_interval(int(right.sum()), len(right))
        assert [p.plate_id for p in row.plates] == [f"{row.name}_1", f"{row.name}_2"]
        assert sum(p.well.n for p in row.plates) == row.well.n == 60
        assert row.site.n == 120
        assert sum(s.n for p in row.plates for s in p.sites.values()) == 120


def test_an_experiment_that_lost_every_site_is_shown_with_no_rows(rows):
    table = scores.experiments(rows, {"RPE-08": 60, "HUVEC-17": 120}, {"RPE-08": "RPE"})
    lost = table[0]
    assert (lost.name, lost.cell_type, lost.well.n, lost.well.value) == ("RPE-08", "RPE", 0, None)
    assert lost.plates == ()


def test_site_intervals_take_the_well_as_cluster(rows):
    doubled = rows.copy()
    # Both sites of a well alike: 60 wells are known, not 120 sites.
    doubled["rank"] = doubled.groupby("well_id")["rank"].transform("first")
    row = next(e for e in scores.experiments(doubled, {}, {}) if e.name == "HUVEC-17")
    assert row.site.high - row.site.low == pytest.approx(row.well.high - row.well.low, rel=0.05)


def test_cell_type_with_one_experiment_has_that_experiments_interval(rows):
    by_type = {row.name: row for row in scores.cell_types(rows)}
    experiment = next(e for e in scores.experiments(rows, {}, {}) if e.name == "U2OS-04")
    assert by_type["U2OS"].well == experiment.well
    assert by_type["HUVEC"].well.n == 120


def test_ladder_ends_at_the_headline(rows):
    top = scores.headline(rows, 50)
    rungs = {r.key: r for r in scores.ladder(rows, top)}
    assert rungs["per_well"].score == top.well and rungs["per_well"].headline
    assert rungs["chance"].value == 0.02
    sites = rows[rows.level == "site"]
    assert rungs["per_site"].value == pytest.approx((sites["rank"] == 0).mean())
    assert rungs["top5_per_well"].value == 1.0


def test_other_splits_are_apart(rows):
    both = pd.concat([rows, rows.assign(split="train"), rows.assign(split="unlabelled", label=-1)])
    (other,) = scores.other_splits(both)
    assert (other.split, other.n_experiments, other.well.n) == ("train", 3, 180)


def test_no_held_out_rows_give_no_value(rows):
    top = scores.headline(rows.assign(split="train"), 50)
    assert (top.well.n, top.well.value, top.commonest_share) == (0, None, None)
    assert scores.experiments(rows.assign(split="train"), {}, {}) == ()


def test_restoration_means_and_interval(rows):
    channels, n_plates = restoration.restoration(rows, ("nuclei", "actin"))
    assert n_plates == 6
    assert [c.channel for c in channels] == ["nuclei", "actin"]
    measured = rows[rows.psnr_denoised_db.map(len) > 0]
    gain = measured.psnr_denoised_db.map(lambda v: v[1]) - 22.0
    assert channels[1].n_sites == len(measured) == 36
    assert channels[1].gain_db == pytest.approx(gain.mean())
    assert channels[1].gain_low_db < gain.mean() < channels[1].gain_high_db
    assert (channels[0].ssim_noisy, channels[0].ssim_denoised) == pytest.approx((0.5, 0.8))


def test_restoration_of_one_plate_has_no_interval(rows):
    one = rows[rows.plate_id == "HUVEC-17_1"]
    channels, n_plates = restoration.restoration(one, ())
    assert (n_plates, channels[0].gain_low_db, channels[0].channel) == (1, None, "channel 1")


def test_nothing_measured_is_no_restoration(rows):
    assert restoration.restoration(rows[rows.level == "well"], ()) == ((), 0)


def test_scored_counts_wells_and_unknown_plates(rows):
    rows = rows.assign(label=-1, rank=-1)
    rows.loc[rows.plate_id == "U2OS-04_2", "plate_known"] = 0
    found = {e.experiment: e for e in scores.scored(rows)}
    assert found["U2OS-04"].n_plates_unknown == 1
    assert found["HUVEC-17"].n_plates_unknown == 0
    wells = rows[(rows.level == "well") & (rows.experiment == "HUVEC-17")]
    assert found["HUVEC-17"].mean_confidence == pytest.approx(wells.top1_probability.mean())
    assert sum(found["HUVEC-17"].confidence_bins) == found["HUVEC-17"].n_wells == 60
    assert found["HUVEC-17"].n_sites == 120
