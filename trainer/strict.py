"""Builds frozen dataclasses from plain mappings, strictly.

Configuration comes from TOML, JSON and command-line flags. Whatever is not known is
refused, with the nearest known name, because a misspelt key that is silently ignored
costs a training run.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names the key and what to do."""


def build(cls: type[T], mapping: Mapping[str, Any], where: str = "") -> T:
    """Build dataclass ``cls`` from a nested mapping.

    Parameters
    ----------
    cls
        A dataclass whose fields are scalars, tuples of scalars, mappings of strings,
        or dataclasses.
    mapping
        Values; missing keys take the field's default.
    where
        Dotted prefix for error messages, such as ``"training."``.

    Raises
    ------
    ConfigError
        Unknown key (with the nearest known one), missing key, or a value of the wrong
        type; or what the dataclass's own ``__post_init__`` raises.
    """
    if not isinstance(mapping, Mapping):
        raise ConfigError(f"[{where.rstrip('.')}] must be a table, got {mapping!r}")
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in mapping:
        if key not in fields:
            raise ConfigError(_unknown_key(where, key, list(fields)))
    values = {k: _convert(hints[k], v, f"{where}{k}") for k, v in mapping.items()}
    required = [
        name
        for name, f in fields.items()
        if f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
        and name not in values
    ]
    if required:
        raise ConfigError(f"missing configuration key: {where}{required[0]}")
    try:
        return cls(**values)
    except ConfigError as error:
        raise ConfigError(f"{where}{error}" if where else str(error)) from None


def _unknown_key(where: str, key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f"did you mean {where}{near[0]}?" if near else f"known keys: {', '.join(known)}"
    return f"unknown configuration key: {where}{key} ({hint})"


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        options = typing.get_args(hint)
        if value is None and type(None) in options:
            return None
        return _convert(next(o for o in options if o is not type(None)), value, where)
    if origin is typing.Literal:
        return _literal(typing.get_args(hint), value, where)
    if dataclasses.is_dataclass(hint):
        return build(typing.cast(type, hint), value, f"{where}.")
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{where} must be a list, got {value!r}")
        item = typing.get_args(hint)[0]
        return tuple(_convert(item, v, f"{where}[{i}]") for i, v in enumerate(value))
    if origin in (dict, Mapping) or (origin is not None and issubclass(origin, Mapping)):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} must be a table, got {value!r}")
        item = typing.get_args(hint)[1]
        return {str(k): _convert(item, v, f"{where}.{k}") for k, v in value.items()}
    return _scalar(hint, value, where)


def _literal(options: tuple[Any, ...], value: Any, where: str) -> Any:
    if value in options:
        return value
    near = difflib.get_close_matches(str(value), [str(o) for o in options], n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    known = ", ".join(repr(o) for o in options)
    raise ConfigError(f"{where} must be one of {known}; got {value!r}{hint}")


def _scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, hint) and not (hint in (int, float) and isinstance(value, bool)):
        return value
    raise ConfigError(f"{where} must be {hint.__name__}, got {value!r}")


def to_mapping(config: Any) -> dict[str, Any]:
    """Nested plain mapping of a dataclass: the inverse of :func:`build`, JSON-safe."""
    return typing.cast(dict[str, Any], json.loads(json.dumps(dataclasses.asdict(config))))


def digest(*parts: Any) -> str:
    """Short hexadecimal SHA-256 of dataclasses and JSON-safe values, in order."""
    plain = [to_mapping(p) if dataclasses.is_dataclass(p) else p for p in parts]
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
