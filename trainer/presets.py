"""The shipped sizes of a configuration, and mappings laid over them."""

from __future__ import annotations

import dataclasses
from typing import Any

from trainer.config import TrainerConfig
from trainer.strict import ConfigError, build, to_mapping

#: Preset name -> values that differ from the defaults above.
_PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {
        "model": {
            "image_size_px": 64,
            "denoiser_widths": [24, 32],
            "backbone": "tiny",
            "tiny_widths": [24, 48, 64],
            "embedding_dim": 64,
            "dropout": 0.1,
        },
        "noise": {
            "peak_photons_low": 100.0,
            "read_sigma_high_grey_levels": 10.0,
            "impulse_density_high": 0.05,
        },
        "data": {"minibatch_size": 16, "cache_in_memory": True},
        "optimizer": {"peak_learning_rate": 3e-3},
        "loop": {"epochs": 20, "checkpoint_every_s": 20.0},
    },
    "base": {
        "model": {"image_size_px": 224, "resize_px": 224, "denoiser_widths": [48, 96, 192]},
    },
    "full": {
        "model": {
            "image_size_px": 512,
            "backbone": "EfficientNetV2S",
            "precision": "mixed_bfloat16",
        },
        "data": {"minibatch_size": 16},
        "loop": {"epochs": 90},
    },
}


def preset(name: str, overrides: dict[str, Any] | None = None) -> TrainerConfig:
    """One of the shipped sizes: ``tiny`` (CPU demo), ``base`` (224 px), ``full`` (512 px).

    Parameters
    ----------
    name
        Preset name.
    overrides
        Nested mapping laid over the preset.

    Raises
    ------
    ConfigError
        Unknown preset, or an override that does not fit.
    """
    if name not in _PRESETS:
        raise ConfigError(f"preset must be one of {', '.join(_PRESETS)}; got {name!r}")
    return build(TrainerConfig, _merge(_PRESETS[name], overrides or {}), "")


def resolve(
    config: TrainerConfig, config_preset: str, preset_name: str = "", epochs: int = 0
) -> TrainerConfig:
    """A configuration with what is only known when the run starts.

    Parameters
    ----------
    config
        What was configured.
    config_preset
        Preset that ``config`` began with.
    preset_name
        Preset to take instead: what ``config`` changed in its own is changed in this one too.
        Empty: the same.
    epochs
        Epochs to train; 0: as configured.

    Raises
    ------
    ConfigError
        Unknown preset, or changes that do not fit it.
    """
    if preset_name and preset_name != config_preset:
        config = preset(
            preset_name, _changes(to_mapping(preset(config_preset)), to_mapping(config))
        )
    if epochs:
        config = dataclasses.replace(config, loop=dataclasses.replace(config.loop, epochs=epochs))
    return config


def _changes(base: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
    """Nested values of ``changed`` that differ from ``base``."""
    found: dict[str, Any] = {}
    for key, value in changed.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            below = _changes(base[key], value)
            if below:
                found[key] = below
        elif base.get(key) != value:
            found[key] = value
    return found


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = (
            _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
        )
    return merged


def flatten(config: Any) -> dict[str, Any]:
    """Dotted keys and values of a configuration, for reports and comparisons."""
    flat: dict[str, Any] = {}

    def walk(prefix: str, node: Any) -> None:
        if isinstance(node, dict) and node:
            for key, value in node.items():
                walk(f"{prefix}{key}.", value)
        else:
            flat[prefix[:-1]] = node

    walk("", to_mapping(config))
    return flat
