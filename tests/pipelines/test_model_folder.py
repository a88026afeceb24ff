"""The model that a user means is found, or the message says what was looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.model_folder import find_model, model_digest
from trainer.errors import PlatewiseError


def model(folder: Path, graph: bytes = b"graph") -> Path:
    (folder / "platewise" / "transform_graph").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(graph)
    return folder


def test_a_version_itself(tmp_path: Path) -> None:
    version = model(tmp_path / "17")
    assert find_model(str(version)) == version


def test_newest_version_by_number_not_by_name(tmp_path: Path) -> None:
    for name in ("9", "10", "notes"):
        model(tmp_path / name)
    assert find_model(str(tmp_path)) == tmp_path / "10"


def test_a_run_folder(tmp_path: Path) -> None:
    version = model(tmp_path / "pushed" / "1700000000")
    assert find_model(str(tmp_path)) == version


def test_a_model_artifact(tmp_path: Path) -> None:
    serving = model(tmp_path / "Format-Serving")
    assert find_model(str(tmp_path)) == serving


def test_half_a_push_is_no_version(tmp_path: Path) -> None:
    version = model(tmp_path / "9")
    (model(tmp_path / "10") / "saved_model.pb").unlink()
    assert find_model(str(tmp_path)) == version


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: None, "there is no such folder"),
        (lambda folder: folder.mkdir(), "was no model blessed"),
        (lambda folder: model(folder).joinpath("platewise").rename(folder / "x"), "not one of"),
    ],
)
def test_no_model_there(tmp_path: Path, prepare, message: str) -> None:
    prepare(tmp_path / "model")
    with pytest.raises(PlatewiseError, match=message):
        find_model(str(tmp_path / "model"))


def test_digest_tells_models_apart(tmp_path: Path) -> None:
    one, same = model(tmp_path / "1"), model(tmp_path / "2")
    other = model(tmp_path / "3", b"another")
    assert model_digest(one) == model_digest(same) != model_digest(other)
