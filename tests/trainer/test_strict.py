"""Strict building of dataclasses from mappings."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.strict import ConfigError, build, digest, to_mapping


@dataclass(frozen=True)
class Inner:
    rate: float = 0.5
    kind: Literal["plate", "image"] = "plate"


@dataclass(frozen=True)
class Outer:
    count: int
    widths: tuple[int, ...] = (1, 2)
    inner: Inner = field(default_factory=Inner)
    columns: dict[str, str] = field(default_factory=dict)
    limit: float | None = None
    on: bool = False

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ConfigError(f"count must be >= 0; got {self.count}")


@given(
    st.builds(
        Outer,
        count=st.integers(0, 99),
        widths=st.lists(st.integers()).map(tuple),
        inner=st.builds(Inner, rate=st.floats(0, 1), kind=st.sampled_from(["plate", "image"])),
        columns=st.dictionaries(st.text(), st.text()),
        limit=st.none() | st.floats(0, 1),
        on=st.booleans(),
    )
)
def test_round_trip(config: Outer) -> None:
    assert build(Outer, to_mapping(config)) == config
    assert digest(build(Outer, to_mapping(config))) == digest(config)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"count": 1, "wdths": []}, "unknown configuration key: wdths (did you mean widths?)"),
        ({"count": 1, "inner": {"rat": 1}}, "inner.rat (did you mean inner.rate?)"),
        ({}, "missing configuration key: count"),
        ({"count": "1"}, "count must be int, got '1'"),
        ({"count": True}, "count must be int, got True"),
        ({"count": 1, "on": 1}, "on must be bool, got 1"),
        ({"count": 1, "widths": 3}, "widths must be a list, got 3"),
        ({"count": 1, "widths": [1, "x"]}, "widths[1] must be int, got 'x'"),
        ({"count": 1, "inner": 3}, "[inner] must be a table, got 3"),
        ({"count": 1, "columns": 3}, "columns must be a table, got 3"),
        ({"count": 1, "inner": {"kind": "plat"}}, "did you mean 'plate'?"),
        ({"count": -1}, "count must be >= 0; got -1"),
    ],
)
def test_refuses_with_the_key_and_a_hint(mapping: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        build(Outer, mapping)


def test_an_integer_is_a_fine_float() -> None:
    assert build(Outer, {"count": 1, "limit": 1}).limit == 1.0


def test_digest_sees_every_field() -> None:
    base = Outer(1)
    changed = dataclasses.replace(base, inner=Inner(rate=0.25))
    assert digest(base) != digest(changed)
