"""What a pipeline service keeps of artifacts: names, the cache, queries for the newest."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

Json = dict[str, Any]
NOT_RESOLVED: Json = {"artifacts": []}
_PLACEHOLDER = re.compile(r"\{\{\$\.inputs\.artifacts\['(\w+)'\]\.metadata\['(\w+)'\]\}\}")


def new_artifact(name: str, uri: str, declared: Json) -> Json:
    return {"name": name, "uri": uri, "type": dict(declared["artifactType"]), "metadata": {}}


def fill(text: str, inputs: Json) -> tuple[str, bool]:
    """Put metadata of inputs in the place of placeholders; and whether some was not there."""
    unknown = False

    def value(match: re.Match[str]) -> str:
        nonlocal unknown
        artifacts = inputs.get(match[1], NOT_RESOLVED)["artifacts"]
        found = artifacts[0]["metadata"].get(match[2]) if artifacts else None
        unknown |= found is None
        return str(found)

    return _PLACEHOLDER.sub(value, text), unknown


def takes(text: str, artifact: Json) -> bool:
    """Whether a filter of the forms that TFX writes takes an artifact."""
    title = re.search(r"title: (\S+)", artifact["type"]["instanceSchema"])
    for condition in text.split(" AND "):
        left, _, right = condition.partition("=")
        number = re.fullmatch(r"metadata\.(\w+)\.number_value", left)
        if left == "schema_title":
            taken = title is not None and title[1] == right.strip('"')
        elif left == "name":
            taken = artifact["name"] == right.strip('"')
        elif left == "state":
            taken = right == "LIVE"
        elif number:
            taken = artifact["metadata"].get(number[1]) == float(right)
        else:
            raise ValueError(f"a filter that TFX does not write: {condition}")
        if not taken:
            return False
    return True


def cache_key(container: Json, artifacts: Json, values: Json) -> str:
    names = {key: [a["name"] for a in one["artifacts"]] for key, one in artifacts.items()}
    parts = [container["command"], container["args"][:2], names, values]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
