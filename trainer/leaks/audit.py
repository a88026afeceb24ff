"""All tests of the leak audit, each with its outcome and a plain sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from trainer.leaks.position import PositionScore, position_score
from trainer.leaks.shared import AuditSite, Shared, find_shared

#: ``note``: nothing is wrong, but the reader should know. ``untested``: it could not be looked at.
Outcome = Literal["pass", "note", "warn", "fail", "untested"]
#: Findings of one test that are listed; all are counted.
MOST_LISTED = 20


@dataclass(frozen=True)
class AuditTest:
    """One question of the audit and its answer."""

    #: ``experiments``, ``wells``, ``sites``, ``pixels``, ``copies``, ``repeats``, ``groups`` or
    #: ``position``.
    key: str
    outcome: Outcome
    #: The answer, one or two sentences.
    text: str
    n_found: int = 0
    #: The first findings, each naming both places.
    found: tuple[str, ...] = ()
    #: Numbers behind the sentence.
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Audit:
    """All tests."""

    tests: tuple[AuditTest, ...]

    @property
    def failed(self) -> tuple[AuditTest, ...]:
        """Tests that a run must not go on with."""
        return tuple(test for test in self.tests if test.outcome == "fail")

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"passed": not self.failed, "tests": [asdict(test) for test in self.tests]}


def from_json(plain: Mapping[str, Any]) -> Audit:
    """Inverse of :meth:`Audit.to_json`."""
    tests = [test | {"found": tuple(test["found"])} for test in plain["tests"]]
    return Audit(tuple(AuditTest(**test) for test in tests))


def audit_sites(
    sites: Sequence[AuditSite],
    groups: Mapping[str, Any] | None,
    *,
    on_leak: Literal["fail", "warn"] = "fail",
    on_position: Literal["fail", "warn"] = "warn",
    position_max_p_value: float = 0.001,
    permutations: int = 1999,
    seed: int = 0,
) -> Audit:
    """Ask everything of the complete sites of a screen.

    Parameters
    ----------
    sites
        Every site that is in a split; digests are empty where an image could not be read.
    groups
        What is known of fixed plate groups (``sizes``, ``chance``, ``chance_with_group``,
        ``group_from_plate_number``, ``text``); None where there are none.
    on_leak, on_position
        Outcome of a leak across splits, and of positions that tell treatments.
    position_max_p_value
        p-value (0..1) at or below which positions are said to tell treatments.
    permutations, seed
        As for :func:`trainer.leaks.position.position_score`.
    """
    shared = find_shared(sites)
    images = sum(1 for site in sites for digest in site.pixel_digests if digest)
    names = {
        "experiments": ("experiment", len({site.experiment for site in sites})),
        "wells": ("well", len({site.well_id for site in sites})),
        "sites": ("site", len(sites)),
    }
    tests = [
        _shared_names(key, kind, count, shared[kind], on_leak)
        for key, (kind, count) in names.items()
    ]
    tests += _images(shared, images, on_leak)
    scores = position_score(sites, permutations, seed)
    tests += [_groups(groups), _position(scores, on_position, position_max_p_value)]
    return Audit(tuple(tests))


def _shared_names(
    key: str, kind: str, count: int, found: Sequence[Shared], on_leak: Outcome
) -> AuditTest:
    if not found:
        text = f"No {kind} stands in two splits ({_count(count, kind)} looked at)."
        return AuditTest(key, "pass", text)
    text = f"{_count(len(found), kind)} {_stand(len(found))} in two splits, such as {found[0].text}"
    return _answer(key, on_leak, f"{text}. Keep each {kind} in one split.", found)


def _images(
    shared: Mapping[str, Sequence[Shared]], n_images: int, on_leak: Outcome
) -> list[AuditTest]:
    if not n_images:
        unread = "Images were not decoded, so equal ones under two names were not looked for."
        return [AuditTest("pixels", "untested", unread)]
    found = shared["pixels"]
    leaks = [pair for pair in found if pair.across and not pair.declared]
    copies = [pair for pair in shared["counts"] if pair.across and not pair.declared]
    every = [*found, *shared["counts"]]
    repeats = [pair for pair in every if not pair.across or pair.declared]
    tests = []
    if leaks:
        text = (
            f"{_count(len(leaks), 'image')} of one split {_stand(len(leaks))} in another under "
            f"another name, such as {leaks[0].text}. Remove one of the two, or give both "
            "experiments the same split."
        )
        tests.append(_answer("pixels", on_leak, text, leaks))
    else:
        text = f"No image stands in two splits under two names ({n_images:,} images compared)."
        tests.append(AuditTest("pixels", "pass", text))
    if copies:
        text = (
            f"{_count(len(copies), 'site')} of one split {_has(len(copies))} the same number of "
            "pixels of each grey level in every channel as a site of another, as a flipped or "
            f"turned copy would, such as {copies[0].text}."
        )
        tests.append(_answer("copies", on_leak, text, copies))
    else:
        text = "No site looks like a flipped or turned copy of a site in another split."
        tests.append(AuditTest("copies", "pass", text))
    if repeats:
        text = (
            f"{_count(len(repeats), 'image')} {_stand(len(repeats))} twice where no gate reads "
            f"across: within a split, or in training and its declared in-distribution part, such "
            f"as {repeats[0].text}. It is counted twice."
        )
        tests.append(_answer("repeats", "warn", text, repeats))
    return tests


def _groups(groups: Mapping[str, Any] | None) -> AuditTest:
    if groups is None:
        text = "Treatments do not stand in fixed groups that always share a plate."
        return AuditTest("groups", "pass", text)
    chance, known = groups["chance"], groups["chance_with_group"]
    by_number = groups["group_from_plate_number"]
    sizes = " + ".join(f"{size:,}" for size in groups["sizes"][:8])
    text = (
        f"Treatments stand in {len(groups['sizes'])} fixed groups ({sizes}), one a plate, over "
        f"{groups['n_experiments']} experiments. Guessing within the plate's group is right in "
        f"{_percent(known)} of wells instead of {_percent(chance)}, {known / chance:.1f} times as "
        f"often, and the plate's number alone tells the group of {_percent(by_number)} of plates. "
        "Accuracy per well does not use it; whatever does is no evidence of biology."
    )
    facts = {
        "oracle_accuracy": known,
        "chance": chance,
        "gain": known / chance,
        "group_from_plate_number": by_number,
        "accuracy_from_plate_number": by_number * known,
        "sizes": list(groups["sizes"]),
    }
    return AuditTest("groups", "note", text, len(groups["sizes"]), (), facts)


def _position(
    scores: Sequence[PositionScore], on_position: Outcome, max_p_value: float
) -> AuditTest:
    if not scores:
        text = "No held-out well has a treatment that training has, so positions say nothing."
        return AuditTest("position", "untested", text)
    worst = min(scores, key=lambda score: (score.p_value, -score.accuracy))
    facts = {
        score.position: asdict(score) | {"accuracy": score.accuracy, "expected": score.expected}
        for score in scores
    }
    numbers = (
        f"A classifier that knows the {worst.position} alone is right in "
        f"{_percent(worst.accuracy)} of {worst.n_wells:,} held-out wells; "
        f"{_percent(worst.expected)} is to be expected where treatments stand at random within "
        f"their plates (p = {worst.p_value:.2g})."
    )
    if worst.p_value > max_p_value:
        text = f"Well position does not tell the treatment. {numbers}"
        return AuditTest("position", "pass", text, 0, (), facts)
    text = (
        f"Well position tells the treatment. {numbers} A network can learn the place from edge "
        "and illumination effects: its score need not be biology."
    )
    return AuditTest("position", on_position, text, 1, (), facts)


def _answer(key: str, outcome: Outcome, text: str, found: Sequence[Shared]) -> AuditTest:
    listed = tuple(pair.text for pair in found[:MOST_LISTED])
    return AuditTest(key, outcome, text, len(found), listed)


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _stand(n: int) -> str:
    return "stands" if n == 1 else "stand"


def _has(n: int) -> str:
    return "has" if n == 1 else "have"


def _percent(share: float) -> str:
    value = 100 * share
    return f"{value:.0f} %" if value >= 10 or value == 0 else f"{value:.2g} %"
