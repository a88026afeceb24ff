"""A screen in memory: plates, wells and sites as the tables name them, no pixels.

A table row is a site (official form) or a well (Kaggle's); either way each site remembers
the row that named it, so that every complaint can give file and line.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from trainer.errors import PlatewiseError
from trainer.schema import natural_key


class ScreenError(PlatewiseError):
    """A screen whose tables, layout or files cannot be used."""


class Row(NamedTuple):
    """One table row, its values checked and in our words."""

    table: int
    line: int
    experiment: str
    plate: str
    well: str
    sites: tuple[int, ...]
    cell_type: str
    well_type: str
    #: Empty where unknown.
    treatment: str
    #: The table's own word for the split; empty where it has none.
    dataset: str


@dataclass(slots=True)
class Site:
    """One field of view and the row that names it."""

    number: int
    dataset: str
    table: int
    line: int
    #: Channels whose PNG is there: bit c stands for channel c. Set by listing the files.
    found: int = 0


@dataclass(slots=True)
class Well:
    """One well; its label holds for all of its sites."""

    name: str
    cell_type: str
    well_type: str
    treatment: str
    sites: list[Site]


@dataclass(slots=True)
class Plate:
    """One plate, the unit of work."""

    experiment: str
    plate: str
    wells: list[Well]

    @property
    def plate_id(self) -> str:
        """Global name, such as ``HUVEC-01_1``."""
        return f"{self.experiment}_{self.plate}"

    def sites(self) -> Iterator[tuple[Well, Site]]:
        """Wells and sites, in order."""
        for well in self.wells:
            for site in well.sites:
                yield well, site


@dataclass
class Problems:
    """Messages about one screen: all are counted, the first thousand are kept."""

    count: int = 0
    messages: list[str] = field(default_factory=list)

    def add(self, message: str) -> None:
        """Count a problem and keep its message if there is room."""
        self.count += 1
        if len(self.messages) < 1000:
            self.messages.append(message)

    def raise_any(self, heading: str) -> None:
        """Stop with the first few messages, if there are any.

        Raises
        ------
        ScreenError
        """
        if self.count:
            shown = self.messages[:10]
            more = f"\n  and {self.count - len(shown)} more" if self.count > len(shown) else ""
            raise ScreenError(f"{heading}:\n  " + "\n  ".join(shown) + more)


@dataclass
class Screen:
    """All plates of a screen."""

    root: str
    #: ``official``, ``kaggle``, ``columns`` or ``files`` (no table at all).
    form: str
    tables: tuple[str, ...]
    path_template: str
    plates: list[Plate]
    n_rows: int
    problems: Problems = field(default_factory=Problems)

    def row_name(self, table: int, line: int) -> str:
        """Where a row stands, such as ``metadata.csv line 7``."""
        return f"{self.tables[table]} line {line}"

    def n_sites(self) -> int:
        """Sites that the tables name."""
        return sum(len(well.sites) for plate in self.plates for well in plate.wells)


def assemble(
    root: str,
    form: str,
    tables: tuple[str, ...],
    path_template: str,
    rows: Iterable[Row],
    problems: Problems,
) -> Screen:
    """Order rows into plates; duplicates and contradictions become problems.

    Plates, wells and sites come out in natural order, whatever the order of the rows.
    """
    screen = Screen(root, form, tables, path_template, [], 0, problems)
    plates: dict[tuple[str, str], dict[str, Well]] = {}
    for row in rows:
        screen.n_rows += 1
        _add(screen, plates.setdefault((row.experiment, row.plate), {}), row)
    owners: dict[str, tuple[str, str]] = {}
    for key in sorted(plates, key=lambda k: (natural_key(k[0]), natural_key(k[1]))):
        wells = sorted(plates[key].values(), key=lambda well: natural_key(well.name))
        for well in wells:
            well.sites.sort(key=lambda site: site.number)
        plate = Plate(*key, wells)
        if (owner := owners.setdefault(plate.plate_id, key)) != key:
            problems.add(
                f"experiment {owner[0]!r} plate {owner[1]!r} and experiment {key[0]!r} plate "
                f"{key[1]!r} share the name {plate.plate_id}; rename one of them"
            )
        screen.plates.append(plate)
    return screen


def _add(screen: Screen, wells: dict[str, Well], row: Row) -> None:
    name = f"{row.experiment}_{row.plate}_{row.well}"
    here = screen.row_name(row.table, row.line)
    well = wells.get(row.well)
    if well is None:
        well = wells[row.well] = Well(row.well, row.cell_type, row.well_type, row.treatment, [])
    elif (label := _difference(well, row)) is not None:
        first = screen.row_name(well.sites[0].table, well.sites[0].line)
        screen.problems.add(
            f"two labels for well {name}: {label[1]!r} in {first}, {label[2]!r} in {here} "
            f"(column {label[0]}); correct one of the rows"
        )
    known = {site.number: site for site in well.sites}
    duplicates = [known[number] for number in row.sites if number in known]
    if duplicates:
        first = screen.row_name(duplicates[0].table, duplicates[0].line)
        numbers = ", ".join(str(site.number) for site in duplicates)
        screen.problems.add(
            f"duplicate: site {numbers} of well {name} stands in {first} and in {here}; "
            "remove one of the rows"
        )
    well.sites.extend(
        Site(number, row.dataset, row.table, row.line)
        for number in row.sites
        if number not in known
    )


def _difference(well: Well, row: Row) -> tuple[str, str, str] | None:
    """First column in which a row contradicts its well, with both values."""
    for column in ("treatment", "well_type", "cell_type"):
        before, now = getattr(well, column), getattr(row, column)
        if before != now:
            return column, before, now
    return None


class SitePaths:
    """Where the PNGs of a site are, relative to the root of the screen."""

    def __init__(self, path_template: str, channel_tokens: tuple[str, ...]) -> None:
        self._template = path_template
        self._tokens = channel_tokens

    def __call__(self, plate: Plate, well: Well, site: Site) -> list[str]:
        """One path a channel, in the order of the channels.

        Raises
        ------
        ScreenError
            A path that leaves the folder of the screen.
        """
        paths = [
            self._template.format(
                experiment=plate.experiment,
                plate=plate.plate,
                well=well.name,
                site=site.number,
                channel=token,
                dataset=site.dataset,
                cell_type=well.cell_type,
            )
            for token in self._tokens
        ]
        for path in paths:
            if leaves(path):
                raise ScreenError(f"path {path!r} leaves the folder of the screen")
        return paths


def leaves(path: str) -> bool:
    """Whether a relative path points outside the folder it starts from."""
    if ".." not in path and not path.startswith("/"):
        return False
    return posixpath.isabs(path) or posixpath.normpath(path).split("/")[0] == ".."
