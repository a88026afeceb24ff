"""What stands in two splits: experiments, wells, sites, and images under two names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from trainer import schema

#: The one pair of splits that may share experiments and wells: ``id_test`` is declared to be
#: further sites of training wells (WILDS), and neither a gate nor the headline reads it.
DECLARED = frozenset({schema.SPLIT_TRAIN, schema.SPLIT_IN_DISTRIBUTION})


@dataclass(frozen=True, slots=True)
class AuditSite:
    """What the audit needs to know of one site; empty text where unknown."""

    site_id: str
    well_id: str
    plate_id: str
    experiment: str
    well: str
    well_type: str
    treatment: str
    split: str
    #: Table row that names the site, such as ``metadata.csv line 7``.
    row: str = ""
    #: File of each channel, relative to the screen.
    paths: tuple[str, ...] = ()
    #: Digest of each channel's grey levels; empty for a channel of one grey level.
    pixel_digests: tuple[str, ...] = ()
    #: Digest of the grey-level counts of all channels: flips and turns do not change it.
    counts_digest: str = ""

    @property
    def where(self) -> str:
        """The site with its split and its row, for a person."""
        return f"{self.site_id} ({', '.join(part for part in (self.split, self.row) if part)})"

    def file(self, channel: int) -> str:
        """The site with its split, its row and one of its files."""
        path = self.paths[channel] if channel < len(self.paths) else f"channel {channel + 1}"
        return f"{self.site_id} ({', '.join(p for p in (self.split, self.row, path) if p)})"


@dataclass(frozen=True)
class Shared:
    """Two places that hold the same thing."""

    #: ``experiment``, ``well``, ``site``, ``pixels`` or ``counts``.
    kind: str
    splits: tuple[str, str]
    text: str

    @property
    def across(self) -> bool:
        """Whether the two stand in different splits."""
        return self.splits[0] != self.splits[1]

    @property
    def declared(self) -> bool:
        """Whether the two splits are training and its declared in-distribution part."""
        return set(self.splits) == DECLARED


_NAMES: dict[str, Callable[[AuditSite], str]] = {
    "experiment": lambda site: site.experiment,
    "well": lambda site: site.well_id,
    "site": lambda site: site.site_id,
}


def find_shared(sites: Sequence[AuditSite]) -> dict[str, list[Shared]]:
    """Everything that two splits share, by kind, in the order of the sites.

    ``experiment``, ``well`` and ``site`` are compared by name and reported once a name and pair
    of splits, ``id_test`` and ``train`` sharing the first two by declaration. ``pixels`` are
    images with equal grey levels under two names, within a split too; ``counts`` are sites whose
    every channel has the same number of pixels of each grey level, though no image is equal:
    flipped, turned or shifted copies.
    """
    found: dict[str, list[Shared]] = {}
    for kind, name_of in _NAMES.items():
        found[kind] = list(_by_name(sites, kind, name_of))
    found["pixels"], same = _by_pixels(sites)
    found["counts"] = list(_by_counts(sites, same))
    return found


def _by_name(
    sites: Iterable[AuditSite], kind: str, name_of: Callable[[AuditSite], str]
) -> Iterable[Shared]:
    first: dict[str, dict[str, AuditSite]] = {}
    for site in sites:
        by_split = first.setdefault(name_of(site), {})
        if site.split in by_split:
            continue
        for split, other in by_split.items():
            if {split, site.split} != DECLARED or kind == "site":
                text = f"{kind} {name_of(site)}: {other.where} and {site.where}"
                yield Shared(kind, (split, site.split), text)
        by_split[site.split] = site


def _by_pixels(sites: Sequence[AuditSite]) -> tuple[list[Shared], set[tuple[int, int]]]:
    """Equal images, one entry a pair of sites; and those pairs, by their places."""
    first: dict[str, dict[str, tuple[int, int]]] = {}
    pairs: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for i, site in enumerate(sites):
        for channel, digest in enumerate(site.pixel_digests):
            if not digest:
                continue
            by_split = first.setdefault(digest, {})
            for j, other_channel in by_split.values():
                if j != i:
                    pairs.setdefault((j, i), []).append((other_channel, channel))
            by_split.setdefault(site.split, (i, channel))
    shared = []
    for (j, i), channels in pairs.items():
        one, other = channels[0]
        more = f"; {len(channels)} channels are the same" if len(channels) > 1 else ""
        text = f"{sites[j].file(one)} is {sites[i].file(other)}{more}"
        shared.append(Shared("pixels", (sites[j].split, sites[i].split), text))
    return shared, set(pairs)


def _by_counts(sites: Sequence[AuditSite], same: set[tuple[int, int]]) -> Iterable[Shared]:
    first: dict[str, dict[str, int]] = {}
    for i, site in enumerate(sites):
        if not site.counts_digest:
            continue
        by_split = first.setdefault(site.counts_digest, {})
        for j in by_split.values():
            if (j, i) not in same:
                text = f"{sites[j].file(0)} and {site.file(0)}"
                yield Shared("counts", (sites[j].split, site.split), text)
        by_split.setdefault(site.split, i)
