"""What reading a plate finds: its sites, their measures, and what cannot be used."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from trainer.manifest import Shard
from trainer.records import SiteIdentity

COMPLETE, INCOMPLETE, CORRUPT, MISSING = "complete", "incomplete", "corrupt", "missing"


@dataclass(frozen=True)
class DeadLetter:
    """One file, or one missing file, and why its site was left out."""

    path: str
    reason: str
    #: SHA-256 of the file's bytes; empty where there is no file.
    digest: str
    site_id: str
    row: str


@dataclass(frozen=True)
class SiteResult:
    """What was found of one site; measures are empty but for complete sites."""

    identity: SiteIdentity
    #: Empty where the site's experiment is in no split.
    split: str
    status: str
    #: Mean grey level, focus score and share of saturated pixels, one entry a channel.
    mean: tuple[float, ...] = ()
    focus: tuple[float, ...] = ()
    saturation: tuple[float, ...] = ()
    dead_letters: tuple[DeadLetter, ...] = ()
    #: Table and line that name the site.
    row: str = ""
    #: Its files relative to the screen, ``{channel}`` standing for the channel's token.
    path: str = ""
    #: See :mod:`components.plate_example_gen.digests`; empty but for complete sites.
    pixel_digests: tuple[str, ...] = ()
    counts_digest: str = ""


@dataclass
class PlateResult:
    """Everything known about a plate after reading it, but its pixels."""

    plate_id: str
    experiment: str
    cell_type: str
    #: Grey-level counts of all complete sites, [C, 256].
    histogram: npt.NDArray[np.int64]
    sites: list[SiteResult] = field(default_factory=list)
    #: What was written of it, by whoever writes.
    shards: list[Shard] = field(default_factory=list)
