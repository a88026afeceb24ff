"""Judges what the vulnerability audit found.

    python infra/audit/audit.py FINDINGS.json [--lock requirements.lock] [--today YYYY-MM-DD]

FINDINGS.json is what ``pip-audit --format json`` writes. Every finding must stand in
``exceptions.toml`` with its reason and a date on which it is looked at again; an exception that has
passed its date, or that nothing needs any more, fails too. So does a package that was not audited:
pip-audit skips what its service does not know, and ends well.

Exit codes: 0 nothing but live exceptions; 1 something to do; 2 wrong usage.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
#: An exception is a debt: it is looked at again within half a year.
LONGEST_DAYS = 183
_KEYS = {"id", "package", "reason", "expires"}


class AuditError(Exception):
    """A file that is not what it should be."""


@dataclass(frozen=True)
class Exemption:
    """A finding that is lived with for a time."""

    id: str
    package: str
    reason: str
    expires: datetime.date


@dataclass(frozen=True)
class Finding:
    """One advisory about one package."""

    package: str
    version: str
    id: str
    aliases: tuple[str, ...]
    fixed_in: tuple[str, ...]

    def names(self) -> set[str]:
        return {self.id, *self.aliases}


def read_exemptions(text: str) -> list[Exemption]:
    """Exceptions of a TOML document.

    Raises
    ------
    AuditError
        Names the entry and what is wrong with it.
    """
    found = []
    for number, entry in enumerate(tomllib.loads(text).get("exception", []), start=1):
        where = f"exception {number} ({entry.get('id', 'no id')})"
        if missing := sorted(_KEYS - set(entry)):
            raise AuditError(f"{where} has no {', '.join(missing)}")
        if unknown := sorted(set(entry) - _KEYS):
            raise AuditError(f"{where} has {', '.join(unknown)}; known: {', '.join(sorted(_KEYS))}")
        if len(str(entry["reason"]).split()) < 5:
            raise AuditError(f"{where}: its reason does not say why it is no danger here")
        if type(entry["expires"]) is not datetime.date:
            raise AuditError(f"{where}: expires must be a date such as 2026-12-31")
        found.append(Exemption(**entry | {"package": _normal(entry["package"])}))
    return found


def read_findings(document: dict[str, Any]) -> tuple[list[Finding], dict[str, str], set[str]]:
    """Findings, skipped packages with the reason, and the names of those that were audited."""
    findings, skipped, audited = [], {}, set()
    for entry in document["dependencies"]:
        name = _normal(entry["name"])
        if "skip_reason" in entry:
            skipped[name] = str(entry["skip_reason"])
            continue
        audited.add(name)
        for found in entry["vulns"]:
            aliases, fixed = tuple(found.get("aliases", ())), tuple(found.get("fix_versions", ()))
            findings.append(Finding(name, entry["version"], found["id"], aliases, fixed))
    return findings, skipped, audited


def locked_packages(lock: str) -> set[str]:
    """Names of the packages that a lock pins."""
    return {_normal(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.M)}


def judge(
    document: dict[str, Any],
    exemptions: list[Exemption],
    locked: set[str],
    today: datetime.date,
) -> list[str]:
    """What has to be done; empty where nothing has."""
    findings, skipped, audited = read_findings(document)
    todo = []
    for finding in findings:
        if not any(_covers(e, finding) for e in exemptions):
            fixed = f"fixed in {', '.join(finding.fixed_in)}" if finding.fixed_in else "no fix yet"
            names = ", ".join([finding.id, *finding.aliases])
            todo.append(f"{finding.package} {finding.version}: {names} ({fixed})")
    for exemption in exemptions:
        where = f"{exemption.package}: the exception for {exemption.id}"
        if exemption.expires < today:
            todo.append(f"{where} ended on {exemption.expires}: look at it again")
        elif (exemption.expires - today).days > LONGEST_DAYS:
            todo.append(f"{where} runs to {exemption.expires}; {LONGEST_DAYS} days are the most")
        if not any(_covers(exemption, finding) for finding in findings):
            todo.append(f"{where} is needed no more: take it out")
    if skipped:
        first = sorted(skipped)[0]
        todo.append(f"{len(skipped)} packages were not audited, such as {first}: {skipped[first]}")
    if missing := sorted(locked - audited - set(skipped)):
        todo.append(f"{len(missing)} locked packages are not in the findings, such as {missing[0]}")
    return todo


def _covers(exemption: Exemption, finding: Finding) -> bool:
    return exemption.package == finding.package and exemption.id in finding.names()


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", str(name)).lower()


def main(arguments: list[str] | None = None) -> int:
    """Print what has to be done."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("findings", type=Path)
    parser.add_argument("--exceptions", type=Path, default=HERE / "exceptions.toml")
    parser.add_argument("--lock", type=Path, default=HERE.parents[1] / "requirements.lock")
    parser.add_argument("--today", type=datetime.date.fromisoformat, default=datetime.date.today())
    args = parser.parse_args(arguments)
    try:
        document = json.loads(args.findings.read_text())
        exemptions = read_exemptions(args.exceptions.read_text())
        todo = judge(document, exemptions, locked_packages(args.lock.read_text()), args.today)
    except (AuditError, OSError, ValueError, KeyError) as error:
        print(f"audit: {args.findings}, {args.exceptions}: {error}", file=sys.stderr)
        return 2
    for line in todo:
        print(line)
    print(
        f"{len(document['dependencies'])} packages, {len(exemptions)} exceptions, {len(todo)} to do"
    )
    return 1 if todo else 0


if __name__ == "__main__":
    sys.exit(main())
