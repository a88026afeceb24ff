"""Executes a Dockerfile's steps without a container engine, each stage in a folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine import dockerfile as language
from engine.chroot import Mount, Process, inside, run
from engine.copying import copy, copy_into
from engine.dockerfile import Dockerfile, DockerfileError, Instruction, Stage, expand
from engine.ignore import files

#: Settings of this machine's package clients: steps see them, images do not keep them.
_SETTINGS = ("PIP_", "GOPROXY", "GOSUMDB", "SSL_CERT_", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_SETTING_FILES = ("/etc/pip.conf",)


class BuildError(Exception):
    """A step that failed: the Dockerfile's line, the step, how it ended."""


@dataclass
class Image:
    """What a stage has come to: a root file system and a configuration."""

    root: Path
    env: dict[str, str]
    user: str = ""
    workdir: str = "/"
    shell: list[str] = field(default_factory=lambda: ["/bin/sh", "-c"])
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)

    def config(self) -> dict:
        """The configuration, with the names that image formats use."""
        return {
            "Env": self.env,
            "User": self.user,
            "WorkingDir": self.workdir,
            "Entrypoint": self.entrypoint,
            "Cmd": self.command,
            "Healthcheck": self.health,
            "Labels": dict(sorted(self.labels.items())),
        }


@dataclass
class Builder:
    """Builds the stages that a target needs, in ``work``; caches stay in ``cache``."""

    dockerfile: Dockerfile
    context: Path
    work: Path
    cache: Path
    arguments: Mapping[str, str]
    base: Callable[[str], tuple[Path, dict[str, str]]]
    say: Callable[[str], None] = print

    def __post_init__(self) -> None:
        self.images: dict[str, Image] = {}
        self.snapshot = self.work / "context"
        known = set(self.dockerfile.arguments)
        for stage in self.dockerfile.stages:
            for step in stage.instructions:
                known |= set(language.argument(step)) if step.keyword == "ARG" else set()
        if unknown := sorted(set(self.arguments) - known):
            raise DockerfileError(f"no ARG {', '.join(unknown)}; there are {', '.join(known)}")
        self.globals = {
            name: self.arguments.get(name, default or "")
            for name, default in self.dockerfile.arguments.items()
        }

    def build(self, target: str = "") -> Image:
        """Build the target (the last stage by default) and what it needs."""
        self.work.mkdir(parents=True)
        copy_into(self.context, list(files(self.context)), self.snapshot)
        return self._image(self.dockerfile.stage(target))

    def _image(self, stage: Stage) -> Image:
        if stage.name not in self.images:
            self.images[stage.name] = self._run_stage(stage)
        return self.images[stage.name]

    def _run_stage(self, stage: Stage) -> Image:
        base = expand(stage.base, self.globals)
        names = [other.name for other in self.dockerfile.stages]
        root = self.work / f"stage-{stage.name}"
        if base in names:
            parent = self._image(self.dockerfile.stage(base))
            image = Image(root, dict(parent.env), parent.user, parent.workdir, parent.shell)
            image.entrypoint, image.command = parent.entrypoint, parent.command
            image.health, image.labels = parent.health, dict(parent.labels)
            source = parent.root
        else:
            source, env = self.base(base.partition("@")[0])
            image = Image(root, env)
        self.say(f"{stage.name}: from {base.partition('@')[0]}")
        subprocess.run(["cp", "-a", "--reflink=auto", source, root], check=True)
        scope: dict[str, str] = {}
        for step in stage.instructions:
            self._step(step, image, scope)
        return image

    def _step(self, step: Instruction, image: Image, scope: dict[str, str]) -> None:
        values = scope | image.env
        keyword = step.keyword
        text = expand(step.value, values) if keyword in language.EXPANDED else step.value
        expanded = Instruction(keyword, text, step.line, step.flags)
        if keyword == "ARG":
            for name, default in language.argument(expanded).items():
                given = self.arguments.get(name, default)
                scope[name] = self.globals.get(name, "") if given is None else given
        elif keyword == "ENV":
            image.env.update(self._pairs(step, values))
        elif keyword == "LABEL":
            image.labels.update(self._pairs(step, values))
        elif keyword == "USER":
            image.user = text
        elif keyword == "WORKDIR":
            image.workdir = os.path.normpath(os.path.join(image.workdir, text))
            inside(image.root, image.workdir).mkdir(parents=True, exist_ok=True)
        elif keyword == "COPY":
            self._copy(expanded, image)
        elif keyword == "RUN":
            self._run(step, image, scope)
        else:
            _configure(step, image)

    @staticmethod
    def _pairs(step: Instruction, values: Mapping[str, str]) -> dict[str, str]:
        return {name: expand(value, values) for name, value in language.pairs(step).items()}

    def _copy(self, step: Instruction, image: Image) -> None:
        if unknown := {name for name, _ in step.flags} - {"from", "chown", "chmod"}:
            raise DockerfileError(f"line {step.line}: COPY --{unknown.pop()} is not understood")
        *sources, target = step.words()
        origin = self._origin(step.flag("from"))
        into = os.path.join(image.workdir, target) + ("/" if target.endswith("/") else "")
        try:
            owner = owner_of(step.flag("chown") or "0:0", image.root)
            copy(origin, sources, image.root, into, owner, step.flag("chmod"))
        except OSError as error:
            raise BuildError(f"line {step.line}: COPY {step.value}: {error}") from None

    def _origin(self, name: str | None) -> Path:
        return self._image(self.dockerfile.stage(name)).root if name else self.snapshot

    def _run(self, step: Instruction, image: Image, scope: Mapping[str, str]) -> None:
        settings = {name: value for name, value in os.environ.items() if name.startswith(_SETTINGS)}
        mounts = [self._mount(value, image, step.line) for name, value in step.flags]
        paths = dict.fromkeys([*_SETTING_FILES, *settings.values()])
        mounts += [Mount(path, path) for path in paths if path[:1] == "/" and Path(path).exists()]
        argv = language.exec_form(step.value) or [*image.shell, step.value]
        uid, gid = owner_of(image.user or "0:0", image.root)
        home = {"HOME": "/root" if uid == 0 else "/"}
        env = home | settings | dict(scope) | image.env
        self.say(f"  {step.line}: RUN {step.value[:100]}")
        code = run(Process(str(image.root), argv, env, uid, gid, image.workdir, mounts))
        if code:
            raise BuildError(f"line {step.line}: exit code {code} from RUN {step.value}")

    def _mount(self, value: str, image: Image, line: int) -> Mount:
        options = dict(part.partition("=")[::2] for part in value.split(","))
        kind, target = options.get("type", "bind"), options.get("target", "")
        target = os.path.join(image.workdir, target)
        if kind == "cache":
            folder = self.cache / options.get("id", target.strip("/").replace("/", "-"))
            folder.mkdir(parents=True, exist_ok=True)
            return Mount(target, str(folder), read_only=False)
        if kind == "bind":
            origin = self._origin(options.get("from"))
            return Mount(target, str(inside(origin, options.get("source", "/"))))
        if kind == "tmpfs":
            return Mount(target)
        raise DockerfileError(f"line {line}: RUN --mount=type={kind} is not understood here")


