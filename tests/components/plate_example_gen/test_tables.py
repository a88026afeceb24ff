"""The three metadata forms, a column map, and everything a table can get wrong."""

from __future__ import annotations

import pytest

from components.plate_example_gen.config import ScreenConfig
from components.plate_example_gen.screen import ScreenError
from components.plate_example_gen.storage import open_storage
from components.plate_example_gen.tables import read_screen
from trainer.strict import ConfigError

INTEGERS = {
    "train.csv": "id_code,experiment,plate,well,sirna\nRPE-01_1_B03,RPE-01,1,B03,10\n"
    "RPE-01_1_B04,RPE-01,1,B04,9\n",
    "test.csv": "id_code,experiment,plate,well\nRPE-02_1_B03,RPE-02,1,B03\n",
    "train_controls.csv": "id_code,experiment,plate,well,sirna,well_type\n"
    "RPE-01_1_B02,RPE-01,1,B02,1138,negative_control\n"
    "RPE-01_1_C03,RPE-01,1,C03,1109,positive_control\n",
    "test_controls.csv": "id_code,experiment,plate,well,sirna,well_type\n"
    "RPE-02_1_B02,RPE-02,1,B02,1138,negative_control\n",
}
NAMES = {
    "train.csv": "id_code,experiment,plate,well,sirna\nRPE-01_1_B03,RPE-01,1,B03,sirna_10\n"
    "RPE-01_1_B04,RPE-01,1,B04,sirna_9\nRPE-01_1_B02,RPE-01,1,B02,UNTREATED\n"
    "RPE-01_1_C03,RPE-01,1,C03,sirna_1109\n",
    "test.csv": "id_code,experiment,plate,well\nRPE-02_1_B03,RPE-02,1,B03\n",
}


def read(root, **options):
    config = ScreenConfig(str(root), **options)
    screen = read_screen(config, open_storage(config.root))
    assert screen is not None
    return screen


def write(root, tables):
    for name, text in tables.items():
        (root / name).write_text(text)


def problem(root, **options) -> str:
    screen = read(root, **options)
    assert screen.problems.count == 1, screen.problems
    return screen.problems.messages[0]


@pytest.mark.parametrize(("tables", "prefix"), [(INTEGERS, ""), (NAMES, "sirna_")])
def test_kaggles_tables(tmp_path, tables, prefix):
    write(tmp_path, tables)
    screen = read(tmp_path)
    assert screen.form == "kaggle"
    assert [plate.plate_id for plate in screen.plates] == ["RPE-01_1", "RPE-02_1"]
    wells = {well.name: well for well in screen.plates[0].wells}
    assert list(wells) == ["B02", "B03", "B04", "C03"]
    assert wells["B03"].treatment == f"{prefix}10"
    assert [well.well_type for well in wells.values()] == [
        "negative_control", "treatment", "treatment", "positive_control",
    ]  # fmt: skip
    assert {well.cell_type for well in wells.values()} == {"RPE"}
    assert [site.number for site in wells["B03"].sites] == [1, 2]
    assert wells["B03"].sites[0].dataset == "train"
    unlabelled = screen.plates[1].wells[-1]
    assert (unlabelled.treatment, unlabelled.sites[0].dataset) == ("", "test")
    assert screen.n_rows == sum(text.count("\n") - 1 for text in tables.values())


def test_ids_alone_are_enough(tmp_path):
    write(tmp_path, {"train.csv": "id_code,sirna\nRPE-01_2_B03,5\n"})
    plate = read(tmp_path).plates[0]
    assert (plate.experiment, plate.plate, plate.wells[0].name) == ("RPE-01", "2", "B03")


def test_the_official_table(tables_only):
    screen = read(tables_only.root)
    assert screen.form == "official"
    assert len(screen.plates) == 6
    assert screen.n_sites() == len(tables_only.rows)
    well = screen.plates[0].wells[1]
    assert (well.name, well.treatment, well.well_type) == ("B03", "s1", "treatment")
    assert well.sites[1].line == 5  # the header is line 1


def test_any_other_table_through_a_column_map(tmp_path):
    (tmp_path / "meta").mkdir()
    text = (
        "\ufeffRun\tBarcode\tPos\tField\tCompound\tRole\n"
        "r1\tP-7\tA1\t1\tx\tcmpd\nr1\tP-7\tA2\t1\tDMSO\tDMSO\n"
    )
    (tmp_path / "meta" / "wells.tsv").write_text(text)
    screen = read(
        tmp_path,
        columns={
            "experiment": "Run",
            "plate": "Barcode",
            "well": "Pos",
            "site": "Field",
            "treatment": "Compound",
            "well_type": "Role",
        },
        tables=("meta/wells.tsv",),
        path_template="{plate}/{well}-{site}-{channel}.png",
        channel_names=("nuclei", "actin"),
        channel_tokens=("DAPI", "FITC"),
        well_types={"cmpd": "treatment", "DMSO": "negative_control"},
    )
    assert screen.form == "columns"
    assert screen.plates[0].plate_id == "r1_P-7"
    kinds = [(w.name, w.treatment, w.well_type, w.cell_type) for w in screen.plates[0].wells]
    assert kinds == [
        ("A1", "x", "treatment", "unknown"),
        ("A2", "DMSO", "negative_control", "unknown"),
    ]


def test_duplicate_sites_name_both_rows(tables_only):
    tables_only.rows.append(dict(tables_only.rows[3]))
    tables_only.write_table()
    message = problem(tables_only.root)
    assert "duplicate: site 2 of well HUVEC-01_1_B03" in message
    assert "metadata.csv line 5 and in metadata.csv line 50" in message


