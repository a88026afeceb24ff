"""Leaks planted in a simulated screen: `platewise check` and the component catch and name them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("tfx")

import apache_beam as beam
import numpy as np
from PIL import Image
from tfx import types
from tfx.types import standard_artifacts

from components.artifacts import LeakAudit, QualityControl
from components.leak_audit.check import with_audit
from components.leak_audit.component import PlateLeakAudit
from components.leak_audit.config import LeakConfig
from components.leak_audit.executor import LeakError, PlateLeakAuditExecutor
from components.leak_audit.files import read_audit
from components.plate_example_gen.check import CheckReport, check_screen
from components.plate_example_gen.config import QualityConfig, ScreenConfig, SplitConfig
from components.plate_example_gen.ingest import Destination, ingest
from trainer.errors import PlatewiseError
from trainer.simulation import simulate_screen
from trainer.simulation.config import tiny_config
from trainer.strict import ConfigError, to_mapping


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "screen"
    simulate_screen(tiny_config(image_size_px=16), folder)
    return folder


@pytest.fixture
def screen(simulated: Path, tmp_path: Path) -> Path:
    """A copy that a test may harm."""
    return Path(shutil.copytree(simulated, tmp_path / "screen"))


def check(root: Path, config: LeakConfig | None = None, **splits) -> CheckReport:
    report = check_screen(ScreenConfig(str(root)), SplitConfig(**splits))
    return with_audit(report, config or LeakConfig())


def outcome(report: CheckReport, key: str) -> dict:
    tests = report.to_json()["leak_audit"]["tests"]
    return next(test for test in tests if test["key"] == key)


def image(root: Path, dataset: str, channel: int = 1) -> Path:
    """First image of a channel of the first experiment of this part."""
    experiment = "HUVEC-01" if dataset == "train" else "U2OS-03"
    return sorted(root.glob(f"images/{experiment}/Plate1/*_s1_w{channel}.png"))[0]


def test_the_clean_screen_passes_and_its_groups_are_told(simulated):
    report = check(simulated)
    assert not report.failed
    tests = report.to_json()["leak_audit"]["tests"]
    assert {test["outcome"] for test in tests} == {"pass", "note"}
    assert outcome(report, "groups")["facts"]["sizes"] == [2, 2, 2, 2]
    assert "leak audit\n  PASS     No experiment stands in two splits" in report.summary()
    json.dumps(report.to_json())


def test_an_image_under_another_name_is_named_whatever_it_is_packed_with(screen):
    source, target = image(screen, "train"), image(screen, "test")
    Image.open(source).save(target, compress_level=1)
    assert source.read_bytes() != target.read_bytes()
    report = check(screen)
    test = outcome(report, "pixels")
    assert report.failed
    assert (test["outcome"], test["n_found"]) == ("fail", 1)
    for path in (source, target):
        assert str(path.relative_to(screen)) in report.summary()
    assert test["text"].count("metadata.csv line") == 2
    assert "STOP: leak: 1 image of one split stands in another" in report.summary()
    assert not check(screen, LeakConfig(on_leak="warn")).failed


def test_a_flipped_copy_of_a_site_is_named(screen):
    for channel in range(1, 7):
        grey = np.asarray(Image.open(image(screen, "train", channel)))
        Image.fromarray(grey[:, ::-1]).save(image(screen, "test", channel))
    report = check(screen)
    assert outcome(report, "pixels")["outcome"] == "pass"
    assert outcome(report, "copies")["n_found"] == 1
    assert report.failed


def test_one_experiment_in_two_splits_is_named(screen):
    table = screen / "metadata.csv"
    lines = table.read_text().splitlines()
    lines[1] = lines[1].replace(",train,", ",test,")
    table.write_text("\n".join(lines) + "\n")
    report = check(screen)
    test = outcome(report, "experiments")
    assert (report.failed, test["outcome"]) == (True, "fail")
    assert "HUVEC-01" in test["text"]
    assert "metadata.csv line 2" in test["text"]


def test_a_layout_that_never_changes_is_told(tmp_path):
    """Every plate's treatments in the order of the wells, the same in every experiment."""
    screen = tmp_path / "screen"
    simulate_screen(tiny_config(image_size_px=16, treatments=24, sites_per_well=1), screen)
    assert outcome(check(screen), "position")["outcome"] == "pass"
    table = screen / "metadata.csv"
    lines = table.read_text().splitlines()
    column = lines[0].split(",").index
    rows = [line.split(",") for line in lines[1:]]
    first = {}  # plate number -> (well, name, number) of each row of the first experiment
    for row in rows:
        if row[column("experiment")] == "HUVEC-01":
            first.setdefault(row[column("plate")], []).append(row)
    seen: dict[tuple[str, str], int] = {}
    for row in rows:
        key = (row[column("experiment")], row[column("plate")])
        model = first[key[1]][seen.setdefault(key, 0)]
        seen[key] += 1
        old = row[column("well")]
        for name in ("well", "well_type", "sirna", "sirna_id"):
            row[column(name)] = model[column(name)]
        new = row[column("well")]
        for i in ("site_id", "well_id"):
            row[column(i)] = row[column(i)].replace(f"_{old}", f"_{new}")
        folder = screen / "images" / key[0] / f"Plate{key[1]}"
        for c in range(1, 7):
            site = row[column("site")]
            (folder / f"{old}_s{site}_w{c}.png").rename(folder / f"new_{new}_s{site}_w{c}.png")
    for path in screen.rglob("new_*.png"):
        path.rename(path.with_name(path.name.removeprefix("new_")))
    table.write_text("\n".join([lines[0], *(",".join(row) for row in rows)]) + "\n")
    report = check(screen)
    assert outcome(report, "position")["outcome"] == "warn"
    assert "Well position tells the treatment" in report.summary()
    assert not report.failed
    assert check(screen, LeakConfig(on_position="fail")).failed


