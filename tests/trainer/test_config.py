"""The trainer's configuration and its presets."""

from __future__ import annotations

import pytest

from trainer.config import ModelConfig, NormalizerConfig, TrainerConfig, flatten, preset
from trainer.strict import ConfigError, build, to_mapping


@pytest.mark.parametrize("name", ["tiny", "base", "full"])
def test_presets_build_and_round_trip(name: str) -> None:
    config = preset(name)
    assert build(TrainerConfig, to_mapping(config)) == config


def test_overrides_reach_one_field_and_leave_the_rest() -> None:
    config = preset("tiny", {"loop": {"epochs": 3}})
    assert config.loop.epochs == 3
    assert config.model == preset("tiny").model


def test_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="tiny, base, full"):
        preset("huge")


def test_denoiser_geometry_is_checked_before_any_training() -> None:
    with pytest.raises(ConfigError, match="multiple of 8"):
        ModelConfig(image_size_px=100, denoiser_widths=(8, 16, 32), space_to_depth=2)


def test_normaliser_percentiles_are_ordered() -> None:
    with pytest.raises(ConfigError, match="low < high"):
        NormalizerConfig(low_percentile=99, high_percentile=1)


def test_flatten_gives_dotted_keys() -> None:
    flat = flatten(preset("tiny"))
    assert flat["model.backbone"] == "tiny"
    assert all(not isinstance(value, dict) or not value for value in flat.values())
