"""The files of a build context: what .dockerignore leaves of a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path


class Ignore:
    """The patterns of a .dockerignore: the last that fits a path, or a folder above it, decides."""

    def __init__(self, text: str) -> None:
        self.patterns: list[tuple[bool, re.Pattern[str]]] = []
        for line in text.splitlines():
            pattern = line.strip()
            if not pattern or pattern.startswith("#"):
                continue
            kept = pattern.startswith("!")
            self.patterns.append((kept, _compiled(pattern.removeprefix("!").strip().strip("/"))))

    def ignores(self, path: str) -> bool:
        """Whether the path, relative to the context with forward slashes, is left out."""
        parts = path.strip("/").split("/")
        prefixes = ["/".join(parts[: n + 1]) for n in range(len(parts))]
        ignored = False
        for kept, pattern in self.patterns:
            if any(pattern.fullmatch(prefix) for prefix in prefixes):
                ignored = not kept
        return ignored


def _compiled(pattern: str) -> re.Pattern[str]:
    expression, rest = "", pattern
    while rest:
        if rest.startswith("**/"):
            expression, rest = expression + "(?:.*/)?", rest[3:]
        elif rest.startswith("**"):
            expression, rest = expression + ".*", rest[2:]
        elif rest[0] == "*":
            expression, rest = expression + "[^/]*", rest[1:]
        elif rest[0] == "?":
            expression, rest = expression + "[^/]", rest[1:]
        else:
            expression, rest = expression + re.escape(rest[0]), rest[1:]
    return re.compile(expression)


def files(context: Path) -> Iterator[str]:
    """The context's files, relative and sorted, without what its .dockerignore leaves out."""
    listed = context / ".dockerignore"
    ignore = Ignore(listed.read_text() if listed.exists() else "")
    for folder, folders, names in os.walk(context):
        folders.sort()
        for name in sorted(names):
            path = os.path.relpath(os.path.join(folder, name), context)
            if not ignore.ignores(path):
                yield path
