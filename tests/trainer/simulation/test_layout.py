from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from trainer import schema
from trainer.simulation import SimulationConfig, demo_config
from trainer.simulation.layout import (
    ORDER_ROTATIONS,
    screen_rows,
    sirna_names,
    well_name,
    wells_from_edge,
)


@pytest.fixture(scope="module")
def config() -> SimulationConfig:
    return demo_config(experiments_per_cell_type=8, test_experiments_per_cell_type=2)


@pytest.fixture(scope="module")
def rows(config):
    return screen_rows(config)


def test_wells_are_the_inner_wells_of_a_384_well_plate() -> None:
    names = [well_name(i) for i in range(308)]

    assert names[0] == "B02" and names[-1] == "O23"
    assert len(set(names)) == 308
    assert not any(name[0] in "AP" or name[1:] in ("01", "24") for name in names)
    assert wells_from_edge("B10") == wells_from_edge("H02") == wells_from_edge("O23") == 0
    assert wells_from_edge("H12") == 6


def test_every_treatment_stands_once_in_an_experiment(config, rows) -> None:
    seen = Counter((r.experiment, r.sirna_id) for r in rows if r.well_type == "treatment")

    assert set(seen.values()) == {config.sites_per_well}
    assert len(seen) == 32 * config.treatments


def test_controls_stand_on_every_plate(config, rows) -> None:
    n = config.treatments
    for plate in {(r.experiment, r.plate) for r in rows}:
        of_plate = [r for r in rows if (r.experiment, r.plate) == plate and r.site == 1]
        positive = [r for r in of_plate if r.well_type == schema.WELL_POSITIVE]
        negative = [r for r in of_plate if r.well_type == schema.WELL_NEGATIVE]
        assert [r.sirna_id for r in sorted(positive, key=lambda r: r.sirna_id)] == [n, n + 1]
        assert [(r.sirna, r.sirna_id) for r in negative] == [("EMPTY", n + 2)]


def test_groups_are_fixed_and_stand_in_one_of_a_few_orders(rows) -> None:
    plates = defaultdict(set)
    for r in rows:
        if r.well_type == "treatment":
            plates[r.experiment, r.plate].add(r.sirna_id)
    groups = {frozenset(group) for group in plates.values()}
    first = [plates["HUVEC-01", p] for p in (1, 2, 3, 4)]
    orders = {
        tuple(first.index(plates[e, p]) for p in (1, 2, 3, 4))
        for e in {experiment for experiment, _ in plates}
    }

    assert len(groups) == 4
    assert 1 < len(orders) <= len(ORDER_ROTATIONS)


def test_the_well_does_not_give_the_treatment_away(rows) -> None:
    # Guess each well's treatment as the one seen most often at that well elsewhere.
    wells = [(r.experiment, r.well, r.sirna_id) for r in rows if r.site == 1 and r.sirna_id < 24]
    hits = total = 0
    for experiment, well, sirna_id in wells:
        others = Counter(s for e, w, s in wells if w == well and e != experiment)
        if others:
            hits, total = hits + (others.most_common(1)[0][0] == sirna_id), total + 1

    assert total > 500
    assert hits / total < 2.5 / 24


def test_held_out_experiments_are_the_last_of_each_cell_type(rows) -> None:
    test = {r.experiment for r in rows if r.dataset == "test"}
    train = {r.experiment for r in rows if r.dataset == "train"}

    assert test == {f"{c}-0{i}" for c in ("HUVEC", "RPE", "HEPG2", "U2OS") for i in (7, 8)}
    assert not test & train and len(train) == 24


def test_identifiers_follow_the_schema(rows) -> None:
    assert len({r.site_id for r in rows}) == len(rows)
    for r in rows:
        assert r.site_id == schema.site_id(r.experiment, r.plate, r.well, r.site)
        assert r.well_id == schema.well_id(r.experiment, r.plate, r.well)


def test_names_are_distinct_and_depend_on_the_seed() -> None:
    names = sirna_names(SimulationConfig())

    assert len(set(names)) == 1139 and names[-1] == "EMPTY"
    assert all(name[0] == "s" and name[1:].isdigit() for name in names[:-1])
    assert names[:-1] != sirna_names(SimulationConfig(seed=1))[:-1]
