"""Flags for configuration keys."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.config import load
from pipelines.flags import dotted_to_set, parse_set
from trainer.strict import ConfigError, to_mapping

ROOT = ("screen.root", "screen")


def test_dotted_flags_become_set() -> None:
    arguments = ["run", "--demo", "--run.name", "a b", "--training.loop.seed=-1", "--set", "x.y=1"]
    assert dotted_to_set(arguments) == [
        *("run", "--demo", "--set", "run.name=a b"),
        *("--set", "training.loop.seed=-1", "--set", "x.y=1"),
    ]
    assert dotted_to_set(["--a.b", "-1"]) == ["--set", "a.b=-1"]
    assert dotted_to_set(["--a.b", ""]) == ["--set", "a.b="]
    assert dotted_to_set(["--a.b=x=y\nz"]) == ["--set", "a.b=x=y\nz"]
    assert dotted_to_set(["check", "./--a.b", "--", "--c.d"]) == ["check", "./--a.b", "--", "--c.d"]


@pytest.mark.parametrize("arguments", [["--run.name"], ["--run.name", "--demo"]])
def test_a_dotted_flag_needs_a_value(arguments: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"--run\.name needs a value"):
        dotted_to_set(arguments)


def test_set_needs_an_equals_sign() -> None:
    assert parse_set("a.b=c=d") == ("a.b", "c=d")
    for text in ("a.b", "=c"):
        with pytest.raises(ConfigError, match=r"--set takes section\.key=value"):
            parse_set(text)


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("run.name", "x", "x"),
        ("run.name", "7", "7"),
        ("run.cache", "false", False),
        ("run.cache", "Yes", True),
        ("training.loop.epochs", "7", 7),
        ("training.optimizer.peak_learning_rate", "1e-4", 1e-4),
        ("training.optimizer.peak_learning_rate", "1", 1.0),
        ("training.preset", "full", "full"),
        ("training.model.tiny_widths", "8,16", [8, 16]),
        ("training.model.tiny_widths", "[8, 16]", [8, 16]),
        ("splits.in_distribution_sites", "", []),
        ("beam.extra_args", "--a=1, --b", ["--a=1", "--b"]),
        ("screen.well_types", '{EMPTY = "negative_control"}', {"EMPTY": "negative_control"}),
    ],
)
def test_values_take_the_type_of_their_key(key: str, text: str, value: Any) -> None:
    node = to_mapping(load(flags=[ROOT, (key, text)]))
    for part in key.split("."):
        node = node[part]
    assert node == value and type(node) is type(value)


def test_entries_of_a_mapping_add_up() -> None:
    flags = [
        ROOT,
        ("screen.well_types.EMPTY", "negative_control"),
        ("screen.well_types.POS", "positive_control"),
    ]
    types = {"EMPTY": "negative_control", "POS": "positive_control"}
    assert load(flags=flags).screen.well_types == types


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("run.nmae", "x", "unknown configuration key: run.nmae (did you mean run.name?)"),
        ("rnu.name", "x", "unknown configuration key: rnu (did you mean run?)"),
        ("run.name.first", "x", "run.name must be str"),
        ("run.cache", "maybe", "run.cache must be true or false, got 'maybe'"),
        ("training.loop.epochs", "1.5", "training.loop.epochs must be a whole number, got '1.5'"),
        ("training.loop.epochs", "many", "training.loop.epochs must be a whole number"),
        ("training.dropout", "x", "unknown configuration key: training.dropout"),
        ("training.model", "x", "training.model is a section; set one of its keys: n_channels"),
        ("training.model.tiny_widths", "8,x", "tiny_widths must be a whole number, got 'x'"),
        ("training.model.tiny_widths", "[8", "'[8' is not a TOML value"),
        ("training.preset", "tinny", "did you mean 'tiny'?"),
        ("screen.well_types", "{", "screen.well_types: '{' is not a TOML value"),
    ],
)
def test_what_is_refused(key: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as info:
        load(flags=[ROOT, (key, text)])
    assert message in str(info.value)
