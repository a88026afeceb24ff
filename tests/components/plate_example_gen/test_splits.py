"""Splits keep experiments whole, and every leak or impossible choice is named."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.plate_example_gen.config import ScreenConfig, SplitConfig
from components.plate_example_gen.screen import Problems, Row, assemble
from components.plate_example_gen.splits import assign_splits, classes, expected_sites
from components.plate_example_gen.storage import open_storage
from components.plate_example_gen.tables import read_screen
from trainer.strict import ConfigError


def read(small):
    config = ScreenConfig(str(small.root))
    screen = read_screen(config, open_storage(config.root))
    assert screen is not None
    return screen


def splits_of(screen, config) -> dict[str, set[str]]:
    """Split -> experiments, after checking that nothing went wrong."""
    expected = expected_sites(screen, assign_splits(screen, config))
    assert screen.problems.count == 0, screen.problems
    return {split: set(counts) for split, counts in expected.items()}


def problem(screen, config) -> str:
    assign_splits(screen, config)
    assert screen.problems.count >= 1
    return screen.problems.messages[0]


TRAIN = {"HUVEC-01", "HUVEC-02", "RPE-01", "RPE-02"}


def test_the_tables_own_split(tables_only):
    screen = read(tables_only)
    assert splits_of(screen, SplitConfig()) == {"train": TRAIN, "eval": {"HUVEC-17", "RPE-09"}}
    assert classes(screen, assign_splits(screen, SplitConfig())) == ("s1", "s2", "s10")


def test_a_table_with_validation_and_test(tables_only):
    for row in tables_only.rows:
        if row["experiment"] == "RPE-02":
            row["dataset"] = "val"
    tables_only.write_table()
    found = splits_of(read(tables_only), SplitConfig())
    assert found == {
        "train": TRAIN - {"RPE-02"},
        "eval": {"RPE-02"},
        "test": {"HUVEC-17", "RPE-09"},
    }


def test_hold_out_takes_the_last_of_each_cell_type(tables_only):
    found = splits_of(read(tables_only), SplitConfig(holdout_per_cell_type=1))
    assert found["train"] == {"HUVEC-01", "RPE-01"}
    assert found["eval"] == {"HUVEC-02", "RPE-02", "HUVEC-17", "RPE-09"}


def test_hold_out_that_leaves_nothing(tables_only):
    message = problem(read(tables_only), SplitConfig(holdout_per_cell_type=2))
    assert "leaves no training experiment of cell type HUVEC" in message


def test_experiments_without_labels(tables_only):
    for row in tables_only.rows:
        if row["experiment"] == "RPE-09" and row["well_type"] == "treatment":
            row["sirna"] = ""
    tables_only.write_table()
    found = splits_of(read(tables_only), SplitConfig())
    assert found["unlabelled"] == {"RPE-09"}
    assert found["eval"] == {"HUVEC-17"}


def test_lists_of_experiments(tables_only):
    screen = read(tables_only)
    config = SplitConfig(mode="experiments", eval=("RPE-01",), test=("HUVEC-02",))
    assert splits_of(screen, config)["train"] == {"HUVEC-01", "RPE-02", "HUVEC-17", "RPE-09"}
    config = SplitConfig(mode="experiments", train=("HUVEC-01",), eval=("RPE-01",))
    assert splits_of(screen, config) == {"train": {"HUVEC-01"}, "eval": {"RPE-01"}}
    assert "left out: HUVEC-02, HUVEC-17, RPE-02" in assign_splits(screen, config).warnings[0]


def test_a_misspelt_experiment(tables_only):
    config = SplitConfig(mode="experiments", eval=("RPE-1",))
    assert "names RPE-1, not in the screen; did you mean RPE-01?" in problem(
        read(tables_only), config
    )


def test_wilds(tables_only):
    screen = read(tables_only)
    config = SplitConfig(mode="wilds")
    found = splits_of(screen, config)
    assert found == {"train": TRAIN, "id_test": TRAIN, "eval": {"HUVEC-17"}, "test": {"RPE-09"}}
    assignment = assign_splits(screen, config)
    for plate in screen.plates:
        for _, site in plate.sites():
            split = assignment.split_of(plate.experiment, site)
            if plate.experiment in TRAIN:
                assert split == ("train" if site.number == 1 else "id_test")
            else:
                assert split in ("eval", "test")


def test_a_table_may_declare_in_distribution_sites(tables_only):
    for row in tables_only.rows:
        if row["dataset"] == "train" and row["site"] == "2":
            row["dataset"] = "id_test"
    tables_only.write_table()
    found = splits_of(read(tables_only), SplitConfig())
    assert (found["train"], found["id_test"]) == (TRAIN, TRAIN)


def test_scoring_needs_no_labels(tables_only):
    for row in tables_only.rows:
        row["sirna"] = row["dataset"] = ""
    tables_only.write_table()
    screen = read(tables_only)
    assert set(splits_of(screen, SplitConfig(mode="score"))) == {"score"}
    assert (
        expected_sites(screen, assign_splits(screen, SplitConfig(mode="score")))["score"]["RPE-01"]
        == len(tables_only.rows) // 6
    )


def test_an_experiment_in_two_splits_is_a_leak(tables_only):
    for row in tables_only.rows:
        if row["site_id"].startswith("RPE-01_1_C03"):
            row["dataset"] = "test"
    tables_only.write_table()
    message = problem(read(tables_only), SplitConfig())
    assert "leak: experiment RPE-01 stands in two splits" in message
    assert "train in metadata.csv line 18, test in metadata.csv line 24" in message


def test_one_site_of_a_well_in_two_splits_is_a_leak(tables_only):
    tables_only.row("HUVEC-01_1_B03_2")["dataset"] = "test"
    tables_only.write_table()
    assert "leak: experiment HUVEC-01" in problem(read(tables_only), SplitConfig())


def test_an_experiment_in_two_lists_is_a_leak():
    with pytest.raises(ConfigError, match="experiment A stands in train and in eval: that is a"):
        SplitConfig(mode="experiments", train=("A",), eval=("A",))


def test_a_class_that_training_never_sees(tables_only):
    for row in tables_only.rows:
        if row["site_id"].startswith("HUVEC-17_1_C03"):
            row["sirna"] = "s99"
    tables_only.write_table()
    message = problem(read(tables_only), SplitConfig())
    assert "class 's99' is in split eval (metadata.csv line 40, HUVEC-17_1_C03)" in message
    assert read(tables_only).problems.count == 0  # it is no fault of the table


def test_an_unknown_word_for_a_split(tables_only):
    tables_only.row("RPE-02_1_B02_1")["dataset"] = "tset"
    tables_only.write_table()
    assert "metadata.csv line 26: dataset is 'tset'; known:" in problem(
        read(tables_only), SplitConfig()
    )


def test_a_table_without_splits(tables_only):
    for row in tables_only.rows:
        row["dataset"] = ""
    tables_only.write_table()
    assert "do not say which split" in problem(read(tables_only), SplitConfig())
    found = splits_of(read(tables_only), SplitConfig(holdout_per_cell_type=1))
    assert found["eval"] == {"HUVEC-17", "RPE-09"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"eval": ("A",)}, 'set mode = "experiments"'),
        ({"mode": "experiments"}, "at least one experiment in eval"),
        ({"mode": "wilds", "holdout_per_cell_type": 1}, 'goes with mode = "table"'),
        ({"holdout_per_cell_type": -1}, ">= 0"),
    ],
)
def test_a_configuration_that_cannot_be_used(options, expected):
    with pytest.raises(ConfigError) as error:
        SplitConfig(**options)
    assert expected in str(error.value)


@settings(max_examples=60, deadline=None)
@given(
    layout=st.lists(
        st.tuples(st.integers(1, 9), st.sampled_from("XY"), st.sampled_from(["train", "test"])),
        min_size=1,
        max_size=12,
        unique_by=lambda item: (item[0], item[1]),
    ),
    holdout=st.integers(0, 2),
    apart=st.sampled_from([(), (2,)]),
)
def test_no_experiment_is_ever_cut_in_two(layout, holdout, apart):
    rows = [
        Row(0, i, f"{kind}-{n}", "1", well, (1, 2), kind, "treatment", well, word)
        for i, (n, kind, word) in enumerate(layout)
        for well in ("A1", "A2")
    ]
    screen = assemble("root", "official", ("t.csv",), "{well}{channel}", rows, Problems())
    config = SplitConfig(holdout_per_cell_type=holdout, in_distribution_sites=apart)
    assignment = assign_splits(screen, config)
    seen: dict[str, set[str | None]] = {}
    for plate in screen.plates:
        for _, site in plate.sites():
            split = assignment.split_of(plate.experiment, site)
            seen.setdefault(plate.experiment, set()).add(split)
    for splits in seen.values():
        assert len(splits) == 1 or (apart and splits == {"train", "id_test"})
        assert None not in splits
