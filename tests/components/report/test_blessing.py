"""The Evaluator's verdict as the page shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.evaluator.config import EvaluationConfig
from components.evaluator.results import FILE_NAME, Evaluation, Gate
from components.report.blessing import read_blessing
from trainer.errors import PlatewiseError


def write_evaluation(folder: Path, blessed: bool) -> None:
    gates = (
        Gate("accuracy", "all wells", 0.4, ">= 0.2", True),
        Gate("accuracy", "experiment RPE-08", None, ">= 0.1", False),
    )
    reasons = () if blessed else ("experiment RPE-08 has no well",)
    evaluation = Evaluation(blessed, reasons, gates, (), 50, False, EvaluationConfig())
    (folder / FILE_NAME).write_text(evaluation.to_json())


@pytest.mark.parametrize("blessed", [True, False])
def test_verdict_reasons_and_gates(tmp_path, blessed):
    write_evaluation(tmp_path, blessed)
    found = read_blessing(str(tmp_path), "")
    assert found.blessed is blessed
    assert found.reasons == (() if blessed else ("experiment RPE-08 has no well",))
    assert [(g.slice, g.value, g.passed) for g in found.gates] == [
        ("all wells", 0.4, True),
        ("experiment RPE-08", None, False),
    ]


@pytest.mark.parametrize(("name", "blessed"), [("BLESSED", True), ("NOT_BLESSED", False)])
def test_a_blessing_alone_has_no_reasons(tmp_path, name, blessed):
    (tmp_path / name).touch()
    found = read_blessing("", str(tmp_path))
    assert (found.blessed, found.reasons) == (blessed, ())


def test_nothing_decided(tmp_path):
    assert read_blessing("", "").blessed is None
    assert read_blessing("", str(tmp_path)).blessed is None


def test_half_an_evaluation_is_an_error(tmp_path):
    with pytest.raises(PlatewiseError, match=FILE_NAME):
        read_blessing(str(tmp_path), "")
