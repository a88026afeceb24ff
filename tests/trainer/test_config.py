"""The trainer's configuration and its presets."""

from __future__ import annotations

import dataclasses

import pytest

from trainer.config import ModelConfig, NormalizerConfig, TrainerConfig
from trainer.presets import flatten, preset, resolve
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


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("optimizer", "peak_learning_rate", 0.0),
        ("optimizer", "clip_global_norm", 0.0),
        ("optimizer", "warmup_share", 1.5),
        ("optimizer", "weight_decay", -0.1),
        ("data", "minibatch_size", 0),
        ("data", "open_plates", 0),
        ("loop", "seed", -1),
        ("loop", "seed", 2**31),
        ("predict", "minibatch_size", 0),
        ("predict", "protocol_peak_photons", 0.0),
        ("predict", "top_k", -1),
    ],
)
def test_values_that_would_fail_in_the_middle_of_a_run_are_refused(
    section: str, name: str, value: float
) -> None:
    with pytest.raises(ConfigError, match=f"{name} must"):
        preset("tiny", {section: {name: value}})


def test_normaliser_percentiles_are_ordered() -> None:
    with pytest.raises(ConfigError, match="low < high"):
        NormalizerConfig(low_percentile=99, high_percentile=1)


def test_flatten_gives_dotted_keys() -> None:
    flat = flatten(preset("tiny"))
    assert flat["model.backbone"] == "tiny"
    assert all(not isinstance(value, dict) or not value for value in flat.values())


def test_a_preset_chosen_late_keeps_what_was_changed() -> None:
    changed = preset("tiny", {"model": {"dropout": 0.3}, "loop": {"seed": 7}})
    assert resolve(changed, "tiny") == changed
    assert resolve(changed, "tiny", "tiny") == changed
    assert resolve(changed, "tiny", "full") == preset(
        "full", {"model": {"dropout": 0.3}, "loop": {"seed": 7}}
    )
    assert resolve(changed, "tiny", epochs=3).loop == dataclasses.replace(changed.loop, epochs=3)
    # A changed number of epochs is a change too; one given now wins over it.
    longer = preset("tiny", {"loop": {"epochs": 33}})
    assert resolve(longer, "tiny", "base").loop.epochs == 33
    assert resolve(longer, "tiny", "base", epochs=2).loop.epochs == 2
    with pytest.raises(ConfigError, match="preset must be one of tiny, base, full; got 'huge'"):
        resolve(changed, "tiny", "huge")
    with pytest.raises(ConfigError, match="epochs must be at least 1"):
        resolve(changed, "tiny", epochs=-1)