def test_two_labels_for_one_well_name_both_rows(tables_only):
    tables_only.row("HUVEC-01_1_B03_2")["sirna"] = "s2"
    tables_only.write_table()
    message = problem(tables_only.root)
    assert "two labels for well HUVEC-01_1_B03: 's1' in metadata.csv line 4" in message
    assert "'s2' in metadata.csv line 5" in message


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("experiment", "../../etc"),
        ("experiment", "/etc"),
        ("plate", ".."),
        ("well", "..\\..\\x"),
        ("well", "B03/../../../../x"),
        ("well", "B\n03"),
    ],
)
def test_a_path_that_leaves_the_screen_is_refused(tables_only, column, value):
    tables_only.row("HUVEC-01_1_B03_2")[column] = value
    tables_only.write_table()
    message = problem(tables_only.root)
    assert message.startswith("metadata.csv line ")
    assert f"column {column}" in message
    assert "leave the folder" in message


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("site", "two", "column site is 'two'"),
        ("site", "-1", "column site is '-1'"),
        ("experiment", "", "column experiment is empty"),
        ("well_type", "negativ_control", "column well_type is 'negativ_control'"),
        ("site_id", "HUVEC-01_1_B03_1", "column site_id is 'HUVEC-01_1_B03_1', but"),
    ],
)
def test_a_wrong_cell_names_line_and_column(tables_only, column, value, expected):
    tables_only.row("HUVEC-01_1_B03_2")[column] = value
    tables_only.write_table()
    message = problem(tables_only.root)
    assert message.startswith("metadata.csv line 5: ")
    assert expected in message


@pytest.mark.parametrize("number", ["1139", "sirna_5000", "-3", "7.0"])
def test_a_label_out_of_range_is_neither_control_nor_class(tmp_path, number):
    write(tmp_path, INTEGERS | {"train.csv": f"id_code,sirna\nRPE-01_1_B03,{number}\n"})
    assert problem(tmp_path).startswith(f"train.csv line 2: column sirna is {number!r}; siRNAs are")


@pytest.mark.parametrize(
    ("cells", "n"), [("1,2-diol,RPE-01,1,B04", 5), ("x,RPE-01,1", 3), ("x,RPE-01,1,B04,,1", 6)]
)
def test_a_row_of_another_length_is_told(tmp_path, cells, n):
    good = '"1,2-diol",RPE-01,1,B02\nx,RPE-01,1,B03,\n'  # a comma at the end is harmless
    write(tmp_path, {"train.csv": f"sirna,experiment,plate,well\n{good}{cells}\n"})
    assert problem(tmp_path).startswith(
        f"train.csv line 4: {n} cells, where the header names 4 columns; put text"
    )
    assert [w.treatment for w in read(tmp_path).plates[0].wells] == ["1,2-diol", "x"]


def test_plates_with_one_name_are_told(tmp_path):
    text = "a,b,c\nx_1,2,A1\nx,1_2,A1\n"
    (tmp_path / "metadata.csv").write_text(text)
    columns = {"experiment": "a", "plate": "b", "well": "c"}
    message = problem(tmp_path, columns=columns, path_template="{well}_{channel}.png")
    assert "share the name x_1_2" in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"a,b\n1,2\n", "has no column 'experiment'; it has a, b"),
        (b"experiment,plate,well,well\n", "two columns 'well'"),
        (b"experiment;plate;well\nx;1;A1\n", "not by ';'"),
        (b'experiment,plate,well\nx,1,"A1\nx,1,A2\n', "line 3: not a table .* not closed"),
        (b"experiment,plate,well\nx,1,\xff\xfe\n", "not UTF-8"),
    ],
)
def test_what_is_no_table_is_told(tmp_path, content, expected):
    (tmp_path / "metadata.csv").write_bytes(content)
    with pytest.raises(ScreenError, match=expected):
        read(tmp_path)


def test_a_mapped_column_that_is_not_there(tmp_path):
    (tmp_path / "metadata.csv").write_text("a,b,c\n")
    columns = {"experiment": "a", "plate": "b", "well": "Well"}
    with pytest.raises(ScreenError, match=r"no column 'Well', which columns\.well names"):
        read(tmp_path, columns=columns, path_template="{well}_{channel}.png")


def test_a_missing_table_is_told(tmp_path):
    columns = {"experiment": "a", "plate": "b", "well": "c"}
    with pytest.raises(ScreenError, match=r"cannot read table .*nowhere\.csv"):
        read(tmp_path, columns=columns, path_template="{well}{channel}", tables=("nowhere.csv",))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"columns": {"experiment": "a"}}, "must map plate, well"),
        ({"columns": {"colour": "a"}}, "'colour', which is not one of"),
        ({"columns": dict.fromkeys(("experiment", "plate", "well"), "a")}, "needs a path_template"),
        ({"path_template": "{well}_{chanel}.png"}, "{chanel}"),
        ({"path_template": "{well}.png"}, "no {channel}"),
        ({"path_template": "{well}_{}_{channel}.png"}, "path_template"),
        ({"path_template": "{well"}, "path_template"),
        ({"path_template": "{plate:02d}/{well}_{channel}.png"}, "only {site} is a number"),
        ({"channel_tokens": ("1", "2")}, "2 entries for 6"),
        ({"channel_names": ()}, "at least one channel"),
        ({"sites": ()}, "sites must name"),
        ({"well_types": {"DMSO": "control"}}, "'control'"),
        ({"height_px": 12}, "both be positive"),
    ],
)
def test_a_configuration_that_cannot_be_used(options, expected):
    with pytest.raises(ConfigError) as error:
        ScreenConfig("x", **options)
    assert expected in str(error.value)
