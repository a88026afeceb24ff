"""Which of the files that the tables name are there, and which files no row names.

The screen is listed once, folder by folder, in one place: every site remembers which of its
channels were found, so that nothing that follows has to list again.
"""

from __future__ import annotations

import posixpath
import re
import string
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

from components.plate_example_gen import png
from components.plate_example_gen.config import ScreenConfig
from components.plate_example_gen.screen import Plate, Screen, Site, SitePaths, Well
from components.plate_example_gen.storage import Storage

#: Image headers read to find the size of the majority.
_SAMPLED_HEADERS = 300


class RowName(NamedTuple):
    """A table row for a person: where it stands and what it names."""

    table: str
    line: int
    id: str
    #: First of the files that it asks for, relative to the root.
    path: str


@dataclass
class Listing:
    """What is missing on either side."""

    rows_without_files: list[RowName] = field(default_factory=list)
    #: Paths relative to the root.
    files_without_rows: list[str] = field(default_factory=list)
    files_found: int = 0
    sites_found: int = 0
    sites_incomplete: int = 0


def list_files(screen: Screen, config: ScreenConfig, storage: Storage) -> Listing:
    """List the screen's folder and note on every site which channels are there.

    Call :func:`count_found` afterwards, on the plates that matter.
    """
    listing = Listing()
    paths = SitePaths(screen.path_template, config.tokens())
    owners = _owners(screen, config)
    suffix = posixpath.splitext(screen.path_template)[1].lower() or ".png"
    root = config.root.rstrip("/")
    for folder, names in storage.walk(root):
        inside = folder[len(root) + 1 :]
        unnamed = {name for name in names if name.lower().endswith(suffix)}
        for plate in owners.get(inside, ()):
            listing.files_found += _claim(plate, paths, inside, set(names), unnamed)
        prefix = f"{inside}/" if inside else ""
        listing.files_without_rows += [prefix + name for name in sorted(unnamed)]
    return listing


def count_found(screen: Screen, config: ScreenConfig, listing: Listing) -> None:
    """Count found and incomplete sites, and name the rows that have no file at all."""
    complete = (1 << len(config.channel_names)) - 1
    tables: dict[tuple[int, int], RowName] = {}
    paths = SitePaths(screen.path_template, config.tokens())
    for plate in screen.plates:
        rows: dict[tuple[int, int], list[tuple[Well, Site]]] = {}
        for well, site in plate.sites():
            listing.sites_found += site.found != 0
            listing.sites_incomplete += site.found not in (0, complete)
            rows.setdefault((site.table, site.line), []).append((well, site))
        for (table, line), sites in rows.items():
            if not any(site.found for _, site in sites):
                name = _row_id(plate, sites, len(config.sites))
                path = paths(plate, *sites[0])[0]
                tables[table, line] = RowName(screen.tables[table], line, name, path)
    listing.rows_without_files = [tables[key] for key in sorted(tables)]


def near_miss(listing: Listing) -> str | None:
    """Advice where rows and files would meet but for how a name is written."""
    if not listing.files_without_rows:
        return None
    strays = {_plain(path): path for path in listing.files_without_rows}
    missed = [row for row in listing.rows_without_files if _plain(row.path) in strays]
    if not missed:
        return None
    row = missed[0]
    return (
        f"{len(missed)} rows miss their files by upper case, leading zeros or the encoding of "
        f"accents alone: {row.table} line {row.line} asks for {row.path}, and there is "
        f"{strays[_plain(row.path)]}; rename the files, or correct the table or path_template"
    )


