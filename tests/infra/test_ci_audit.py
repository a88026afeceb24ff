"""The judge of the vulnerability audit."""

from __future__ import annotations

import datetime
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
TODAY = datetime.date(2026, 11, 23)
VULNERABLE = {
    "name": "Some_Package",
    "version": "1.0",
    "vulns": [{"id": "GHSA-1", "aliases": ["CVE-2026-1"], "fix_versions": ["1.1"]}],
}
SOUND = {"name": "sound", "version": "2.0", "vulns": []}
LOCKED = {"some-package", "sound"}


@pytest.fixture(scope="module")
def audit() -> Any:
    spec = importlib.util.spec_from_file_location("audit", REPOSITORY / "infra/audit/audit.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["audit"] = module  # its dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["audit"]


def exception(**change: str) -> str:
    entry = {
        "id": '"CVE-2026-1"',
        "package": '"some.package"',
        "reason": '"Only its server has it, and we never start one."',
        "expires": "2026-12-31",
    } | change
    return "[[exception]]\n" + "\n".join(f"{k} = {v}" for k, v in entry.items() if v) + "\n"


def judge(audit: Any, exceptions: str, *found: dict[str, Any]) -> list[str]:
    document = {"dependencies": list(found), "fixes": []}
    return audit.judge(document, audit.read_exemptions(exceptions), LOCKED, TODAY)


def test_an_unlisted_finding_fails(audit: Any) -> None:
    (line,) = judge(audit, "", VULNERABLE, SOUND)
    assert line == "some-package 1.0: GHSA-1, CVE-2026-1 (fixed in 1.1)"


@pytest.mark.parametrize("name", ["CVE-2026-1", "GHSA-1"])
def test_a_listed_finding_passes_under_any_of_its_names(audit: Any, name: str) -> None:
    assert judge(audit, exception(id=f'"{name}"'), VULNERABLE, SOUND) == []


def test_an_exception_is_for_one_package(audit: Any) -> None:
    todo = judge(audit, exception(package='"sound"'), VULNERABLE, SOUND)
    assert len(todo) == 2 and "some-package 1.0" in todo[0] and "needed no more" in todo[1]


@pytest.mark.parametrize(
    ("expires", "says"),
    [
        ("2026-11-22", "ended on 2026-11-22"),
        ("2026-11-23", None),
        ("2027-05-25", None),
        ("2027-05-26", "183 days are the most"),
    ],
)
def test_an_exception_ends(audit: Any, expires: str, says: str | None) -> None:
    todo = judge(audit, exception(expires=expires), VULNERABLE, SOUND)
    assert [says in line for line in todo if says] == ([True] if says else [])
    assert bool(todo) is bool(says)


def test_an_exception_that_nothing_needs_fails(audit: Any) -> None:
    fixed = VULNERABLE | {"version": "1.1", "vulns": []}
    (line,) = judge(audit, exception(), fixed, SOUND)
    assert "needed no more" in line


def test_a_package_that_was_skipped_was_not_audited(audit: Any) -> None:
    """pip-audit ends well where its service knows nothing at all."""
    (line,) = judge(audit, "", SOUND, {"name": "some-package", "skip_reason": "not found"})
    assert line == "1 packages were not audited, such as some-package: not found"


def test_a_package_that_is_not_in_the_findings_was_not_audited(audit: Any) -> None:
    (line,) = judge(audit, "", SOUND)
    assert line == "1 locked packages are not in the findings, such as some-package"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"reason": ""}, "has no reason"),
        ({"reason": '"not relevant"'}, "does not say why"),
        ({"expires": '"2026-12-31"'}, "must be a date"),
        ({"until": "2026-12-31"}, "has until; known"),
    ],
)
def test_an_exception_must_be_whole(audit: Any, change: dict[str, str], says: str) -> None:
    with pytest.raises(audit.AuditError, match=says):
        audit.read_exemptions(exception(**change))


def test_the_committed_exceptions_are_whole(audit: Any) -> None:
    text = (REPOSITORY / "infra/audit/exceptions.toml").read_text()
    assert all(e.expires >= TODAY for e in audit.read_exemptions(text))


def test_the_lock_is_read(audit: Any) -> None:
    packages = audit.locked_packages((REPOSITORY / "requirements.lock").read_text())
    assert {"tfx", "tensorflow", "google-cloud-aiplatform"} <= packages
    assert len(packages) > 200


def test_exit_codes(audit: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    findings, lock, exceptions = (tmp_path / n for n in ("f.json", "lock", "e.toml"))
    findings.write_text(json.dumps({"dependencies": [VULNERABLE]}))
    lock.write_text("some-package==1.0 \\\n    --hash=sha256:0\n")
    exceptions.write_text("")
    command = [str(findings), "--lock", str(lock), "--exceptions", str(exceptions)]
    assert audit.main([*command, "--today", str(TODAY)]) == 1
    assert "1 packages, 0 exceptions, 1 to do" in capsys.readouterr().out
    exceptions.write_text(exception())
    assert audit.main([*command, "--today", str(TODAY)]) == 0
    exceptions.write_text("[[exception]]\n")
    assert audit.main(command) == 2
    assert "exception 1 (no id) has no" in capsys.readouterr().err
