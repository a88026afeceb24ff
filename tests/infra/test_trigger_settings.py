"""What the scoring trigger is told, which files it waits for, and what it calls a job."""

from __future__ import annotations

import dataclasses
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from trainer.simulation import simulate_screen, tiny_config

REPOSITORY = Path(__file__).resolve().parents[2]
TRIGGER = REPOSITORY / "infra/trigger"
NAMES = ("PROJECT", "REGION", "BUCKET", "TEMPLATE", "PIPELINE_ROOT", "SERVICE_ACCOUNT")
WHOLE = {f"PLATEWISE_{name}": "x" for name in NAMES} | {"PLATEWISE_MARKERS": "gs://m"}


@pytest.fixture(scope="module")
def code() -> Iterator[SimpleNamespace]:
    """The service's modules, found as in its image: beside ``main.py``."""
    sys.path.insert(0, str(TRIGGER))
    try:
        yield SimpleNamespace(
            **{
                name: importlib.import_module(f"plate_trigger.{name}")
                for name in ("settings", "completeness", "start")
            }
        )
    finally:
        sys.path.remove(str(TRIGGER))


def test_it_waits_for_the_files_of_a_screen_as_platewise_reads_it(
    code: SimpleNamespace, tmp_path: Path
) -> None:
    """Defaults are RxRx1's layout: the simulated screen has it, and nothing else lies there."""
    config = tiny_config(cell_types=("HUVEC",), experiments_per_cell_type=2, treatments=4)
    simulate_screen(config, tmp_path / "s")
    settings = code.settings.from_environment(WHOLE)
    table = (tmp_path / "s/metadata.csv").read_text()
    expected = code.completeness.expected_files(table, settings)
    assert expected == {str(p.relative_to(tmp_path / "s")) for p in tmp_path.rglob("*.png")}


def test_ids_are_what_vertex_takes_and_differ(code: SimpleNamespace) -> None:
    plates = [
        code.completeness.Plate("b", screen, name, f"incoming/{screen}/{name}")
        for screen, name in [
            ("A", "b"),
            ("a", "b"),
            ("a-b", "c"),
            ("a", "b-c"),
            ("Ä" * 99, "é" * 99),
        ]
    ]
    ids = [code.start.job_id(plate) for plate in plates]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z][-a-z0-9]{0,127}", identity) for identity in ids), ids


def test_a_table_of_wells_and_columns_of_ones_own(code: SimpleNamespace) -> None:
    settings = code.settings.from_environment(
        WHOLE
        | {
            "PLATEWISE_PATH_TEMPLATE": "{well}/f{site:02d}_{channel}.png",
            "PLATEWISE_CHANNELS": '["dna", "actin"]',
            "PLATEWISE_SITES": "[3]",
            "PLATEWISE_COLUMNS": '{"well": "pos"}',
        }
    )
    found = code.completeness.expected_files("\ufeffpos,x\nB2,1\nB3,2\n", settings)
    assert found == {"B2/f03_dna.png", "B2/f03_actin.png", "B3/f03_dna.png", "B3/f03_actin.png"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"PLATEWISE_TEMPLATE": ""}, "PLATEWISE_TEMPLATE is not set"),
        ({"PLATEWISE_SITES": "1,2"}, "PLATEWISE_SITES is not JSON"),
        ({"PLATEWISE_COLUMNS": '{"wel": "x"}'}, "maps wel"),
        ({"PLATEWISE_PATH_TEMPLATE": "{wel}"}, "known fields"),
        ({"PLATEWISE_MARKERS": "m"}, "PLATEWISE_MARKERS is gs://"),
    ],
)
def test_settings_name_what_is_wrong(
    code: SimpleNamespace, change: dict[str, str], says: str
) -> None:
    with pytest.raises(code.settings.SettingsError, match=says):
        code.settings.from_environment(WHOLE | change)


def test_terraform_sets_every_variable_that_the_service_reads(code: SimpleNamespace) -> None:
    text = (REPOSITORY / "infra/terraform/trigger.tf").read_text()
    set_there = set(re.findall(r"^ +(PLATEWISE_\w+) +=", text, re.M))
    read = {f"PLATEWISE_{f.name.upper()}" for f in dataclasses.fields(code.settings.Settings)}
    assert set_there == read


def test_it_is_light_to_import(code: SimpleNamespace) -> None:
    """Clients are imported when an event comes, so that a bad setting is told at once."""
    script = "import sys; import plate_trigger.handler as h; print('google' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", script],
        cwd=TRIGGER,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"
