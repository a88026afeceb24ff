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


def test_a_failed_threshold_is_said_in_per_cent(tmp_path):
    gates = (
        Gate("accuracy", "all wells", 0.121, ">= 0.2", False),
        Gate("accuracy minus the baseline's", "all wells", -0.05, ">= -0.02", False),
        Gate("accuracy", "experiment U2OS-04", 0.0999, ">= 0.1", False),
        Gate("rows", "experiment RPE-08", 0.0, "> 0 of 8 sites", False),
    )
    reasons = (
        "all wells: accuracy is 0.121; it must be >= 0.2",
        "all wells: accuracy minus the baseline's is -0.05; it must be >= -0.02",
        "experiment U2OS-04: accuracy is 0.0999; it must be >= 0.1",
        "experiment RPE-08: none of its sites was evaluated (> 0 of 8 sites expected)",
    )
    evaluation = Evaluation(False, reasons, gates, (), 50, True, EvaluationConfig())
    (tmp_path / FILE_NAME).write_text(evaluation.to_json())
    assert read_blessing(str(tmp_path), "").reasons == (
        "accuracy in all wells is 12.1 %, below the threshold of 20 %",
        "all wells: accuracy minus the baseline's is -0.05; it must be >= -0.02",
        "accuracy in U2OS-04 is 9.99 %, below the threshold of 10 %",
        "experiment RPE-08: none of its sites was evaluated (> 0 of 8 sites expected)",
    )


def test_what_was_not_compared_is_told_with_its_reason(tmp_path):
    closed = Gate("accuracy minus the baseline's", "all wells", None, ">= -0.02", False, "torn")
    for gates, not_compared in (((closed,), ()), ((), (closed,))):
        evaluation = Evaluation(
            False, (), gates, (), 50, False, EvaluationConfig(), not_compared=not_compared
        )
        (tmp_path / FILE_NAME).write_text(evaluation.to_json())
        found = read_blessing(str(tmp_path), "")
        assert [g.reason for g in found.gates] == ["torn"] * len(gates)
        assert [g.reason for g in found.not_compared] == ["torn"] * len(not_compared)
