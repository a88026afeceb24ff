"""Every further threshold: off by default, met, not met, and closed where nothing was measured."""

from __future__ import annotations

import dataclasses

import pytest

from components.batch_effect_evaluator.results import BatchEffects, CorrectedResult
from components.evaluator.config import EvaluationConfig
from components.evaluator.promotion import ECE, PROBE, PROBE_RISE, PSNR_GAIN, further_gates
from components.evaluator.wells import WellMeasures
from trainer.metrics.batch_cards import BatchCards
from trainer.metrics.calibrated import Calibration, CalibrationScores
from trainer.metrics.intervals import accuracy
from trainer.strict import ConfigError

SCORES = CalibrationScores(10, 0.2, None, None, 0.2, 0.5, 1.0, 0.7, 0.5)
MEASURES = WellMeasures(
    None,
    Calibration(SCORES, dataclasses.replace(SCORES, ece=0.05), {}, {}, {}, 1.5, "there"),
    1.25,
)


def effects(right: int, before: int | None) -> BatchEffects:
    def share(n: int):
        return accuracy([True] * n + [False] * (10 - n))

    result = CorrectedResult("none", (), BatchCards((), share(right), 0.25))
    return BatchEffects((result,), 10, 0, 2, baseline_guessed=share(before) if before else None)


def test_all_are_off_by_default() -> None:
    assert further_gates(EvaluationConfig(), MEASURES, effects(9, 1), True) == []
    assert not EvaluationConfig().compares_probe


@pytest.mark.parametrize(
    ("settings", "metric", "value", "passed"),
    [
        ({"max_batch_probe": 0.5}, PROBE, 0.4, True),
        ({"max_batch_probe": 0.3}, PROBE, 0.4, False),
        ({"max_batch_probe_rise": 0.15}, PROBE_RISE, 0.1, True),
        ({"max_batch_probe_rise": 0.05}, PROBE_RISE, 0.1, False),
        ({"check_denoiser": True}, PSNR_GAIN, 1.25, True),
        ({"check_denoiser": True, "min_psnr_gain_db": 2.0}, PSNR_GAIN, 1.25, False),
        ({"max_ece_after_temperature": 0.06}, ECE, 0.05, True),
        ({"max_ece_after_temperature": 0.04}, ECE, 0.05, False),
    ],
)
def test_each_threshold_is_met_or_not(
    settings: dict, metric: str, value: float, passed: bool
) -> None:
    (gate,) = further_gates(EvaluationConfig(**settings), MEASURES, effects(4, 3), True)
    assert gate.metric == metric and gate.passed is passed
    assert gate.value == pytest.approx(value)
    # Not measured: closed, and no value is invented.
    (closed,) = further_gates(EvaluationConfig(**settings), WellMeasures(), None, True)
    assert closed.value is None and not closed.passed


def test_without_a_blessed_model_nothing_is_compared_but_a_missing_probe_is_closed() -> None:
    config = EvaluationConfig(max_batch_probe_rise=0.05)
    assert config.compares_probe
    assert further_gates(config, MEASURES, effects(9, None), False) == []
    (gate,) = further_gates(config, MEASURES, effects(9, None), True)
    assert gate.value is None and not gate.passed


def test_shares_lie_between_0_and_1() -> None:
    with pytest.raises(ConfigError, match=r"max_batch_probe must lie in 0..1; got 1.5"):
        EvaluationConfig(max_batch_probe=1.5)
