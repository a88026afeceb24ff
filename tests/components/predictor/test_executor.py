"""Which model a new one is compared with, and what is told where none is."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tfx.types import standard_artifacts

from components.predictor import executor
from components.predictor.comparison import NotCompared, read_comparison, write_comparison
from components.predictor.executor import _baseline
from trainer.config import ModelConfig
from trainer.manifest import Manifest

SCREEN = Manifest((), 2, 64, 64)


def bundle(classes: tuple[str, ...] = ("a", "b"), **changes: Any) -> Any:
    model = dataclasses.replace(ModelConfig(n_channels=2, image_size_px=64), **changes)
    return SimpleNamespace(classes=classes, config=SimpleNamespace(model=model))


def model_in(folder: Path) -> Any:
    model = standard_artifacts.Model()
    model.uri = str(folder)
    return model


def test_a_baseline_that_cannot_be_read_is_told_with_what_to_do(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    description = tmp_path / "platewise" / "trainer.json"
    description.parent.mkdir()
    description.write_text('{"config": {"a_key_of_long_ago": 1}}')
    with caplog.at_level(logging.WARNING):
        found = _baseline([model_in(tmp_path)], bundle(), SCREEN)
    assert isinstance(found, NotCompared) and found.unreadable
    assert "a_key_of_long_ago" in found.reason and found.reason in caplog.text
    assert "evaluation.compare_with_baseline = false" in found.reason


def test_a_baseline_without_its_transform_graph_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "load_bundle", lambda folder: bundle())
    found = _baseline([model_in(tmp_path)], bundle(), SCREEN)
    assert isinstance(found, NotCompared) and found.unreadable
    assert "transform_graph" in found.reason


@pytest.mark.parametrize(
    ("old", "reason"),
    [
        (bundle(n_channels=6), "reads 6 channels and this screen has 2"),
        (bundle(classes=("x", "y", "z")), "knows none of the 2 treatments of this one"),
        (bundle(image_size_px=128), "sees 128 x 128 px and sites are 64 x 64 px"),
        (bundle(classes=("b", "z")), ""),  # some are known: compared
        (bundle(), ""),
    ],
)
def test_a_baseline_of_another_kind_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: Any, reason: str
) -> None:
    monkeypatch.setattr(executor, "load_bundle", lambda folder: old)
    monkeypatch.setattr(executor, "read_normaliser", lambda folder: None)
    found = _baseline([model_in(tmp_path)], bundle(), SCREEN)
    if reason:
        assert found == NotCompared(f"the latest blessed model {reason}", unreadable=False)
    else:
        assert found == (old, str(tmp_path / "platewise" / "transform_graph"))


def test_no_blessed_model_is_no_baseline() -> None:
    assert _baseline([], bundle(), SCREEN) is None


def test_the_reason_survives_its_file(tmp_path: Path) -> None:
    assert read_comparison(str(tmp_path)) is None
    told = NotCompared("the latest blessed model reads 6 channels", unreadable=False)
    write_comparison(str(tmp_path), told)
    assert read_comparison(f"{tmp_path}/") == told
    assert read_comparison(f"file://{tmp_path}") == told  # as gs:// is read
