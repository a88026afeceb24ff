"""Command-line flags for configuration keys: ``--section.key value``.

The text is parsed to the type that the configuration's field has; a tuple is a comma list
or a TOML list, a mapping a TOML inline table or one entry at a time
(``--screen.columns.well WellName``).
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from trainer.strict import ConfigError

_DOTTED = re.compile(r"--([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_-]+)+)(?:=(.*))?", re.DOTALL)
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def dotted_to_set(arguments: Sequence[str]) -> list[str]:
    """Rewrite ``--section.key value`` and ``--section.key=value`` as ``--set section.key=value``.

    Raises
    ------
    ConfigError
        A dotted flag without a value.
    """
    rewritten: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return [*rewritten, word, *rest]
        match = _DOTTED.fullmatch(word)
        if match is None:
            rewritten.append(word)
            continue
        key, value = match.groups()
        if value is None:
            if not rest or rest[0].startswith("--"):
                raise ConfigError(f"--{key} needs a value: --{key} VALUE or --{key}=VALUE")
            value = rest.pop(0)
        rewritten += ["--set", f"{key}={value}"]
    return rewritten


def parse_set(assignment: str) -> tuple[str, str]:
    """Key and value of ``section.key=value``."""
    key, equals, value = assignment.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set takes section.key=value; got {assignment!r}")
    return key.strip(), value


def set_flag(cls: type, mapping: dict[str, Any], key: str, text: str) -> None:
    """Put the value of one flag into a nested mapping for dataclass ``cls``.

    An unknown key is put in as it is: :func:`trainer.strict.build` refuses it by name.
    """
    hint: Any = cls
    parts = key.split(".")
    node = mapping
    for depth, part in enumerate(parts):
        hint = _below(hint, part)
        if depth == len(parts) - 1:
            node[part] = parse_value(hint, text, key)
            return
        below = node.get(part)
        node[part] = dict(below) if isinstance(below, Mapping) else {}
        node = node[part]


def _below(hint: Any, name: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return typing.get_type_hints(hint).get(name)
    if typing.get_origin(hint) in (dict, Mapping):
        return typing.get_args(hint)[1]
    origin = typing.get_origin(hint)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return typing.get_args(hint)[1]
    return None


def parse_value(hint: Any, text: str, where: str) -> Any:
    """Parse text to the type of a field; what does not fit raises ConfigError with the key."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        options = [o for o in typing.get_args(hint) if o is not type(None)]
        return None if text.lower() == "none" else parse_value(options[0], text, where)
    if origin is typing.Literal:
        return next((o for o in typing.get_args(hint) if str(o) == text), text)
    if dataclasses.is_dataclass(hint):
        names = ", ".join(f.name for f in dataclasses.fields(hint))
        raise ConfigError(f"{where} is a section; set one of its keys: {names}")
    if origin is tuple:
        if text.lstrip().startswith("["):
            return _toml(text, where)
        item = typing.get_args(hint)[0]
        return [parse_value(item, part.strip(), where) for part in text.split(",") if part.strip()]
    if origin is not None:
        return _toml(text, where)
    return _scalar(hint, text, where)


def _scalar(hint: Any, text: str, where: str) -> Any:
    if hint is bool:
        if text.lower() in _TRUE + _FALSE:
            return text.lower() in _TRUE
        raise ConfigError(f"{where} must be true or false, got {text!r}")
    if hint in (int, float):
        try:
            return hint(text)
        except ValueError:
            kind = "a whole number" if hint is int else "a number"
            raise ConfigError(f"{where} must be {kind}, got {text!r}") from None
    return text


def _toml(text: str, where: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where}: {text!r} is not a TOML value: {error}") from None
