"""A version is whole and the newest; a refused model is not pushed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import tensorflow as tf
from tfx.types import standard_artifacts

from components.fitted_parts import fitted_parts, temperature_of
from components.pusher.executor import PlatePusherExecutor, content_digest, push, push_once
from trainer.errors import PlatewiseError

FILES = {
    "saved_model.pb": "graph",
    "variables/variables.index": "weights",
    "platewise/transform_graph/transform_fn/saved_model.pb": "inner graph",
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model" / "Format-Serving"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def content(folder: str) -> dict[str, str]:
    found = {}
    for parent, _, names in tf.io.gfile.walk(folder):
        for name in names:
            path = f"{parent.rstrip('/')}/{name}"
            with tf.io.gfile.GFile(path) as stream:
                found[path.removeprefix(folder).lstrip("/")] = stream.read()
    return found


@pytest.mark.parametrize("remote", [False, True])
def test_pushed_version_is_whole(model: Path, tmp_path: Path, remote: bool) -> None:
    folder = f"ram://{tmp_path.name}/pushed" if remote else str(tmp_path / "pushed")
    before = int(time.time())
    version = push(str(model), folder)
    assert content(version) == FILES
    assert before <= int(version.rsplit("/", 1)[1]) <= time.time()


@pytest.mark.parametrize("remote", [False, True])
def test_what_was_fitted_later_goes_with_it(model: Path, tmp_path: Path, remote: bool) -> None:
    folder = f"ram://{tmp_path.name}/fitted" if remote else str(tmp_path / "pushed")
    effects, evaluation = tmp_path / "effects", tmp_path / "evaluation"
    (effects / "corrections/tvn").mkdir(parents=True)
    (effects / "corrections/tvn/correction.json").write_text("fitted")
    evaluation.mkdir()
    assert set(fitted_parts(str(effects), str(evaluation))) == {"platewise/corrections"}
    assert fitted_parts("", "") == {}
    (evaluation / "calibration.json").write_text('{"temperature": 0.5}')
    parts = fitted_parts(str(effects), str(evaluation))
    assert content_digest(str(model), parts) != content_digest(str(model))
    version = push(str(model), folder, parts)
    assert content(version) == FILES | {
        "platewise/corrections/tvn/correction.json": "fitted",
        "platewise/calibration.json": '{"temperature": 0.5}',
    }
    assert temperature_of(version) == 0.5
    assert temperature_of(str(model)) is None
    before = content_digest(str(model), parts)
    (effects / "corrections/tvn/correction.json").write_text("fitted anew")
    assert content_digest(str(model), parts) != before


def test_a_damaged_calibration_is_named(model: Path) -> None:
    (model / "platewise/calibration.json").write_text("{")
    with pytest.raises(PlatewiseError, match=r"calibration\.json is damaged"):
        temperature_of(str(model))


def test_each_push_is_the_newest_version(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pushed"
    (folder / "99999999999").mkdir(parents=True)
    versions = [int(Path(push(str(model), str(folder))).name) for _ in range(3)]
    assert versions == [100000000000, 100000000001, 100000000002]


def test_killed_push_is_cleared_away(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pushed"
    (folder / ".unfinished-17").mkdir(parents=True)
    version = push(str(model), str(folder))
    assert [path.name for path in folder.iterdir()] == [Path(version).name]


@pytest.mark.parametrize("blessed", [True, False])
def test_only_a_blessed_model_is_pushed(model: Path, tmp_path: Path, blessed: bool) -> None:
    artifact = standard_artifacts.Model()
    artifact.uri = str(model.parent)
    blessing, pushed = standard_artifacts.ModelBlessing(), standard_artifacts.PushedModel()
    blessing.uri, pushed.uri = str(tmp_path / "blessing"), str(tmp_path / "pushed_model")
    blessing.set_int_custom_property("blessed", int(blessed))
    Path(pushed.uri).mkdir()
    PlatePusherExecutor().Do(
        {"model": [artifact], "model_blessing": [blessing]},
        {"pushed_model": [pushed]},
        {"folder": str(tmp_path / "pushed"), "code_digest": ""},
    )
    assert (tmp_path / "pushed").exists() == blessed
    assert pushed.get_int_custom_property("pushed") == int(blessed)
    if blessed:
        destination = pushed.get_string_custom_property("pushed_destination")
        assert content(destination) == FILES


def test_push_once_goes_on_with_the_version_it_began(tmp_path: Path) -> None:
    model, folder = tmp_path / "model", tmp_path / "pushed"
    model.mkdir()
    (model / "saved_model.pb").write_text("graph")
    digest = content_digest(str(model))
    begun = folder / "1700000000"
    (folder / ".pushed").mkdir(parents=True)
    (folder / ".pushed" / digest).write_text(begun.name + "\n")  # then it was killed
    assert push_once(str(model), str(folder), digest) == str(begun)
    assert (begun / "saved_model.pb").read_text() == "graph"
    (model / "saved_model.pb").write_text("another graph")
    assert content_digest(str(model)) != digest