def majority_size(
    screen: Screen, config: ScreenConfig, storage: Storage, pool: ThreadPoolExecutor
) -> png.PngHeader | None:
    """Image size, px: the configured one, or that of most of a sample of headers.

    Returns
    -------
    None where no sampled file is an image that we take.
    """
    if config.height_px:
        return png.PngHeader(config.height_px, config.width_px)
    paths = SitePaths(screen.path_template, config.tokens())
    root = config.root.rstrip("/")
    sample = [f"{root}/{path}" for path in _sample(screen, paths)]

    def size(path: str) -> png.PngHeader | None:
        try:
            header = png.read_header(read_start(storage, path, png.HEADER_BYTES))
            png.check_size(header, None, config.max_pixels)
        except (png.PngError, OSError):
            return None
        return header

    sizes = [found for found in pool.map(size, sample) if found is not None]
    # Of equally frequent sizes the first one, so that the answer never changes.
    return max(dict.fromkeys(sizes), key=sizes.count, default=None)


def read_start(storage: Storage, path: str, n_bytes: int) -> bytes:
    """First bytes of a file."""
    with storage.open_read(path) as stream:
        return stream.read(n_bytes)


def read_ends(storage: Storage, path: str, n_start: int, n_end: int) -> tuple[bytes, bytes]:
    """First and last bytes of a file, which may overlap."""
    with storage.open_read(path) as stream:
        start = stream.read(n_start)
        size = stream.seek(0, 2)
        stream.seek(max(0, size - n_end))
        return start, stream.read(n_end)


def _owners(screen: Screen, config: ScreenConfig) -> dict[str, list[Plate]]:
    """Folder, relative to the root -> plates that have images there."""
    template = posixpath.dirname(screen.path_template)
    fields = {name for _, name, _, _ in string.Formatter().parse(template) if name}
    owners: dict[str, list[Plate]] = {}
    for plate in screen.plates:
        for folder in _folders(plate, template, fields, config.tokens()):
            owners.setdefault(folder, []).append(plate)
    return owners


def _folders(plate: Plate, template: str, fields: set[str], tokens: tuple[str, ...]) -> set[str]:
    """Folders of one plate; most templates need no look at its single wells."""
    keys = {
        (
            well.name if "well" in fields else "",
            site.number if "site" in fields else 0,
            site.dataset,
            well.cell_type,
        )
        for well, site in plate.sites()
    }
    return {
        posixpath.normpath(
            template.format(
                experiment=plate.experiment,
                plate=plate.plate,
                well=well,
                site=site,
                channel=token,
                dataset=dataset,
                cell_type=cell_type,
            )
        ).removeprefix(".")
        for well, site, dataset, cell_type in keys
        for token in (tokens if "channel" in fields else tokens[:1])
    }


def _claim(plate: Plate, paths: SitePaths, folder: str, names: set[str], unnamed: set[str]) -> int:
    """Mark what a plate finds in a folder; returns the number of files."""
    found = 0
    for well, site in plate.sites():
        for channel, path in enumerate(paths(plate, well, site)):
            parent, _, name = path.rpartition("/")
            if name in names and parent == folder:
                site.found |= 1 << channel
                unnamed.discard(name)
                found += 1
    return found


def _row_id(plate: Plate, sites: list[tuple[Well, Site]], n_sites: int) -> str:
    """A well's name where one row names all sites of a well, else the site's."""
    well, site = sites[0]
    name = f"{plate.plate_id}_{well.name}"
    return name if len(sites) == n_sites else f"{name}_{site.number}"


def _plain(path: str) -> str:
    return re.sub(r"(?<!\d)0+(?=\d)", "", unicodedata.normalize("NFC", path).casefold())


def _sample(screen: Screen, paths: SitePaths) -> Iterator[str]:
    """Paths of found images, spread evenly over the plates that have any."""
    filled = [plate for plate in screen.plates if any(site.found for _, site in plate.sites())]
    each = max(1, _SAMPLED_HEADERS // max(1, len(filled)))
    for plate in filled[:: max(1, len(filled) // _SAMPLED_HEADERS)]:
        sites = [(well, site) for well, site in plate.sites() if site.found]
        for well, site in sites[:: max(1, len(sites) // each)]:
            channel = (site.found & -site.found).bit_length() - 1
            yield paths(plate, well, site)[channel]
