"""What ingest and evaluation found, as the page shows it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from components.plate_example_gen.quality import QualityReport, read_quality
from components.report.data import DeadLetter, PlateQuality, Quality

#: Dead letters that the page and ``metrics.json`` list; the quality artifact has all.
MOST_LETTERS = 200
#: Ingest's warning of the plate groups, which the page tells at its own place.
_LEAK = "leak through the plate layout"
#: Kinds of reasons that are counted apart.
_MOST_REASONS = 8


def read_screen_quality(uri: str) -> Quality:
    """The quality artifact of ingest.

    Raises
    ------
    PlatewiseError
        It is not whole.
    """
    found = read_quality(uri)
    letters = found.dead_letters
    channel_names = found.facts.get("channel_names", [])
    return Quality(
        plates=tuple(_plates(found, channel_names)),
        dead_letters=tuple(
            DeadLetter(row.path, row.reason, _detail(row.site_id, row.row))
            for row in letters.head(MOST_LETTERS).itertuples()
        ),
        n_dead_letters=len(letters),
        reasons=_counted(letters["reason"]),
        plate_group_leak=plate_group_text(found.facts.get("plate_groups")),
        warnings=tuple(w for w in found.facts.get("warnings_list", ()) if _LEAK not in w),
    )


def _plates(found: QualityReport, channel_names: Sequence[str]) -> list[PlateQuality]:
    def named(reason: str) -> str:
        """``w1 focus`` as ``nuclei focus``."""
        for c, name in reversed(list(enumerate(channel_names, start=1))):
            reason = re.sub(rf"\bw{c}\b", name.replace("\\", r"\\"), reason)
        return reason

    return [
        PlateQuality(
            plate_id=row.plate_id,
            experiment=row.experiment,
            cell_type=row.cell_type,
            sites_expected=int(row.sites_expected),
            sites_used=int(row.sites_complete),
            sites_incomplete=int(row.sites_incomplete),
            sites_corrupt=int(row.sites_corrupt),
            outlier=named(row.outlier),
            sites_missing=int(row.sites_missing),
        )
        for row in found.plates.itertuples()
    ]


def _detail(site_id: str, row: str) -> str:
    return ", ".join(part for part in (f"site {site_id}" if site_id else "", row) if part)


def _counted(reasons: Sequence[str]) -> dict[str, int]:
    """Reasons by their kind (what stands before the colon), the commonest first."""
    counts = Counter(re.split(r":| \(", reason, maxsplit=1)[0] for reason in reasons)
    shown = dict(counts.most_common(_MOST_REASONS))
    rest = sum(counts.values()) - sum(shown.values())
    return shown | ({"other reasons": rest} if rest else {})


def plate_group_text(groups: Mapping[str, Any] | None) -> str:
    """What a cheater would gain from the layout of the plates, in a sentence or two."""
    if groups is None:
        return "None found: treatments do not stand in fixed groups that always share a plate."
    sizes = " + ".join(f"{size:,}" for size in groups["sizes"][:8])
    more = " + ..." if len(groups["sizes"]) > 8 else ""
    return (
        f"Yes: the treatments stand in {groups['n_groups']} fixed groups ({sizes}{more}) over "
        f"{groups['n_experiments']} experiments. Whoever knows a plate's group guesses right in "
        f"{100 * groups['chance_with_group']:.2g} % of wells instead of "
        f"{100 * groups['chance']:.2g} % ({groups['gain']:.1f} times as often), and the plate's "
        f"number alone tells the group of {100 * groups['group_from_plate_number']:.0f} % of "
        "plates. It is a property of the layout, not of the biology: the headline does not use it."
    )
