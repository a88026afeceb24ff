"""``platewise check``: everything that is wrong with a screen, without a pipeline.

Reads tables, lists files and decodes every PNG, as ingest does, with the same code, and
imports neither TensorFlow nor TFX.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from components.plate_example_gen.config import QualityConfig, ScreenConfig, SplitConfig
from components.plate_example_gen.found import COMPLETE, CORRUPT, INCOMPLETE, MISSING, SiteResult
from components.plate_example_gen.plate_groups import PlateGroups
from components.plate_example_gen.prepare import prepare
from components.plate_example_gen.scan import n_threads, scan_plate
from components.plate_example_gen.storage import open_storage
from components.plate_example_gen.tally import Tally

#: Entries of a list that the summary shows.
_SHOWN = 3


@dataclass(frozen=True)
class CheckReport:
    """What was found; ``summary`` is for people, ``to_json`` for machines."""

    #: Counts under plain names, each list beside its count as ``<name>_list``.
    facts: dict[str, Any]
    #: Why a run would stop; empty where it would not.
    reasons: tuple[str, ...]
    #: Every site that was looked at, in order.
    results: tuple[SiteResult, ...] = ()
    #: Further lines of the summary.
    lines: tuple[str, ...] = ()
    #: Warnings of the summary; None: all of the facts.
    warnings: tuple[str, ...] | None = None

    @property
    def failed(self) -> bool:
        """Whether a run would stop on this screen."""
        return bool(self.reasons)

    def to_json(self) -> dict[str, Any]:
        """All counts and full lists, JSON-safe."""
        return {**self.facts, "reasons_list": list(self.reasons), "failed": self.failed}

    def summary(self) -> str:
        """A page of text: counts, the first few of each list, the verdict."""
        f = self.facts
        size = f"{f['width_px']} x {f['height_px']} px" if f["height_px"] else "no readable image"
        lines = [
            f"screen            {f['root']} ({f['form']} form; {size})",
            f"tables            {f['rows']:,} rows, {f['experiments']} experiments, "
            f"{f['plates']} plates",
            f"sites             {f['sites_expected']:,} expected, {f['sites_found']:,} found: "
            f"{f['sites_complete']:,} complete, {f['sites_incomplete']:,} incomplete, "
            f"{f['sites_corrupt']:,} corrupt; {f['sites_missing']:,} missing",
            f"files             {f['files_found']:,} named by a row, {f['files_without_rows']:,} "
            f"not; {f['corrupt']:,} corrupt",
        ]
        for split, experiments in f["splits"].items():
            lines.append(
                f"split {split:<12}{experiments['sites_expected']:,} sites of "
                f"{experiments['experiments']} experiments"
            )
        for title, name in (
            ("rows without files", "rows_without_files"),
            ("files without rows", "files_without_rows"),
            ("incomplete or corrupt", "dead_letters"),
            ("outlier plates", "outlier_plates"),
            ("errors", "errors"),
        ):
            lines += _listed(title, f[name], f[f"{name}_list"])
        lines += self.lines
        warnings = f["warnings_list"] if self.warnings is None else self.warnings
        lines += [f"warning: {warning}" for warning in warnings]
        lines += [f"STOP: {reason}" for reason in self.reasons]
        lines.append("failed" if self.failed else "passed")
        return "\n".join(lines)


def check_screen(
    screen: ScreenConfig,
    splits: SplitConfig | None = None,
    quality: QualityConfig | None = None,
    beam_args: Sequence[str] = (),
) -> CheckReport:
    """Look at every table row and every PNG of a screen.

    Parameters
    ----------
    screen
        Where it is.
    splits
        How it would be split; leaks and unseen classes are found with it.
    quality
        Threshold, and whether to decode (``decode=False`` looks at headers only).
    beam_args
        Beam's flags for a bucket.

    Raises
    ------
    ScreenError
        The folder is not a screen at all.
    """
    quality = quality or QualityConfig()
    storage = open_storage(screen.root, beam_args)
    with ThreadPoolExecutor(n_threads(screen, storage)) as pool:
        prepared = prepare(screen, splits or SplitConfig(), quality, storage, pool)
        tally = Tally(prepared, quality, len(screen.channel_names))
        results: list[SiteResult] = []
        for plate in prepared.screen.plates:
            found = scan_plate(plate, prepared.assignment, prepared.options, storage, pool)
            results += found.sites
            tally.add(found)
    tally.finish()
    problems = prepared.screen.problems
    reasons = tally.reasons_to_stop()
    if problems.count:
        reasons.insert(0, f"{problems.count} errors in the tables, such as: {problems.messages[0]}")
    return CheckReport(screen_facts(tally, screen), tuple(reasons), tuple(results))


def screen_facts(tally: Tally, config: ScreenConfig) -> dict[str, Any]:
    """Counts and lists of a screen under plain names, JSON-safe."""
    prepared, listing = tally.prepared, tally.prepared.listing
    size, problems = prepared.options.size, prepared.screen.problems
    outliers = [row for row in tally.plates if row["outlier"]]
    lists: dict[str, list[Any]] = {
        "sites_incomplete": tally.names[INCOMPLETE],
        "sites_corrupt": tally.names[CORRUPT],
        "sites_missing": tally.names[MISSING],
        "rows_without_files": [row._asdict() for row in listing.rows_without_files],
        "files_without_rows": listing.files_without_rows,
        "dead_letters": [dataclasses.asdict(letter) for letter in tally.letters],
        "outlier_plates": [{"plate_id": r["plate_id"], "reason": r["outlier"]} for r in outliers],
        "warnings": prepared.warnings,
    }
    facts: dict[str, Any] = {
        "root": config.root,
        "form": prepared.screen.form,
        "tables": list(prepared.screen.tables),
        "channel_names": list(config.channel_names),
        "channel_tokens": list(config.tokens()),
        "height_px": size.height if size else 0,
        "width_px": size.width if size else 0,
        "decoded": prepared.options.decode,
        "experiments": len({plate.experiment for plate in prepared.screen.plates}),
        "plates": len(prepared.screen.plates),
        "rows": prepared.screen.n_rows,
        "sites_expected": tally.sites_expected,
        "sites_found": tally.sites_expected - tally.counts[MISSING],
        "sites_complete": tally.counts[COMPLETE],
        "files_found": listing.files_found,
        "corrupt": tally.n_corrupt_files,
        "errors": problems.count,
        "errors_list": problems.messages,
        "excluded_share": tally.excluded_share,
        "unnamed_share": tally.unnamed_share,
        "max_excluded_share": tally.quality.max_excluded_share,
        "splits": {
            split: {
                "experiments": len(counts),
                "sites_expected": sum(counts.values()),
                "sites_complete": sum(tally.found.get(split, {}).values()),
                "experiments_list": list(counts),
            }
            for split, counts in prepared.expected_sites.items()
        },
        "plate_groups": _plate_groups(prepared.plate_groups),
    }
    for name, values in lists.items():
        facts[name], facts[f"{name}_list"] = len(values), values
    corrupt = [x for x in lists["dead_letters"] if not x["reason"].startswith("incomplete site")]
    facts["corrupt_list"] = [letter["path"] for letter in corrupt]
    return facts


def _plate_groups(groups: PlateGroups | None) -> dict[str, Any] | None:
    if groups is None:
        return None
    more = {"sizes": list(groups.sizes), "n_groups": len(groups.sizes), "gain": groups.gain}
    return {**dataclasses.asdict(groups), **more, "text": groups.text()}


def _listed(title: str, count: int, entries: list[Any]) -> list[str]:
    if not count:
        return []
    lines = [f"{title}: {count:,}"]
    lines += [f"    {_entry(entry)}" for entry in entries[:_SHOWN]]
    if count > _SHOWN:
        lines.append(f"    and {count - _SHOWN:,} more (all with --json)")
    return lines


def _entry(entry: Any) -> str:
    if isinstance(entry, str):
        return entry
    if "table" in entry:
        return f"{entry['table']} line {entry['line']}: {entry['id']}, such as {entry['path']}"
    return ": ".join(str(entry[key]) for key in ("path", "plate_id", "reason") if key in entry)