def test_the_second_site_of_training_wells_is_declared(simulated):
    report = check(simulated, in_distribution_sites=(2,))
    assert not report.failed
    assert outcome(report, "wells")["outcome"] == "pass"


def test_headers_alone_say_nothing_of_pixels(simulated):
    undecoded = check_screen(ScreenConfig(str(simulated)), None, QualityConfig(decode=False))
    report = with_audit(undecoded, LeakConfig())
    assert outcome(report, "pixels")["outcome"] == "untested"
    assert not report.failed


def pipeline() -> beam.Pipeline:
    """On the runner that downloads nothing."""
    return beam.Pipeline(runner="FnApiRunner")


def run_component(root: Path, out: Path, config: LeakConfig | None = None):
    """Ingest a screen and audit what it wrote; returns the audit's artifact."""
    folders = Destination(*(str(out / name) for name in ("examples", "quality", "schema")))
    ingest(ScreenConfig(str(root)), SplitConfig(), QualityConfig(), folders, pipeline)
    examples, quality, leaks = standard_artifacts.Examples(), QualityControl(), LeakAudit()
    examples.uri, quality.uri = folders.examples, folders.quality
    leaks.uri = str(out / "leaks")
    Path(leaks.uri).mkdir()
    PlateLeakAuditExecutor().Do(
        {"examples": [examples], "quality": [quality]},
        {"leaks": [leaks]},
        {"config": json.dumps(to_mapping(config or LeakConfig())), "code_digest": ""},
    )
    return leaks


def test_the_component_says_what_check_says(simulated, tmp_path):
    found = read_audit(run_component(simulated, tmp_path).uri).to_json()
    expected = check(simulated).to_json()["leak_audit"]
    assert json.dumps(found, sort_keys=True) == json.dumps(expected, sort_keys=True)


def test_the_component_stops_the_run_and_names_both_files(screen, tmp_path):
    source, target = image(screen, "train", 3), image(screen, "test", 3)
    shutil.copyfile(source, target)
    with pytest.raises(LeakError) as caught:
        run_component(screen, tmp_path / "out")
    for path in (source, target):
        assert str(path.relative_to(screen)) in str(caught.value)
    passed = run_component(screen, tmp_path / "lenient", LeakConfig(on_leak="warn"))
    tests = {test.key: test.outcome for test in read_audit(passed.uri).tests}
    assert tests["pixels"] == "warn"


def test_examples_of_another_run_are_refused(simulated, tmp_path):
    run_component(simulated, tmp_path)
    manifest = tmp_path / "examples" / "manifest.json"
    plain = json.loads(manifest.read_text())
    plain["shards"].pop()
    manifest.write_text(json.dumps(plain))
    examples, quality, leaks = standard_artifacts.Examples(), QualityControl(), LeakAudit()
    examples.uri, quality.uri = str(tmp_path / "examples"), str(tmp_path / "quality")
    leaks.uri = str(tmp_path / "leaks")
    with pytest.raises(PlatewiseError, match="not of one run"):
        PlateLeakAuditExecutor().Do(
            {"examples": [examples], "quality": [quality]},
            {"leaks": [leaks]},
            {"config": "{}", "code_digest": ""},
        )


def test_channels_are_typed():
    step = PlateLeakAudit(
        examples=types.Channel(type=standard_artifacts.Examples),
        quality=types.Channel(type=QualityControl),
        code_digest="abc",
    )
    assert step.outputs["leaks"].type is LeakAudit
    assert json.loads(step.exec_properties["config"])["on_leak"] == "fail"


def test_a_p_value_that_cannot_be_reached_is_refused():
    with pytest.raises(ConfigError, match="give 1000 or more"):
        LeakConfig(permutations=99, position_max_p_value=0.001)
