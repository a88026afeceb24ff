"""Thresholds: what they ask, and what is refused."""

from __future__ import annotations

import subprocess
import sys

import pytest

from components.evaluator.config import EvaluationConfig
from trainer.strict import ConfigError, build, to_mapping


def test_thresholds_in_multiples_of_chance_follow_the_number_of_classes() -> None:
    config = EvaluationConfig(
        min_accuracy_per_well=0.1,
        min_times_chance_per_well=3.0,
        min_times_chance_worst_experiment=2.0,
    )
    assert config.required_per_well(8) == 3 / 8
    assert config.required_per_well(1108) == 0.1
    assert config.required_worst_experiment(8) == 2 / 8
    assert config.required_per_well(2) == 1.0  # never more than everything


def test_a_threshold_of_zero_asks_nothing() -> None:
    off = EvaluationConfig(min_times_chance_per_well=0.0, min_times_chance_worst_experiment=0.0)
    assert off.required_per_well(8) == off.required_worst_experiment(8) == 0.0


def test_every_slice_is_crossed_with_the_level_and_experiments_are_always_there() -> None:
    config = EvaluationConfig(slices=("cell_type", "experiment x site"))
    assert config.slice_columns() == [
        ["level"],
        ["level", "cell_type"],
        ["level", "experiment", "site"],
        ["level", "experiment"],
        ["level", "well_type"],
        ["level", "well_type", "experiment"],
    ]
    asked = EvaluationConfig(slices=("experiment x well_type", "well_type", "experiment"))
    assert len(asked.slice_columns()) == 4


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"slices": ["experiment x plate"]}, "unknown column 'plate'"),
        ({"min_accuracy_per_well": 40.0}, "min_accuracy_per_well must lie in 0..1"),
        ({"min_times_chance_per_well": -1.0}, "min_times_chance_per_well must be >= 0"),
        ({"min_psnr_gain_db": 5.0}, "min_psnr_gain_db is 5.0 but check_denoiser is false"),
        ({"min_psnr_gain_db": -1.0}, "min_psnr_gain_db is -1.0 but check_denoiser is false"),
        (
            {"check_denoiser": True, "min_psnr_gain_db": float("nan")},
            "min_psnr_gain_db must be finite; got nan",
        ),
        (
            {"compare_with_baseline": False, "max_batch_probe_rise": 0.05},
            "max_batch_probe_rise is 0.05 but compare_with_baseline is false",
        ),
        ({"min_acuracy_per_well": 0.4}, "did you mean evaluation.min_accuracy_per_well"),
    ],
)
def test_what_cannot_be_asked_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(EvaluationConfig, values, "evaluation.")


def test_switches_alone_contradict_nothing() -> None:
    EvaluationConfig(compare_with_baseline=False)
    assert EvaluationConfig(check_denoiser=True).min_psnr_gain_db == 0.0
    assert EvaluationConfig(check_denoiser=True, min_psnr_gain_db=5.0).min_psnr_gain_db == 5.0


def test_it_survives_json() -> None:
    config = EvaluationConfig(slices=("site",), confidence_intervals=False)
    assert build(EvaluationConfig, to_mapping(config)) == config


def test_configuration_and_results_import_no_framework() -> None:
    code = (
        "import sys, components.evaluator.config, components.evaluator.results; "
        "print(sorted({m.split('.')[0] for m in sys.modules}"
        " & {'tfx', 'tensorflow', 'tensorflow_model_analysis', 'apache_beam', 'numpy'}))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
