"""Stand-ins for the base images: Debian's own packages, put together by debootstrap.

An official image cannot be had without a registry. What stands in has the same Debian release and
the same Python minor version; it differs in that Python is Debian's build under /usr/bin, not the
image's own under /usr/local/bin, and in its patch release.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from engine.chroot import Process, run

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PYTHON = ("ca-certificates", "netbase", "python3-distutils", "python3.11", "python3.11-venv")
#: What Debian's slim images leave out.
_LEFT_OUT = ("usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "var/log")


class BaseError(Exception):
    """A stand-in that cannot be made, and what would help."""


@dataclass(frozen=True)
class StandIn:
    """How to put together what stands in for an image, and the image's own variables."""

    packages: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": _PATH})
    finish: Callable[[Path], None] = lambda root: None


def _name_python(root: Path) -> None:
    for name in ("python", "python3"):
        link = root / "usr/bin" / name
        if not link.is_symlink():
            link.symlink_to("python3.11")


def _add_go(root: Path) -> None:
    """Copy this machine's Go: Debian 12's own is older than Beam's boot program wants."""
    if not shutil.which("go"):
        raise BaseError("golang:1.26-bookworm: this machine has no Go to stand in; install Go 1.26")
    found = subprocess.run(["go", "env", "GOROOT"], check=True, capture_output=True, text=True)
    shutil.copytree(found.stdout.strip(), root / "usr/local/go", symlinks=True)
    (root / "go").mkdir()


STAND_INS = {
    "python:3.11-slim-bookworm": StandIn(_PYTHON, finish=_name_python),
    "python:3.11-bookworm": StandIn((*_PYTHON, "g++", "python3.11-dev"), finish=_name_python),
    "golang:1.26-bookworm": StandIn(
        ("ca-certificates",),
        {"PATH": f"/go/bin:/usr/local/go/bin:{_PATH}", "GOPATH": "/go", "GOTOOLCHAIN": "local"},
        _add_go,
    ),
}


def stand_in(image: str, folder: Path) -> tuple[Path, dict[str, str]]:
    """The root file system standing in for an image (made once a folder), and its variables."""
    if image not in STAND_INS:
        raise BaseError(f"nothing stands in for {image!r}; known: {', '.join(sorted(STAND_INS))}")
    recipe = STAND_INS[image]
    return _once(folder / image.replace(":", "-"), lambda root: _make(recipe, folder, root)), dict(
        recipe.environment
    )


def _once(path: Path, make: Callable[[Path], None]) -> Path:
    """``path``, made under another name first, so that half of one is never used."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        make(partial)
        partial.rename(path)
    return path


def _make(recipe: StandIn, folder: Path, root: Path) -> None:
    debian = _once(folder / "debian-bookworm", _debootstrap)
    subprocess.run(["cp", "-a", "--reflink=auto", debian, root], check=True)
    _apt(root, "update", "--quiet")
    _apt(root, "dist-upgrade", "--yes", "--quiet")
    _apt(root, "install", "--yes", "--quiet", "--no-install-recommends", *recipe.packages)
    _apt(root, "clean")
    recipe.finish(root)
    for name in ("hosts", "resolv.conf"):  # debootstrap copies this machine's
        (root / "etc" / name).write_text("")
    for name in ("var/lib/apt/lists", "var/cache/apt", "var/cache/ldconfig", *_LEFT_OUT):
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).mkdir(parents=True)


def _apt(root: Path, *arguments: str) -> None:
    env = {"PATH": _PATH, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    with tempfile.TemporaryFile("w+") as log:
        code = run(Process(str(root), ["apt-get", *arguments], env), log)
        if code:
            log.seek(0)
            raise BaseError(f"apt-get {arguments[0]} in {root}: exit code {code}\n{log.read()}")


def _debootstrap(root: Path) -> None:
    if not shutil.which("debootstrap"):
        raise BaseError("no debootstrap here: apt-get install debootstrap")
    sources = _sources()
    mirror = next(address for address, suite, _ in sources if suite == "bookworm")
    subprocess.run(
        ["debootstrap", "--variant=minbase", "bookworm", root, mirror],
        check=True,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
    )
    lines = [f"deb {address} {suite} {component}\n" for address, suite, component in sources]
    (root / "etc/apt/sources.list").write_text("".join(lines))


def _sources() -> list[tuple[str, str, str]]:
    """Address, suite and component of this machine's own Debian sources; read, never written."""
    columns = "$(SITE) $(RELEASE) $(COMPONENT)"
    listed = subprocess.run(
        ["apt-get", "indextargets", f"--format={columns}", "Created-By: Packages"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    rows = dict.fromkeys(tuple(line.split()) for line in listed.splitlines())
    found = [row for row in rows if len(row) == 3 and row[1].startswith("bookworm")]
    found = [(site, suite, part) for site, suite, part in found if part == "main"]
    if not any(suite == "bookworm" for _, suite, _ in found):
        raise BaseError("this machine's apt has no source for Debian 12 (bookworm)")
    return found
