"""Is the image whole? Loads every module of the named packages; says what is missing.

Usage: health.py [--executable PATH]... [--without MODULE]... PACKAGE...
Prints one line and ends with 0, or names each module that cannot be imported and ends with 1.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import os
import pkgutil
import sys
import time
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

#: A program's entry: importing it would start it.
_ENTRY = "__main__"


def main(arguments: list[str] | None = None) -> int:
    """Check; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packages", nargs="+", metavar="PACKAGE")
    parser.add_argument("--executable", action="append", default=[], metavar="PATH")
    parser.add_argument("--without", action="append", default=[], metavar="MODULE")
    args = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    started = time.monotonic()
    faults = [
        f"{path} is not an executable file"
        for path in args.executable
        if not (Path(path).is_file() and os.access(path, os.X_OK))
    ]
    if os.geteuid() == 0:
        faults.append("runs as root")
    names = [name for package in args.packages for name in _modules(package, faults)]
    names = [name for name in names if not _within(name, args.without)]
    for name in names:
        try:
            _load(name)
        except Exception as error:  # noqa: BLE001  (whatever an import raises is a fault)
            faults.append(f"{name}: {type(error).__name__}: {error}")
    for fault in faults:
        print(f"unhealthy: {fault}", file=sys.stderr)
    if not faults:
        print(f"healthy: {len(names)} modules in {time.monotonic() - started:.1f} s")
    return 1 if faults else 0


def _load(name: str) -> None:
    """Import a module; compiled code without a module's entry is opened, as ctypes does."""
    spec = importlib.util.find_spec(name)
    if spec and spec.origin and spec.origin.endswith(tuple(EXTENSION_SUFFIXES)):
        ctypes.CDLL(spec.origin)
    else:
        importlib.import_module(name)


def _within(name: str, packages: list[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _modules(package: str, faults: list[str]) -> list[str]:
    """The dotted names of a package and all below it, entries of programs left out."""
    try:
        found = importlib.import_module(package)
    except Exception as error:  # noqa: BLE001  (as above)
        faults.append(f"{package}: {type(error).__name__}: {error}")
        return []
    walked = pkgutil.walk_packages(found.__path__, f"{package}.", onerror=lambda name: None)
    return [package, *(module.name for module in walked if not module.name.endswith(_ENTRY))]


if __name__ == "__main__":
    sys.exit(main())
