"""Configuration of ingest from execution properties, those given at the start included."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from components.plate_example_gen.config import QualityConfig, ScreenConfig, SplitConfig
from trainer.strict import build


def read_properties(
    properties: Mapping[str, Any],
) -> tuple[ScreenConfig, SplitConfig, QualityConfig]:
    """Screen, splits and quality of a run.

    Parameters
    ----------
    properties
        ``screen``, ``splits`` and ``quality_config`` as JSON. ``screen_root`` replaces the
        screen's folder. ``train_experiments`` and ``eval_experiments``, names with commas
        between, replace the splits by two lists; an empty first one takes what the second
        leaves. Empty or missing: as configured.

    Raises
    ------
    ConfigError
        Values that do not fit, such as an experiment in both lists.
    """
    screen = json.loads(properties["screen"])
    if properties.get("screen_root"):
        screen["root"] = properties["screen_root"]
    splits = json.loads(properties["splits"])
    train, held_out = (
        _names(properties.get(key) or "") for key in ("train_experiments", "eval_experiments")
    )
    if train or held_out:
        splits |= {"mode": "experiments", "train": train, "eval": held_out, "test": []}
        splits["holdout_per_cell_type"] = 0
    return (
        build(ScreenConfig, screen, "screen."),
        build(SplitConfig, splits, "splits."),
        build(QualityConfig, json.loads(properties["quality_config"]), "quality."),
    )


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
