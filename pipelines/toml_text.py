"""A configuration as TOML text, with the meaning of every key beside it.

The meanings are the ``#:`` comments of the dataclasses, so there is one place to keep them.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(config: Any, comments: bool = True) -> str:
    """TOML text of a nested dataclass; a value of None is left out.

    Reading it back with :func:`pipelines.config.load` gives the same configuration.
    """
    return "\n".join(_section(config, "", comments)).strip() + "\n"


def _section(config: Any, name: str, comments: bool) -> Iterator[str]:
    meanings = key_comments(config.__class__) if comments else {}
    below = []
    if name:
        yield ""
        yield from _comment(_summary(config.__class__)) if comments else ()
        yield f"[{name}]"
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        if dataclasses.is_dataclass(value):
            below.append((f.name, value))
        elif value is not None:
            yield from _comment(meanings.get(f.name, ""))
            yield f"{f.name} = {toml_value(value)}"
    for key, value in below:
        yield from _section(value, f"{name}.{key}" if name else key, comments)


def _comment(text: str) -> Iterator[str]:
    for line in textwrap.wrap(text, 98, break_long_words=False, break_on_hyphens=False):
        yield f"# {line}"


def _summary(cls: type) -> str:
    return (inspect.getdoc(cls) or "").partition("\n")[0].replace("``", "")


@functools.cache
def key_comments(cls: type) -> dict[str, str]:
    """Meaning of each field of a dataclass: the ``#:`` lines above it, inherited ones too."""
    meanings: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        source = textwrap.dedent(inspect.getsource(base))
        lines = source.splitlines()
        (definition,) = ast.parse(source).body
        assert isinstance(definition, ast.ClassDef)
        for node in definition.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                meanings[node.target.id] = _lines_above(lines, node.lineno - 1)
    return meanings


def _lines_above(lines: list[str], index: int) -> str:
    words: list[str] = []
    while index > 0 and lines[index - 1].lstrip().startswith("#:"):
        index -= 1
        words.insert(0, lines[index].lstrip()[2:].strip())
    return " ".join(words).replace("``", "")


def toml_value(value: Any) -> str:
    """TOML text of a scalar, a sequence, a mapping or a dataclass within one."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        items = (f"{_key(str(k))} = {toml_value(v)}" for k, v in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_value(v) for v in value) + "]"
    raise TypeError(f"TOML has no form for {value!r}")


def _key(text: str) -> str:
    return text if _BARE_KEY.fullmatch(text) else _string(text)


def _string(text: str) -> str:
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return (
        '"'
        + "".join(escapes.get(c, c if _printable(c) else f"\\u{ord(c):04X}") for c in text)
        + '"'
    )


def _printable(character: str) -> bool:
    return ord(character) >= 0x20 and ord(character) != 0x7F
