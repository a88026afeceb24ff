"""Thresholds that are given when a pipeline is started."""

from __future__ import annotations

import json

import pytest

from components.evaluator.config import THRESHOLDS, EvaluationConfig
from components.evaluator.executor import CONFIG_KEY, read_config
from trainer.strict import ConfigError, to_mapping

CONFIGURED = EvaluationConfig(min_accuracy_per_well=0.3, min_times_chance_per_well=4.0)


def test_the_configured_ones_hold_where_none_is_given():
    properties = {CONFIG_KEY: json.dumps(to_mapping(CONFIGURED)), "code_digest": "x"}
    assert read_config(properties) == CONFIGURED


def test_given_ones_win_and_zero_switches_off():
    given = dict(zip(THRESHOLDS, (0.0, 0.2, 0.0, 2.0), strict=True))
    config = read_config({CONFIG_KEY: json.dumps(to_mapping(CONFIGURED)), **given})
    assert {name: getattr(config, name) for name in THRESHOLDS} == given


def test_nonsense_is_refused():
    with pytest.raises(ConfigError, match=r"min_accuracy_per_well must lie in 0\.\.1"):
        read_config({CONFIG_KEY: json.dumps(to_mapping(CONFIGURED)), "min_accuracy_per_well": 30.0})
