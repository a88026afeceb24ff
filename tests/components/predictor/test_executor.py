"""Which model a new one is compared with."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from tfx.types import standard_artifacts

from components.predictor.executor import _baseline


def test_a_baseline_of_another_version_is_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    description = tmp_path / "platewise" / "trainer.json"
    description.parent.mkdir()
    description.write_text('{"config": {"a_key_of_long_ago": 1}}')
    model = standard_artifacts.Model()
    model.uri = str(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert _baseline([model]) is None
    assert "a_key_of_long_ago" in caplog.text


def test_no_blessed_model_is_no_baseline() -> None:
    assert _baseline([]) is None
