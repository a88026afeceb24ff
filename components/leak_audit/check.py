"""The leak audit as a part of ``platewise check``: no pipeline, no artifacts."""

from __future__ import annotations

import dataclasses
import textwrap

from components.leak_audit.config import LeakConfig
from components.leak_audit.files import run_audit, sites_of_results
from components.plate_example_gen.check import CheckReport
from trainer.leaks import Audit, AuditTest

#: Ingest's warning of plate groups, which the audit tells with more.
_GROUPS_WARNING = "leak through the plate layout"
#: Findings of a test that the summary lists.
_SHOWN = 3
_INDENT = " " * 15


def with_audit(report: CheckReport, config: LeakConfig) -> CheckReport:
    """The report with the audit in its facts (``leak_audit``), reasons and summary."""
    tokens = tuple(report.facts["channel_tokens"])
    sites = sites_of_results(report.results, tokens)
    audit = _with_table_leaks(
        run_audit(sites, report.facts["plate_groups"], config), report.facts["errors_list"]
    )
    reasons = [
        f"leak: {test.text}" for test in audit.failed if test.key != "experiments" or test.found
    ]
    warnings = [w for w in report.facts["warnings_list"] if not w.startswith(_GROUPS_WARNING)]
    return dataclasses.replace(
        report,
        facts=report.facts | {"leak_audit": audit.to_json()},
        reasons=(*report.reasons, *reasons),
        lines=tuple(_lines(audit)),
        warnings=tuple(warnings),
    )


def _with_table_leaks(audit: Audit, errors: list[str]) -> Audit:
    """What the tables put into two splits never reaches the sites: it is an error there."""
    leaks = tuple(error for error in errors if error.startswith("leak:"))
    if not leaks:
        return audit
    text = f"The tables put experiments into two splits, such as: {leaks[0]}."
    failed = AuditTest("experiments", "fail", text, len(leaks), leaks[:20])
    return Audit(tuple(failed if test.key == "experiments" else test for test in audit.tests))


def _lines(audit: Audit) -> list[str]:
    lines = ["leak audit"]
    for test in audit.tests:
        head = f"  {test.outcome.upper():<9}"
        lines += textwrap.wrap(
            test.text,
            100,
            initial_indent=head,
            subsequent_indent=" " * len(head),
            break_long_words=False,
            break_on_hyphens=False,
        )
        lines += [f"{_INDENT}{entry}" for entry in test.found[1:_SHOWN]]
        if test.found and test.n_found > _SHOWN:
            lines.append(f"{_INDENT}and {test.n_found - _SHOWN:,} more (with --json)")
    return lines
