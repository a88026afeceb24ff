"""Runs a command in a root file system: own mounts and processes, as the image's user.

Run as a program, this file is the inner half: already in namespaces of its own, it mounts,
changes root, gives up root's rights and becomes the command.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_PR_SET_PDEATHSIG = 1
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1


@dataclass(frozen=True)
class Mount:
    """One mount: a bind of ``source``, or a tmpfs where ``source`` is empty."""

    target: str
    source: str = ""
    read_only: bool = True
    options: str = ""


@dataclass(frozen=True)
class Process:
    """What to run and with what rights. ``network=False`` leaves only a loopback device."""

    root: str
    argv: Sequence[str]
    env: dict[str, str]
    uid: int = 0
    gid: int = 0
    workdir: str = "/"
    mounts: Sequence[Mount] = field(default_factory=tuple)
    network: bool = True
    read_only_root: bool = False


def run(process: Process, output: IO[str] | None = None) -> int:
    """Run the process to its end, or till this one is told to stop; returns its exit code.

    What it prints goes to ``output``, or where this process prints.
    """
    mounts = [*_system_mounts(), *process.mounts]
    with _mount_points(Path(process.root), mounts):
        described = asdict(process) | {"mounts": [asdict(mount) for mount in mounts]}
        read_end, write_end = os.pipe()
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        command += [] if process.network else ["--net"]
        command += [sys.executable, "-I", __file__, str(read_end)]
        with (
            subprocess.Popen(command, pass_fds=[read_end], stdout=output, stderr=output) as child,
            _passed_on(child),
        ):
            os.close(read_end)
            with os.fdopen(write_end, "w") as stream:
                json.dump(described, stream)
            return child.wait()


@contextlib.contextmanager
def _passed_on(child: subprocess.Popen) -> Iterator[None]:
    """A signal that would end this process ends the child, and with it all in its namespace."""

    def end(number: int, frame: FrameType | None) -> None:
        child.kill()

    # Python lets the main thread alone say what a signal does.
    main = threading.current_thread() is threading.main_thread()
    stopping = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT) if main else ()
    before = {number: signal.signal(number, end) for number in stopping}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _system_mounts() -> list[Mount]:
    mounts = [Mount("/dev", options="mode=755")]
    mounts += [Mount(f"/dev/{name}", f"/dev/{name}", read_only=False) for name in _DEVICES]
    mounts += [Mount("/dev/shm", options="mode=1777"), Mount("/sys", "/sys")]
    # As a container engine does: names are looked up as on this machine.
    return mounts + [Mount(path, path) for path in ("/etc/resolv.conf", "/etc/hosts")]


def inside(root: Path, path: str) -> Path:
    """Where ``path`` is once ``root`` is the root: links never lead out of it."""
    resolved, parts, links = root, [part for part in path.split("/") if part], 0
    while parts:
        part = parts.pop(0)
        if part in (".", ".."):
            resolved = resolved.parent if part == ".." and resolved != root else resolved
            continue
        here = resolved / part
        if here.is_symlink():
            links += 1
            if links > 40:
                raise OSError(f"too many links on the way to {path} in {root}")
            target = str(here.readlink())
            resolved = root if target.startswith("/") else resolved
            parts = [piece for piece in target.split("/") if piece] + parts
        else:
            resolved = here
    return resolved


@contextlib.contextmanager
def _mount_points(root: Path, mounts: Sequence[Mount]) -> Iterator[None]:
    """Make the files and folders that mounts need, and afterwards remove those it made.

    They stay while another process runs in the same root: removing one would take its mount.
    """
    made: list[Path] = []
    with contextlib.ExitStack() as stack:
        lock = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        stack.callback(os.close, lock)
        fcntl.flock(lock, fcntl.LOCK_SH)
        for number, mount in enumerate(mounts):
            if any(mount.target.startswith(f"{above.target}/") for above in mounts[:number]):
                continue  # on a mount of its own, by the inner half once that is there
            made += _make_point(inside(root, mount.target), mount)
        try:
            yield
        finally:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for point in reversed(made):
                    _remove_point(point)


def _remove_point(point: Path) -> None:
    """Remove a mount point, its folder's time kept; with something in it meanwhile it stays."""
    times = point.parent.stat()
    with contextlib.suppress(OSError):
        point.rmdir() if point.is_dir() else point.unlink()
        os.utime(point.parent, ns=(times.st_atime_ns, times.st_mtime_ns))


def _make_point(point: Path, mount: Mount) -> list[Path]:
    """Make what a mount covers; returns what was missing, outermost first."""
    missing = [folder for folder in (point, *point.parents) if not os.path.lexists(folder)]
    is_file = bool(mount.source) and not Path(mount.source).is_dir()
    for folder in reversed(missing):
        times = folder.parent.stat()
        if folder == point and is_file:
            folder.touch()
        else:
            folder.mkdir()
        os.utime(folder.parent, ns=(times.st_atime_ns, times.st_mtime_ns))
    return missing[::-1]


def _enter(described: dict) -> None:
    """The inner half: mount, change root, become the user, become the command."""
    root = described["root"]
    _mount("--bind", root, root)
    for mount in described["mounts"]:
        _mount_one(Path(root), Mount(**mount))
    proc = inside(Path(root), "/proc")
    if subprocess.run(["mount", "-t", "proc", "proc", proc], stderr=subprocess.DEVNULL).returncode:
        _mount("--rbind", "/proc", proc)  # some sandboxes forbid a fresh one
    if described["read_only_root"]:
        _mount("-o", "remount,bind,ro", root)
    if not described["network"]:
        _raise_loopback()
    os.chroot(root)
    os.chdir(described["workdir"])
    os.umask(0o022)
    os.setgroups([])
    os.setgid(described["gid"])
    os.setuid(described["uid"])
    # unshare asked for it too, but a change of user forgets it: die with the process outside.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    env, argv = described["env"], described["argv"]
    os.environ["PATH"] = env.get("PATH", os.defpath)  # where execvpe looks
    try:
        os.execvpe(argv[0], argv, env)
    except OSError as error:
        print(f"{argv[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(127 if isinstance(error, FileNotFoundError) else 126)


def _mount_one(root: Path, mount: Mount) -> None:
    target = inside(root, mount.target)
    _make_point(target, mount)
    if not mount.source:
        _mount("-t", "tmpfs", "-o", mount.options or "mode=755", "tmpfs", str(target))
        return
    _mount("--rbind" if mount.source == "/sys" else "--bind", mount.source, str(target))
    if mount.read_only:
        _mount("-o", "remount,bind,ro", str(target))


def _mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(probe, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(probe, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


if __name__ == "__main__":
    with os.fdopen(int(sys.argv[1])) as stream:
        _enter(json.load(stream))
