"""Whether a plate has landed completely: every file that its own table lists is there.

Nothing is counted and no order is assumed: files arrive in any order, some twice, and the table may
come first or last. Cloud Storage lists what was finished, so of two last files that arrive at the
same moment, each is seen when the later of the two events is handled.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from plate_trigger.settings import Settings


class TableError(Exception):
    """A table that lists no plate; only another upload of it mends that."""


@dataclass(frozen=True)
class Plate:
    """A folder that a plate lands in."""

    bucket: str
    screen: str
    name: str
    #: Without a slash at its end.
    folder: str

    @property
    def uri(self) -> str:
        return f"gs://{self.bucket}/{self.folder}"


def plate_of(bucket: str, name: str, settings: Settings) -> Plate | None:
    """The plate that an object belongs to; None for one elsewhere in the bucket."""
    if bucket != settings.bucket or not name.startswith(settings.prefix):
        return None
    parts = name[len(settings.prefix) :].split("/")
    if len(parts) < 3 or not all(parts[:2]):
        return None
    folder = f"{settings.prefix}{parts[0]}/{parts[1]}"
    return Plate(bucket, parts[0], parts[1], folder)


def expected_files(table: str, settings: Settings) -> frozenset[str]:
    """Paths under the plate's folder that a table lists.

    Raises
    ------
    TableError
        No rows, a column that is missing, or a row without a value where the path needs one.
    """
    rows = csv.DictReader(io.StringIO(table.removeprefix("\ufeff")))
    header = rows.fieldnames or []
    needed = [name for name in ("experiment", "plate", "well") if _in_path(name, settings)]
    missing = [settings.column(name) for name in needed if settings.column(name) not in header]
    if missing:
        raise TableError(f"no column {', '.join(missing)}; its columns: {', '.join(header)}")
    paths = {
        path
        for line, row in enumerate(rows, start=2)
        for path in _paths_of(row, line, settings, set(header))
    }
    if not paths:
        raise TableError("no rows")
    return frozenset(paths)


def _in_path(name: str, settings: Settings) -> bool:
    return "{" + name in settings.path_template


def _paths_of(
    row: dict[str, Any], line: int, settings: Settings, header: set[str]
) -> Iterable[str]:
    values = {name: row.get(settings.column(name)) or "" for name in _columns(settings)}
    if empty := [name for name, value in values.items() if not value and name != "site"]:
        raise TableError(f"line {line} has no {', '.join(empty)}")
    sites: tuple[int, ...] = settings.sites
    if settings.column("site") in header:
        try:
            sites = (int(row[settings.column("site")]),)
        except (TypeError, ValueError):
            raise TableError(
                f"line {line}: site {row.get(settings.column('site'))!r} is no number"
            ) from None
    for site in sites:
        for channel in settings.channels:
            yield settings.path_template.format(**(values | {"site": site, "channel": channel}))


def _columns(settings: Settings) -> list[str]:
    """Columns that the path template takes from the table, the site aside."""
    names = ("experiment", "plate", "well", "dataset", "cell_type")
    return [name for name in names if _in_path(name, settings)]


def first_missing(bucket: Any, folder: str, expected: frozenset[str]) -> str | None:
    """The first expected file that is not there, by name; None where the plate is complete.

    An empty object does not count: no image is empty.
    """
    start = len(folder) + 1
    listed = bucket.client.list_blobs(
        bucket, prefix=folder + "/", fields="items(name,size),nextPageToken"
    )
    present = {blob.name[start:] for blob in listed if blob.size}
    return min(expected - present, default=None)
