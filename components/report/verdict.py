"""The answer in plain words: what stands first on the page."""

from __future__ import annotations

import math

from components.report.data import Blessing, Headline, ReportData, Scoring, SliceScore

#: Between a number and its unit: narrow, and never broken over two lines.
THIN = "\u202f"


def percent(share: float | None, unit: bool = True) -> str:
    """``0.412`` as ``41 %``: whole from 10 %, one digit below, two figures below 1 %."""
    if share is None or not math.isfinite(share):
        return "n/a"
    value = 100 * share
    if value == 0 or value >= 9.95:
        text = f"{value:.0f}"
    elif value >= 0.995:
        text = f"{value:.1f}"
    else:
        text = f"{value:.2g}"
    # Rounding must not turn "nearly all" into "all".
    if share < 1 and text == "100":
        text = f"{min(value, 99.99):.4g}"
    return f"{text}{THIN}%" if unit else text


def headline_sentence(data: ReportData) -> str:
    """One sentence and one number; what it must say is in the module's tests."""
    if data.scoring is not None:
        return _scoring_sentence(data.scoring)
    if data.headline is None or data.headline.well.value is None:
        return (
            "No held-out experiment has wells with a known treatment and a prediction, "
            "so there is no headline."
        )
    sentences = [
        accuracy_sentence(data.headline),
        *worst_sentences(data.experiments),
        blessing_sentence(data.blessing),
    ]
    return " ".join(sentences).replace(" %", f"{THIN}%")


def accuracy_sentence(headline: Headline) -> str:
    """How often the right treatment is named, with interval and chance level."""
    well = headline.well
    text = (
        f"On experiments it never saw, the model names the right treatment in "
        f"{percent(well.value)} of wells ({percent(well.low, False)} to "
        f"{percent(well.high, False)}; chance {percent(headline.chance, False)})."
    )
    if well.low is not None and well.low <= headline.chance:
        text += " That cannot be told from guessing."
    return text


def worst_sentences(experiments: tuple[SliceScore, ...]) -> list[str]:
    """The worst experiment, and those of which nothing was left."""
    seen = [e for e in experiments if e.well.value is not None]
    empty = [e.name for e in experiments if e.well.value is None]
    sentences = []
    if len(seen) + len(empty) > 1 and seen:
        worst = min(seen, key=lambda e: (e.well.value or 0.0, e.name))
        sentences.append(f"Worst experiment: {worst.name}, {percent(worst.well.value)}.")
    if empty:
        sentences.append(f"No well could be scored in {join(empty)}.")
    return sentences


def blessing_sentence(blessing: Blessing) -> str:
    """Whether the model may be used, and the first reason why not."""
    if blessing.blessed is None:
        return "No evaluation decided whether to bless it."
    if blessing.blessed and blessing.not_compared:
        return "Blessed, but not compared with the model that was blessed before it."
    if blessing.blessed:
        return "Blessed."
    if not blessing.reasons:
        return "Not blessed."
    more = len(blessing.reasons) - 1
    rest = f" (and {more} more reason{'s' if more > 1 else ''})" if more else ""
    return f"Not blessed: {blessing.reasons[0].rstrip('.')}{rest}."


def _scoring_sentence(scoring: Scoring) -> str:
    wells = sum(e.n_wells for e in scoring.experiments)
    plates = sum(e.n_plates for e in scoring.experiments)
    unknown = len(scoring.unknown_plates)
    text = (
        f"The model named a treatment for {count(wells, 'well')} on {count(plates, 'plate')} of "
        f"{count(len(scoring.experiments), 'experiment')}, out of {scoring.n_classes:,} it knows. "
        "Without known treatments nothing here says how often it is right."
    )
    if unknown:
        is_are = "was" if unknown == 1 else "were"
        text += (
            f" {count(unknown, 'plate')} {is_are} unknown to the normaliser: "
            "each image was normalised by itself."
        )
    return text


def count(n: int, noun: str) -> str:
    """``1 well``, ``1,232 wells``."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def join(names: list[str], most: int = 5) -> str:
    """``a, b and c``, cut after ``most``."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
