"""The leak audit on the page: the screen's tests, and training on shuffled labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.leak_audit.files import read_audit
from components.report.data import Headline
from trainer.leaks import AuditTest


def leak_tests(
    uri: str, config: Mapping[str, Any], headline: Headline | None
) -> tuple[AuditTest, ...]:
    """Tests of the audit's artifact, and what shuffled labels gave where a run trained on them.

    Parameters
    ----------
    uri
        Folder of the artifact; empty: it did not run.
    config
        Nested configuration of the run.
    headline
        Accuracy per well on held-out experiments.

    Raises
    ------
    PlatewiseError
        The artifact is damaged.
    """
    if not uri:
        return ()
    return (*read_audit(uri).tests, shuffled_test(config, headline))


def shuffled_test(config: Mapping[str, Any], headline: Headline | None) -> AuditTest:
    """Whether a network that was trained on shuffled labels sits at chance, as it must."""
    shuffled = config.get("training", {}).get("data", {}).get("shuffle_labels", False)
    if not shuffled:
        text = (
            "This run trained on true labels. A network trained on shuffled ones must sit at "
            "chance: `platewise sweep shuffled_labels` tries it."
        )
        return AuditTest("shuffled", "untested", text)
    if headline is None or headline.well.low is None or headline.well.high is None:
        text = "This run trained on shuffled labels, and no held-out well tells what came of it."
        return AuditTest("shuffled", "untested", text)
    value, low, high = headline.well.value, headline.well.low, headline.well.high
    chance = headline.chance
    numbers = (
        f"{100 * (value or 0):.1f} % of held-out wells are right ({100 * low:.1f} to "
        f"{100 * high:.1f}; chance {100 * chance:.2g} %)"
    )
    facts = {"accuracy": value, "low": low, "high": high, "chance": chance}
    if low > chance:
        text = (
            f"This run trained on shuffled labels and beats chance: {numbers}. Something other "
            "than the labels tells the treatment; look for a leak before any score is believed."
        )
        return AuditTest("shuffled", "fail", text, 1, (), facts)
    text = f"This run trained on shuffled labels and sits at chance, as it must: {numbers}."
    return AuditTest("shuffled", "pass", text, 0, (), facts)
