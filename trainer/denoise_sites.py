"""Which files are the channels of one site, and the statistics of their plate."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainer.denoise_folder import Unit
from trainer.errors import PlatewiseError
from trainer.image_files import read_grey
from trainer.schema import GREY_LEVELS
from trainer.strict import ConfigError

if TYPE_CHECKING:
    from trainer.denoise import ImageDenoiser

#: RxRx1's names, ``B02_s1_w3.png``; the folder of a file is its plate.
DEFAULT_PATTERN = r"(?P<site>.+)_w(?P<channel>\d+)\.[A-Za-z]+"


def sites(
    paths: Sequence[Path], n_channels: int, pattern: str = DEFAULT_PATTERN
) -> tuple[list[Unit], list[str]]:
    """Units of the files that are the channels of one site, and what was left out and why.

    Parameters
    ----------
    pattern
        Regular expression for a whole file name, with groups ``site`` and ``channel``; the
        numbers of the channels give their order.

    Raises
    ------
    ConfigError
        A pattern that is not one.
    PlatewiseError
        No whole site.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"--pattern {pattern!r} is no regular expression: {error}") from None
    if not {"site", "channel"} <= set(compiled.groupindex):
        raise ConfigError(
            f"--pattern {pattern!r} must have the groups (?P<site>...) and (?P<channel>...)"
        )
    found: dict[tuple[Path, str], dict[int, Path]] = {}
    left_out = []
    for path in paths:
        match = compiled.fullmatch(path.name)
        channel = match["channel"] if match else ""
        if match is None or not channel.isdigit():
            left_out.append(f"{path} does not fit --pattern {pattern!r}")
            continue
        members = found.setdefault((path.parent, match["site"]), {})
        if int(channel) in members:
            left_out.append(f"{path} is channel {channel} of a site that has one already")
            continue
        members[int(channel)] = path
    units = []
    for (folder, site), members in found.items():
        if len(members) != n_channels:
            left_out.append(
                f"{folder / site} has {len(members)} of the model's {n_channels} channels "
                f"({', '.join(str(number) for number in sorted(members))})"
            )
            continue
        ordered = tuple(members[number] for number in sorted(members))
        units.append(Unit((folder / site).as_posix(), ordered))
    if not units:
        raise PlatewiseError(
            f"no site with all {n_channels} channels; first of {len(left_out)} left out: "
            f"{left_out[0] if left_out else 'none'}"
        )
    return units, left_out


class PlateStatistics:
    """Centre and scale of each plate, from the histograms of its folder's sites.

    Parameters
    ----------
    of
        ``plate``: all sites of a folder together; ``image``: each site by itself.
    """

    def __init__(
        self, source: Path, units: Sequence[Unit], denoiser: ImageDenoiser, of: str = "plate"
    ) -> None:
        self._histograms: dict[str, np.ndarray] = {}
        self._denoiser, self._of = denoiser, of
        #: Units whose files could be read, and what was wrong with the others.
        self.usable: list[Unit] = []
        self.left_out: list[str] = []
        for unit in units:
            try:
                counts_CQ = np.stack([_counts(source / path) for path in unit.paths])
            except PlatewiseError as error:
                self.left_out.append(str(error))
                continue
            key = self._key(unit)
            self._histograms[key] = self._histograms.get(key, 0) + counts_CQ
            self.usable.append(unit)

    def __call__(self, unit: Unit) -> tuple[np.ndarray, np.ndarray]:
        """Centre and scale [C] of a unit's plate, grey levels."""
        return self._denoiser.statistics(self._histograms[self._key(unit)])

    @property
    def digest_text(self) -> str:
        """Changes with any of the statistics: what a result depends on beside its pixels."""
        rows = {
            key: [part.tolist() for part in self._denoiser.statistics(counts)]
            for key, counts in self._histograms.items()
        }
        return str(sorted(rows.items()))

    def _key(self, unit: Unit) -> str:
        return unit.name if self._of == "image" else unit.paths[0].parent.as_posix()


def _counts(path: Path) -> np.ndarray:
    pixels = read_grey(path).pixels
    if pixels.dtype != np.uint8:
        raise PlatewiseError(
            f"{path} holds {pixels.dtype} pixels; a trained model reads the 8-bit images it was "
            "trained on (classical filters read 16 bits too)"
        )
    return np.bincount(pixels.ravel(), minlength=GREY_LEVELS)
