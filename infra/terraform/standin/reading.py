"""Reads the Terraform configuration with a real HCL parser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hcl2

TERRAFORM = Path(__file__).resolve().parents[1]


def plain(value: Any) -> Any:
    """The parser's tree without its quotes, comments and line marks."""
    if isinstance(value, dict):
        return {str(plain(k)): plain(v) for k, v in value.items() if not str(k).startswith("__")}
    if isinstance(value, list):
        return [plain(entry) for entry in value]
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"':
        return value[1:-1]
    return value


def read(path: Path) -> dict[str, Any]:
    """One file."""
    return plain(hcl2.loads(path.read_text()))


class Configuration:
    """Every ``.tf`` file of a folder."""

    def __init__(self, folder: Path = TERRAFORM) -> None:
        self.files = {path.name: read(path) for path in sorted(folder.glob("*.tf"))}

    def blocks(self, kind: str) -> dict[str, dict[str, Any]]:
        """``TYPE.NAME`` -> body of resources and data sources; ``NAME`` -> body of others."""
        found: dict[str, dict[str, Any]] = {}
        for parsed in self.files.values():
            for entry in parsed.get(kind, []):
                for first, rest in entry.items():
                    if kind in ("resource", "data"):
                        found.update({f"{first}.{name}": body for name, body in rest.items()})
                    else:
                        found[first] = rest
        return found

    def local(self, name: str) -> Any:
        """A local value, its expressions as text.

        Raises
        ------
        KeyError
            There is none of that name.
        """
        for parsed in self.files.values():
            for entry in parsed.get("locals", []):
                if name in entry:
                    return entry[name]
        raise KeyError(name)

    def types(self, kind: str) -> set[str]:
        """Types of the resources or data sources in use."""
        return {key.partition(".")[0] for key in self.blocks(kind)}
