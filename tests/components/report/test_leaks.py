"""The leak audit on the page and in metrics.json."""

from __future__ import annotations

import pytest

from components.leak_audit.files import write_audit
from components.report.data import Headline
from components.report.leaks import leak_tests, shuffled_test
from components.report.machine import metrics
from components.report.render import render_page
from trainer.leaks import Audit, AuditTest
from trainer.metrics.intervals import accuracy

SHUFFLED = {"training": {"data": {"shuffle_labels": True}}}


def headline(n_correct: int) -> Headline:
    well = accuracy([True] * n_correct + [False] * (96 - n_correct))
    return Headline(well, well, 1 / 24, 24, 4, None, None, 0.95)


@pytest.mark.parametrize(("n_correct", "outcome"), [(4, "pass"), (0, "pass"), (30, "fail")])
def test_shuffled_labels_must_sit_at_chance(n_correct, outcome):
    test = shuffled_test(SHUFFLED, headline(n_correct))
    assert test.outcome == outcome
    assert ("look for a leak" in test.text) == (outcome == "fail")
    assert "chance 4.2 %" in test.text


def test_true_labels_say_nothing_of_shuffled_ones():
    assert shuffled_test({"training": {"data": {}}}, headline(90)).outcome == "untested"
    assert shuffled_test(SHUFFLED, None).outcome == "untested"


def test_the_page_and_the_machine_tell_every_test(tmp_path, page_data, rows):
    found = ("a <script> in train is b in eval", "c is d")
    audit = Audit((AuditTest("pixels", "warn", "Two images stand twice.", 2, found),))
    write_audit(audit, str(tmp_path))
    data = page_data(rows, leaks=leak_tests(str(tmp_path), SHUFFLED, headline(4)))
    page = render_page(data)
    assert '<section id="leaks">' in page
    assert "One image under two names" in page
    assert "a &lt;script&gt; in train" in page
    assert "sits at chance, as it must" in page
    keys = [test["key"] for test in metrics(data)["leak_audit"]]
    assert keys == ["pixels", "shuffled"]


def test_without_an_audit_there_is_no_section(page_data, rows):
    assert leak_tests("", SHUFFLED, headline(4)) == ()
    assert '<section id="leaks">' not in render_page(page_data(rows))
