"""``--parameter name=value``: values of runtime parameters, checked before anything is sent."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.vertex.steps import Parameter
from trainer.strict import ConfigError

#: How each type reads in a message.
WORDS = {
    "STRING": "text",
    "NUMBER_INTEGER": "a whole number",
    "NUMBER_DOUBLE": "a number",
    "BOOLEAN": "true or false",
    "LIST": "a JSON list",
    "STRUCT": "a JSON object",
}


def parse_values(assignments: Sequence[str], declared: Mapping[str, Parameter]) -> dict[str, Any]:
    """Values by name; the last of several for one name wins.

    Parameters
    ----------
    assignments
        ``name=value``, as on the command line.
    declared
        The pipeline's runtime parameters.

    Raises
    ------
    ConfigError
        Not an assignment, an unknown name (with the nearest known one), a value of another
        type, or a parameter without a default that got no value.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"--parameter takes name=value; got {assignment!r}")
        parameter = declared.get(name.strip())
        if parameter is None:
            raise ConfigError(_unknown(name.strip(), declared))
        values[parameter.name] = _value(parameter, text)
    missing = [
        p.name
        for p in declared.values()
        if p.name not in values and p.default is None and not p.optional
    ]
    if missing:
        raise ConfigError(
            f"the pipeline needs a value for {', '.join(missing)}: "
            + " ".join(f"--parameter {name}=VALUE" for name in missing)
        )
    return values


def _unknown(name: str, declared: Mapping[str, Parameter]) -> str:
    if not declared:
        return f"the pipeline has no runtime parameters; got --parameter {name}=..."
    near = difflib.get_close_matches(name, declared, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"unknown parameter {name}{hint} (the pipeline has {', '.join(declared)})"


def _value(parameter: Parameter, text: str) -> Any:
    try:
        return _parse(parameter.type, text)
    except ValueError:
        word = WORDS.get(parameter.type, parameter.type)
        raise ConfigError(f"--parameter {parameter.name} takes {word}; got {text!r}") from None


def _parse(kind: str, text: str) -> Any:
    if kind == "NUMBER_INTEGER":
        return int(text)
    if kind == "NUMBER_DOUBLE":
        number = float(text)
        if not math.isfinite(number):
            raise ValueError(text)
        return number
    if kind == "BOOLEAN":
        if text.lower() not in ("true", "false"):
            raise ValueError(text)
        return text.lower() == "true"
    if kind in ("LIST", "STRUCT"):
        value = json.loads(text)
        if not isinstance(value, list if kind == "LIST" else dict):
            raise ValueError(text)
        return value
    return text
