"""Reads the part of the Dockerfile language that our images use; refuses the rest by name."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

KEYWORDS = frozenset(
    {"ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "FROM", "HEALTHCHECK", "LABEL", "RUN", "SHELL"}
    | {"STOPSIGNAL", "USER", "WORKDIR"}
)
#: In these the builder puts values for $NAME; in the others a shell or nobody does.
EXPANDED = frozenset(["COPY", "ENV", "FROM", "LABEL", "STOPSIGNAL", "USER", "WORKDIR", "ARG"])
_VARIABLE = re.compile(
    r"\\(?P<escaped>\$)|\$(?:(?P<bare>\w+)|\{(?P<name>\w+)(?::(?P<way>[-+])(?P<other>[^}]*))?\})"
)
_PINNED = re.compile(r"^(?P<name>[^@\s]+:[^@\s]+)@(?P<digest>.*)$")
_DIGEST = re.compile(r"^sha256:[0-9a-f]{64}$")


class DockerfileError(Exception):
    """What was read, where, and what is wrong with it."""


@dataclass(frozen=True)
class Instruction:
    """One instruction: ``COPY --from=build /a /b`` has flags (("from", "build"),)."""

    keyword: str
    value: str
    line: int
    flags: tuple[tuple[str, str], ...] = ()

    def flag(self, name: str) -> str | None:
        """The last value of ``--name=value``, None without it."""
        return dict(self.flags).get(name)

    def words(self) -> list[str]:
        """The JSON list of the exec form, else the words as a shell would split them."""
        return exec_form(self.value) or shlex.split(self.value)


@dataclass
class Stage:
    """What stands between one FROM and the next."""

    base: str
    name: str
    line: int
    instructions: list[Instruction] = field(default_factory=list)


@dataclass
class Dockerfile:
    """The arguments before the first FROM (name to default or None), and the stages in order."""

    arguments: dict[str, str | None]
    stages: list[Stage]

    def stage(self, name: str) -> Stage:
        """The stage of that name; ``""`` is the last."""
        if not name:
            return self.stages[-1]
        for stage in self.stages:
            if stage.name == name:
                return stage
        known = ", ".join(stage.name for stage in self.stages)
        raise DockerfileError(f"no stage {name!r}; there are {known}")


def parse(text: str) -> Dockerfile:
    """Read a Dockerfile.

    Raises
    ------
    DockerfileError
        Naming the line: an instruction that is not known here, or one out of place.
    """
    arguments: dict[str, str | None] = {}
    stages: list[Stage] = []
    for instruction in _instructions(text):
        if instruction.keyword == "FROM":
            stages.append(_stage(instruction, len(stages)))
        elif stages:
            stages[-1].instructions.append(instruction)
        elif instruction.keyword == "ARG":
            arguments.update(argument(instruction))
        else:
            raise DockerfileError(f"line {instruction.line}: {instruction.keyword} before FROM")
    if not stages:
        raise DockerfileError("no FROM in it")
    return Dockerfile(arguments, stages)


def _instructions(text: str) -> list[Instruction]:
    found, pending, start = [], "", 0
    for number, line in enumerate(text.splitlines(), 1):
        # Comments and empty lines inside a continued instruction are skipped, as the builder does.
        if line.lstrip().startswith("#") or not line.strip():
            continue
        start = start if pending else number
        pending += line.rstrip().removesuffix("\\") if line.rstrip().endswith("\\") else line
        if not line.rstrip().endswith("\\"):
            found.append(_instruction(pending.strip(), start))
            pending = ""
    if pending:
        raise DockerfileError(f"line {start}: the file ends inside a continued instruction")
    return found


def _instruction(text: str, line: int) -> Instruction:
    keyword, _, rest = text.partition(" ")
    keyword = keyword.upper()
    if keyword not in KEYWORDS:
        raise DockerfileError(f"line {line}: {keyword} is not understood here")
    rest, flags = rest.strip(), []
    while match := re.match(r"--([a-z-]+)(?:=(\S*))?\s+", rest):
        flags.append((match[1], match[2] or ""))
        rest = rest[match.end() :]
    if keyword in ("RUN", "COPY") and "<<" in rest:
        raise DockerfileError(f"line {line}: here-documents are not understood here")
    return Instruction(keyword, rest, line, tuple(flags))


def _stage(instruction: Instruction, index: int) -> Stage:
    words = instruction.value.split()
    if len(words) == 3 and words[1].upper() == "AS":
        return Stage(words[0], words[2], instruction.line)
    if len(words) == 1:
        return Stage(words[0], str(index), instruction.line)
    raise DockerfileError(f"line {instruction.line}: FROM wants IMAGE [AS NAME]")


def argument(instruction: Instruction) -> dict[str, str | None]:
    """What an ARG declares: its name, and its default or None."""
    name, equals, default = instruction.value.partition("=")
    return {name.strip(): shlex.split(default)[0] if default else ("" if equals else None)}


def pairs(instruction: Instruction) -> dict[str, str]:
    """What an ENV or a LABEL sets (``KEY=VALUE`` form alone), unexpanded."""
    found = {}
    for word in shlex.split(instruction.value):
        name, equals, value = word.partition("=")
        if not equals:
            raise DockerfileError(
                f"line {instruction.line}: {instruction.keyword} wants KEY=VALUE, got {word!r}"
            )
        found[name] = value
    return found


def exec_form(value: str) -> list[str] | None:
    """The list of ``["a", "b"]``, None for the shell form."""
    if not value.startswith("["):
        return None
    try:
        words = json.loads(value)
    except ValueError:
        return None
    return words if all(isinstance(word, str) for word in words) else None


def expand(text: str, values: Mapping[str, str]) -> str:
    """``$NAME``, ``${NAME}``, ``${NAME:-other}`` and ``${NAME:+other}``; unset is empty."""

    def value(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        found = values.get(match["bare"] or match["name"], "")
        if match["way"] == "-":
            return found or match["other"]
        if match["way"] == "+":
            return match["other"] if found else ""
        return found

    return _VARIABLE.sub(value, text)


def bases(dockerfile: Dockerfile) -> list[Stage]:
    """The stages that start from an image of a registry, not from another stage.

    ``FROM runtime-${VARIANT}`` starts from a stage: some stage's name fits it.
    """
    names = [stage.name for stage in dockerfile.stages]

    def is_stage(base: str) -> bool:
        pattern = re.sub(r"\\\$\\\{\w+\\\}", r"[\\w-]+", re.escape(base))
        return any(re.fullmatch(pattern, name) for name in names)

    return [stage for stage in dockerfile.stages if not is_stage(stage.base)]


def pinned(stage: Stage, values: Mapping[str, str]) -> tuple[str, str]:
    """Name and digest of a base image, such as ("python:3.11-slim-bookworm", "sha256:...").

    Raises
    ------
    DockerfileError
        Where it is not NAME:TAG@sha256:DIGEST, which a container engine refuses too.
    """
    base = expand(stage.base, values)
    match = _PINNED.match(base)
    if not match or not _DIGEST.match(match["digest"]):
        raise DockerfileError(
            f"line {stage.line}: the base {base!r} is not pinned: wanted NAME:TAG@sha256:DIGEST "
            f"from {stage.base}; give the digest with --build-arg"
        )
    return match["name"], match["digest"]


def read(path: str | Path) -> Dockerfile:
    """Read the Dockerfile at a path; its errors name the path."""
    try:
        return parse(Path(path).read_text())
    except DockerfileError as error:
        raise DockerfileError(f"{path}: {error}") from None
