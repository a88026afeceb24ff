"""The part of requirements.lock that an image installs: all but what developing alone needs.

Usage: runtime_lock.py requirements.lock dev-only.txt > runtime.lock
       runtime_lock.py --common LOCK LOCK...          the entries that all have
       runtime_lock.py --without LOCK LOCK            the second's entries that the first has not
       runtime_lock.py --only NAME,NAME LOCK          the entries of these packages

dev-only.txt names packages, one a line; a test proves the list against what the installed
packages themselves say they require. Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==(\S+)")


def entries(lock: str) -> dict[str, str]:
    """Each package's entry (its pin and the lines of its hashes) by its name.

    Raises
    ------
    ValueError
        A line that belongs to no entry, or an entry without a hash.
    """
    found: dict[str, str] = {}
    name = ""
    for number, line in enumerate(lock.splitlines(keepends=True), 1):
        if match := _PIN.match(line):
            name = normal(match[1])
            found[name] = line
        elif line.startswith(" ") and name:
            found[name] += line
        elif line.strip() and not line.startswith("#"):
            raise ValueError(f"line {number} belongs to no package: {line.strip()[:80]}")
    bare = [name for name, entry in found.items() if "--hash=sha256:" not in entry]
    if bare:
        raise ValueError(f"no hash for {', '.join(bare)}")
    return found


def normal(name: str) -> str:
    """A package's name as indexes compare it: lower case, runs of ._- as one -."""
    return re.sub(r"[-_.]+", "-", name).lower()


def names(listed: str) -> set[str]:
    """The names of a list, one a line; # starts a comment."""
    lines = (line.partition("#")[0].strip() for line in listed.splitlines())
    return {normal(line) for line in lines if line}


def runtime(lock: str, dev_only: str) -> str:
    """The lock without the packages of ``dev_only``.

    Raises
    ------
    ValueError
        A name in the list that the lock does not have: the list is out of date.
    """
    found, left_out = entries(lock), names(dev_only)
    if unknown := sorted(left_out - set(found)):
        raise ValueError(f"not in the lock, so not to be left out of it: {', '.join(unknown)}")
    return "".join(entry for name, entry in found.items() if name not in left_out)


def common(locks: Sequence[str]) -> str:
    """The entries that every lock has, hash by hash the same."""
    first, *others = [entries(lock) for lock in locks]
    return "".join(
        entry for name, entry in first.items() if all(other.get(name) == entry for other in others)
    )


def without(less: str, lock: str) -> str:
    """The lock's entries that ``less`` does not have."""
    left_out = entries(less)
    return "".join(entry for name, entry in entries(lock).items() if left_out.get(name) != entry)


def only(wanted: str, lock: str) -> str:
    """The entries of the named packages."""
    found = entries(lock)
    missing = [name for name in wanted.split(",") if normal(name) not in found]
    if missing:
        raise ValueError(f"not in the lock: {', '.join(missing)}")
    return "".join(found[normal(name)] for name in wanted.split(","))


def main(arguments: Sequence[str]) -> str:
    """What the command prints."""
    if not arguments:
        raise SystemExit(__doc__)
    way, *rest = arguments
    if way == "--only":
        return only(rest[0], Path(rest[1]).read_text())
    texts = [Path(path).read_text() for path in (rest if way.startswith("--") else arguments)]
    if way == "--common":
        return common(texts)
    return without(*texts) if way == "--without" else runtime(*texts)


if __name__ == "__main__":
    sys.stdout.write(main(sys.argv[1:]))
