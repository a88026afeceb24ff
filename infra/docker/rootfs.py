"""Build, run and compare the images' root file systems where there is no container engine.

    rootfs.py build components.Dockerfile --out DIR   executes the Dockerfile's steps (as root)
    rootfs.py run DIR [--bind SRC:DST] -- COMMAND     runs a command (the image's own without one)
                                                      in it as the image's user
    rootfs.py health DIR                              runs its health command
    rootfs.py compare DIR DIR                         what two builds differ in

The steps are read from the Dockerfile, not copied from it. Base images are stood in for by
Debian's packages, put together with debootstrap from this machine's own apt sources.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from engine import dockerfile as language
from engine.bases import BaseError, stand_in
from engine.build import Builder, BuildError, finish, owner_of
from engine.chroot import Mount, Process, run
from engine.compare import differences

REPOSITORY = Path(__file__).resolve().parents[2]
DEFAULT_EPOCH_S = 1735689600  # 2025-01-01: any fixed moment; CI gives the commit's


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # All after -- is the command: argparse would look for options of its own in it.
    cut = given.index("--") if "--" in given else len(given)
    args = _parser().parse_args(given[:cut])
    args.command = given[cut + 1 :]
    try:
        return args.function(args)
    except (BaseError, BuildError, language.DockerfileError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
    except subprocess.CalledProcessError as error:
        print(f"error: {' '.join(map(str, error.cmd))}: exit {error.returncode}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rootfs.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    build = commands.add_parser("build", help="execute a Dockerfile's steps")
    build.add_argument("dockerfile", type=Path)
    build.add_argument("--out", type=Path, required=True, metavar="DIR", help="the root, made anew")
    build.add_argument("--context", type=Path, default=REPOSITORY, metavar="DIR")
    build.add_argument("--target", default="", metavar="STAGE", help="the last by default")
    build.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    build.add_argument(
        "--store",
        type=Path,
        default=Path("/var/tmp/platewise-rootfs"),
        metavar="DIR",
        help="stand-ins for base images and package caches; safe to delete",
    )
    build.set_defaults(function=_build)
    runner = commands.add_parser("run", help="run a command (after --) in a built root")
    runner.add_argument("root", type=Path)
    runner.set_defaults(function=_run)
    health = commands.add_parser("health", help="run the image's health command")
    health.add_argument("root", type=Path)
    health.set_defaults(function=_health)
    for running in (runner, health):
        _add_running(running)
    compare = commands.add_parser("compare", help="list what two roots differ in")
    compare.add_argument("roots", type=Path, nargs=2)
    compare.set_defaults(function=_compare)
    return parser


def _add_running(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bind", action="append", default=[], metavar="SRC[:DST[:ro]]", help="repeatable"
    )
    parser.add_argument("--env", action="append", default=[], metavar="NAME[=VALUE]")
    parser.add_argument("--user", metavar="UID[:GID]", help="instead of the image's")
    parser.add_argument("--workdir", metavar="DIR")
    parser.add_argument("--entrypoint", metavar="PROGRAM", help="instead of the image's; may be ''")
    parser.add_argument("--tmp", type=Path, metavar="DIR", help="for /tmp; in memory by default")
    parser.add_argument("--no-network", action="store_true", help="cut the network")
    parser.add_argument("--writable", action="store_true", help="let the command change the root")


def _build(args: argparse.Namespace) -> int:
    if os.geteuid():
        raise BuildError("building changes root and needs to be root; try sudo")
    started = time.monotonic()
    arguments = dict(given.partition("=")[::2] for given in args.build_arg)
    epoch_s = int(arguments.setdefault("SOURCE_DATE_EPOCH", str(DEFAULT_EPOCH_S)))
    _make_way(args.out)
    work = args.out.with_name(f"{args.out.name}.work")
    shutil.rmtree(work, ignore_errors=True)
    builder = Builder(
        language.read(args.dockerfile),
        args.context.resolve(),
        work.absolute(),
        args.store.absolute() / "cache",
        arguments,
        lambda image: stand_in(image, args.store.absolute() / "bases"),
    )
    try:
        image = builder.build(args.target)
        finish(image, args.out, epoch_s)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    _config_path(args.out).write_text(json.dumps(image.config(), indent=1) + "\n")
    print(f"{args.out}: {_size_bytes(args.out) / 1e6:.0f} MB, {time.monotonic() - started:.0f} s")
    return 0


def _make_way(out: Path) -> None:
    if out.exists() and not _config_path(out).exists():
        raise BuildError(f"{out} exists and is no root built here; remove it or name another")
    shutil.rmtree(out, ignore_errors=True)
    out.parent.mkdir(parents=True, exist_ok=True)


def _config_path(root: Path) -> Path:
    return root.with_name(f"{root.name}.json")


def _size_bytes(root: Path) -> int:
    listed = subprocess.run(["du", "-sb", root], check=True, capture_output=True, text=True)
    return int(listed.stdout.split()[0])


def _run(args: argparse.Namespace) -> int:
    config = _read_config(args.root)
    entrypoint = config["Entrypoint"]
    if args.entrypoint is not None:
        entrypoint = [args.entrypoint] if args.entrypoint else []
    return _start(args, config, [*entrypoint, *(args.command or config["Cmd"])])


def _health(args: argparse.Namespace) -> int:
    config = _read_config(args.root)
    if not config["Healthcheck"]:
        raise BuildError(f"{args.root} has no health command")
    return _start(args, config, config["Healthcheck"])


def _read_config(root: Path) -> dict:
    return json.loads(_config_path(root.absolute()).read_text())


def _start(args: argparse.Namespace, config: dict, argv: list[str]) -> int:
    root = args.root.absolute()
    uid, gid = owner_of(args.user or config["User"] or "0:0", root)
    home = _home(root, uid)
    env = {"HOME": home} | config["Env"]
    for given in args.env:
        name, equals, value = given.partition("=")
        env[name] = value if equals else os.environ.get(name, "")
    scratch = str(args.tmp.absolute()) if args.tmp else ""
    mounts = [Mount("/tmp", scratch, False, "mode=1777"), Mount("/var/tmp", options="mode=1777")]
    if home != "/":
        mounts.append(Mount(home, options=f"mode=755,uid={uid},gid={gid}"))
    mounts += [_bind(given) for given in args.bind]
    process = Process(
        str(root),
        argv,
        env,
        uid,
        gid,
        args.workdir or config["WorkingDir"],
        mounts,
        network=not args.no_network,
        read_only_root=not args.writable,
    )
    return run(process)


def _home(root: Path, uid: int) -> str:
    rows = [line.split(":") for line in (root / "etc/passwd").read_text().splitlines()]
    return next((row[5] for row in rows if row[2] == str(uid)), "/")


def _bind(given: str) -> Mount:
    source, _, rest = given.partition(":")
    target, _, way = rest.partition(":")
    if not Path(source).exists():
        raise BuildError(f"--bind {given}: there is no {source}")
    path = str(Path(source).absolute())
    return Mount(target or path, path, way == "ro")


def _compare(args: argparse.Namespace) -> int:
    found = differences(*args.roots)
    for line in found:
        print(line)
    count = sum(1 for _ in args.roots[0].rglob("*"))
    print(f"{len(found)} differences in {count} files and folders")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
