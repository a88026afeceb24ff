"""Counts what was found over all plates, and says whether it is too much."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from components.plate_example_gen.config import QualityConfig
from components.plate_example_gen.found import (
    COMPLETE,
    CORRUPT,
    INCOMPLETE,
    MISSING,
    DeadLetter,
    PlateResult,
)
from components.plate_example_gen.measures import mean_and_saturation, percentile, robust_z
from components.plate_example_gen.prepare import Prepared
from trainer import schema

#: Plates of an experiment below which none of them can be called an outlier.
_FEWEST_PLATES = 3


@dataclass
class Tally:
    """Sums over plates; add every plate, then ask."""

    prepared: Prepared
    quality: QualityConfig
    n_channels: int
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys((COMPLETE, INCOMPLETE, CORRUPT, MISSING), 0)
    )
    #: Site names by status; complete ones are only counted.
    names: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    #: Files that are there and cannot be used, and incomplete sites.
    letters: list[DeadLetter] = field(default_factory=list)
    n_corrupt_files: int = 0
    plates: list[dict[str, Any]] = field(default_factory=list)
    #: Complete sites per split and experiment, and the classes among them.
    found: dict[str, dict[str, int]] = field(default_factory=dict)
    classes: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, plate: PlateResult) -> None:
        """Count one plate."""
        here = dict.fromkeys(self.counts, 0)
        n_corrupt = 0
        for site in plate.sites:
            here[site.status] += 1
            if site.status == COMPLETE:
                by_experiment = self.found.setdefault(site.split, {})
                by_experiment[plate.experiment] = by_experiment.get(plate.experiment, 0) + 1
                if site.identity.well_type == schema.WELL_TREATMENT and site.identity.treatment:
                    self.classes[site.split].add(site.identity.treatment)
                continue
            self.names[site.status].append(site.identity.site_id)
            if site.status != MISSING:
                self.letters += site.dead_letters
                # An incomplete site has one letter for what is missing, the rest is damage.
                n_corrupt += len(site.dead_letters) - (site.status == INCOMPLETE)
        for status, n in here.items():
            self.counts[status] += n
        self.n_corrupt_files += n_corrupt
        self.plates.append(self._plate_row(plate, here, n_corrupt))

    def _plate_row(
        self, plate: PlateResult, here: dict[str, int], n_corrupt: int
    ) -> dict[str, Any]:
        splits = dict.fromkeys(site.split for site in plate.sites)
        row: dict[str, Any] = {
            "plate_id": plate.plate_id,
            "experiment": plate.experiment,
            "cell_type": plate.cell_type,
            "splits": "+".join(splits),
            "sites_expected": len(plate.sites),
            "sites_found": len(plate.sites) - here[MISSING],
            "sites_complete": here[COMPLETE],
            "sites_incomplete": here[INCOMPLETE],
            "sites_corrupt": here[CORRUPT],
            "sites_missing": here[MISSING],
            "corrupt": n_corrupt,
            "outlier": "",
        }
        measured = [site for site in plate.sites if site.mean]
        if not measured:
            return row
        mean_C, saturation_C = mean_and_saturation(plate.histogram)
        intensity_C = np.median([site.mean for site in measured], axis=0)
        focus_C = np.median([site.focus for site in measured], axis=0)
        levels_PC = [percentile(plate.histogram, p) for p in self.quality.percentiles]
        for c in range(self.n_channels):
            w = f"w{c + 1}"
            row[f"{w}_mean"] = float(mean_C[c])
            row[f"{w}_saturation_share"] = float(saturation_C[c])
            row[f"{w}_intensity"] = float(intensity_C[c])
            row[f"{w}_focus"] = float(focus_C[c])
            for p, level_C in zip(self.quality.percentiles, levels_PC, strict=True):
                row[f"{w}_p{p:g}"] = int(level_C[c])
        return row

    def finish(self) -> None:
        """Compare plates with their experiment; call once, after the last plate."""
        by_experiment: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in self.plates:
            if "w1_intensity" in row:
                by_experiment[row["experiment"]].append(row)
        for rows in by_experiment.values():
            if len(rows) >= _FEWEST_PLATES:
                self._mark_outliers(rows)

    def _mark_outliers(self, rows: list[dict[str, Any]]) -> None:
        reasons: list[list[str]] = [[] for _ in rows]
        for c in range(self.n_channels):
            for measure in ("intensity", "focus"):
                values = np.array([row[f"w{c + 1}_{measure}"] for row in rows])
                z = robust_z(values, self.quality.outlier_spread_floor_share)
                for i in np.flatnonzero(np.abs(z) > self.quality.outlier_robust_z):
                    reasons[i].append(f"w{c + 1} {measure} z = {z[i]:+.1f}")
        for row, reason in zip(rows, reasons, strict=True):
            row["outlier"] = "; ".join(reason)

    @property
    def sites_expected(self) -> int:
        """Sites that the tables name in plates that are in a split."""
        return sum(self.counts.values())

    @property
    def excluded_share(self) -> float:
        """Share of expected sites that are left out, 0..1."""
        return 1 - self.counts[COMPLETE] / max(1, self.sites_expected)

    @property
    def unnamed_share(self) -> float:
        """Share of found files that no row names, 0..1."""
        strays = len(self.prepared.listing.files_without_rows)
        return strays / max(1, strays + self.prepared.listing.files_found)

    def reasons_to_stop(self) -> list[str]:
        """Why the run must not go on; empty where it may."""
        reasons = []
        limit = self.quality.max_excluded_share
        if self.excluded_share > limit:
            n_out = self.sites_expected - self.counts[COMPLETE]
            reasons.append(
                f"{n_out} of {self.sites_expected} sites ({_percent(self.excluded_share)}) are "
                f"left out: {self.counts[MISSING]} missing, {self.counts[INCOMPLETE]} incomplete, "
                f"{self.counts[CORRUPT]} corrupt; the limit is {_percent(limit)} "
                "(quality.max_excluded_share)"
            )
        if self.unnamed_share > limit:
            n = len(self.prepared.listing.files_without_rows)
            reasons.append(
                f"{n} image files ({_percent(self.unnamed_share)}) have no table row; the limit "
                f"is {_percent(limit)} (quality.max_excluded_share)"
            )
        if self.sites_expected and not self.counts[COMPLETE]:
            reasons.append("no site is complete, so there is nothing to work on")
        return reasons + self._lost()

    def _lost(self) -> list[str]:
        """What the exclusions cost that training or its judgement cannot do without."""
        lost = []
        for split in (schema.SPLIT_TRAIN, schema.SPLIT_EVAL):
            expected = self.counts[COMPLETE] and split in self.prepared.expected_sites
            if expected and split not in self.found:
                lost.append(f"split {split} has no complete site")
        train = self.classes[schema.SPLIT_TRAIN]
        if train:
            for split in (schema.SPLIT_EVAL, schema.SPLIT_TEST, schema.SPLIT_IN_DISTRIBUTION):
                unseen = sorted(self.classes[split] - train, key=schema.natural_key)
                if unseen:
                    lost.append(
                        f"split {split} has classes whose training sites are all left out: "
                        f"{', '.join(unseen[:20])}"
                    )
        return lost


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