def _configure(step: Instruction, image: Image) -> None:
    words = language.exec_form(step.value) or [*image.shell, step.value]
    if step.keyword == "SHELL":
        image.shell = words
    elif step.keyword == "ENTRYPOINT":
        image.entrypoint, image.command = words, []
    elif step.keyword == "CMD":
        image.command = words
    elif step.keyword == "HEALTHCHECK":
        command = step.value.removeprefix("CMD").strip()
        image.health = language.exec_form(command) or [*image.shell, command]


def owner_of(owner: str, root: Path) -> tuple[int, int]:
    """User and group numbers of ``NAME[:GROUP]`` or ``UID[:GID]`` as the root knows them."""
    user, _, group = owner.partition(":")
    users = _table(root / "etc/passwd")
    if not user.isdigit() and user not in users:
        raise BuildError(f"no user {user!r} in {root}/etc/passwd")
    uid = int(user) if user.isdigit() else int(users[user][2])
    if not group:
        known = [row[3] for row in users.values() if row[2] == str(uid)]
        return uid, int(known[0]) if known else 0
    groups = _table(root / "etc/group")
    if not group.isdigit() and group not in groups:
        raise BuildError(f"no group {group!r} in {root}/etc/group")
    return uid, int(group) if group.isdigit() else int(groups[group][2])


def _table(path: Path) -> dict[str, list[str]]:
    rows = [line.split(":") for line in path.read_text().splitlines()] if path.exists() else []
    return {row[0]: row for row in rows if len(row) > 3 or len(row) == 4}


def finish(image: Image, out: Path, epoch_s: int) -> None:
    """Move a built root to ``out``, no file in it newer than ``epoch_s`` (seconds since 1970)."""
    for folder, folders, names in os.walk(image.root, topdown=False):
        for name in (*folders, *names):
            path = os.path.join(folder, name)
            if os.lstat(path).st_mtime > epoch_s:
                os.utime(path, (epoch_s, epoch_s), follow_symlinks=False)
    os.utime(image.root, (epoch_s, epoch_s))
    shutil.move(image.root, out)
