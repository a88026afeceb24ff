"""The quality artifact: what ingest found, for the report and for people.

Files in the artifact's folder (encoding UTF-8, CSV with a header line):

``quality.json``
    ``{"format": 1, ...}`` and the facts of ``platewise check --json`` under the same names:
    counts (``sites_expected``, ``sites_found``, ``sites_complete``, ``sites_incomplete``,
    ``sites_corrupt``, ``sites_missing``, ``corrupt`` (files), ``rows``,
    ``rows_without_files``, ``files_found``, ``files_without_rows``, ``experiments``,
    ``plates``, ``outlier_plates``, ``warnings``), each with its ``<name>_list``;
    ``excluded_share`` and ``max_excluded_share`` (0..1); ``height_px``, ``width_px``,
    ``channel_names``, ``channel_tokens``; ``splits`` (per split: ``experiments``,
    ``sites_expected``, ``sites_complete``, ``experiments_list``); ``plate_groups`` (null, or
    ``sizes``, ``n_groups``, ``n_experiments``, ``n_orders``, ``chance``, ``chance_with_group``,
    ``gain``, ``group_from_plate_number``, ``text``).
``plates.csv``
    One row a plate: ``plate_id, experiment, cell_type, splits`` (joined by +),
    ``sites_expected, sites_found, sites_complete, sites_incomplete, sites_corrupt,
    sites_missing, corrupt, outlier`` (why it is an outlier of its experiment; empty where it
    is not), and for each channel c = 1, 2, ...: ``w{c}_mean`` (grey levels),
    ``w{c}_saturation_share`` (0..1), ``w{c}_intensity`` (median of the sites' means, grey
    levels), ``w{c}_focus`` (median of the sites' focus, see measures.focus; higher is
    sharper), ``w{c}_p{p}`` (percentiles, grey levels). Empty where no site is complete.
``sites.csv``
    One row a site, in plate order: ``site_id, plate_id, experiment, well, site, cell_type,
    well_type, treatment, split`` (empty: in none), ``status`` (complete, incomplete, corrupt,
    missing), ``row`` (table and line), ``path`` (its files, ``{channel}`` standing for one of
    ``channel_tokens``), ``pixel_digests`` (one a channel, joined by spaces, ``-`` for a blank
    one), ``counts_digest`` (see digests.py; both empty but for complete sites), ``w{c}_mean,
    w{c}_focus, w{c}_saturation_share``.
``dead_letters.csv``
    One row a file that is missing, cannot be used, or has no table row: ``path`` (relative
    to the screen), ``reason``, ``digest`` (SHA-256 of its bytes; empty where it was not
    read), ``site_id``, ``row`` (table and line).
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import hashlib
import io
import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from components.plate_example_gen.found import DeadLetter, PlateResult, SiteResult
from components.plate_example_gen.prepare import Prepared
from components.plate_example_gen.screen import ScreenError
from components.plate_example_gen.storage import Storage, StorageError, open_storage
from trainer.manifest import Shard
from trainer.records import SiteIdentity

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
QUALITY_NAME = "quality.json"
PLATES_NAME = "plates.csv"
SITES_NAME = "sites.csv"
DEAD_LETTERS_NAME = "dead_letters.csv"
#: Folder, inside the artifact, of what single plates hand over; gone when all is done.
PARTS_NAME = "_parts"
#: Files without a row that are read for their digest; there may be a million of them.
_DIGESTED_STRAYS = 1000
_SITE_COLUMNS = (
    "site_id",
    "plate_id",
    "experiment",
    "well",
    "site",
    "cell_type",
    "well_type",
    "treatment",
    "split",
    "status",
    "row",
    "path",
    "pixel_digests",
    "counts_digest",
)
#: Columns that are not part of a site's identity.
_N_FOUND_COLUMNS = 6
#: Stands for the digest of a blank channel.
NO_DIGEST = "-"
_TEXT_COLUMNS = {
    PLATES_NAME: ("plate_id", "experiment", "cell_type", "splits", "outlier"),
    SITES_NAME: tuple(name for name in _SITE_COLUMNS if name != "site"),
    DEAD_LETTERS_NAME: ("path", "reason", "digest", "site_id", "row"),
}


@dataclass(frozen=True)
class QualityReport:
    """A quality artifact, read back."""

    #: ``quality.json``.
    facts: dict[str, Any]
    plates: pd.DataFrame
    sites: pd.DataFrame
    dead_letters: pd.DataFrame


def read_quality(uri: str, beam_args: Sequence[str] = ()) -> QualityReport:
    """Read a quality artifact, local or in a bucket.

    Text columns are text, with an empty string where there is nothing; measures are NaN.

    Raises
    ------
    ScreenError
        A file is missing, or written by another version.
    """
    storage = open_storage(uri, beam_args)
    folder = uri.rstrip("/")
    try:
        facts = json.loads(storage.read(f"{folder}/{QUALITY_NAME}"))
        if facts.get("format") != FORMAT:
            raise ScreenError(f"{folder}/{QUALITY_NAME} is not of format {FORMAT}; run again")
        tables = {
            name: _read_csv(storage, f"{folder}/{name}", _TEXT_COLUMNS[name])
            for name in (PLATES_NAME, SITES_NAME, DEAD_LETTERS_NAME)
        }
    except OSError as error:
        raise ScreenError(f"the quality artifact {folder} is not whole: {error}") from None
    return QualityReport(facts, tables[PLATES_NAME], tables[SITES_NAME], tables[DEAD_LETTERS_NAME])


def _read_csv(storage: Storage, path: str, text_columns: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd

    table = pd.read_csv(
        io.BytesIO(storage.read(path)),
        dtype=dict.fromkeys(text_columns, str),
        keep_default_na=False,
        na_values={},
    )
    for name in table.columns:
        if name not in text_columns:
            table[name] = pd.to_numeric(table[name])
    return table


class TableWriter:
    """A CSV file that appears whole or not at all; rows are mappings."""

    def __init__(self, storage: Storage, path: str, columns: Iterable[str]) -> None:
        self._storage, self._path = storage, path
        self._raw = storage.open_write(f"{path}.tmp")
        self._text = io.TextIOWrapper(self._raw, encoding="utf-8", newline="")
        self._csv = csv.DictWriter(self._text, list(columns), restval="", lineterminator="\n")
        self._csv.writeheader()

    def write(self, row: dict[str, Any]) -> None:
        """Add a row; numbers keep six digits."""
        self._csv.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})

    def close(self) -> None:
        """Give the file its name."""
        self._text.close()
        self._storage.rename(f"{self._path}.tmp", self._path)


def site_columns(n_channels: int) -> list[str]:
    """Columns of ``sites.csv``."""
    channels = range(1, n_channels + 1)
    return [*_SITE_COLUMNS] + [
        f"w{c}_{name}" for c in channels for name in ("mean", "focus", "saturation_share")
    ]


def site_row(site: SiteResult) -> dict[str, Any]:
    """A row of ``sites.csv``."""
    who = site.identity
    row: dict[str, Any] = {name: getattr(who, name) for name in _SITE_COLUMNS[:-_N_FOUND_COLUMNS]}
    row |= {name: getattr(site, name) for name in _SITE_COLUMNS[-_N_FOUND_COLUMNS:]}
    row["pixel_digests"] = " ".join(digest or NO_DIGEST for digest in site.pixel_digests)
    for c, (mean, focus, share) in enumerate(
        zip(site.mean, site.focus, site.saturation, strict=True), start=1
    ):
        row |= {f"w{c}_mean": mean, f"w{c}_focus": focus, f"w{c}_saturation_share": share}
    return row


def plate_columns(n_channels: int, percentiles: Sequence[float]) -> list[str]:
    """Columns of ``plates.csv``."""
    counts = ["expected", "found", "complete", "incomplete", "corrupt", "missing"]
    columns = ["plate_id", "experiment", "cell_type", "splits", *(f"sites_{n}" for n in counts)]
    columns += ["corrupt", "outlier"]
    for c in range(1, n_channels + 1):
        columns += [f"w{c}_{n}" for n in ("mean", "saturation_share", "intensity", "focus")]
        columns += [f"w{c}_p{p:g}" for p in percentiles]
    return columns


def write_text(storage: Storage, path: str, text: str) -> None:
    """Write a small file that appears whole or not at all, whoever else writes it too."""
    temporary = f"{path}.{uuid.uuid4().hex}.tmp"
    with storage.open_write(temporary) as stream:
        stream.write(text.encode())
    storage.rename(temporary, path)


def stray_letters(prepared: Prepared, storage: Storage) -> Iterator[DeadLetter]:
    """A dead letter for each file without a row; the first thousand with a digest."""
    for i, path in enumerate(prepared.listing.files_without_rows):
        digest = ""
        if i < _DIGESTED_STRAYS:
            with contextlib.suppress(OSError, StorageError):
                full_path = f"{prepared.screen.root.rstrip('/')}/{path}"
                content = storage.read(full_path, prepared.options.limit_bytes())
                digest = hashlib.sha256(content).hexdigest()
        yield DeadLetter(path, "no table row names this file", digest, "", "")


def part_to_json(result: PlateResult) -> str:
    """What the step that reads a plate hands over to the last step."""
    plain = dataclasses.asdict(result) | {"histogram": result.histogram.tolist()}
    return json.dumps(plain, separators=(",", ":"))


def part_from_json(text: str | bytes) -> PlateResult:
    """Inverse of :func:`part_to_json`."""
    plain = json.loads(text)
    plain["histogram"] = np.array(plain["histogram"], np.int64)
    plain["sites"] = list(_sites(plain["sites"]))
    plain["shards"] = [Shard(**shard) for shard in plain["shards"]]
    return PlateResult(**plain)


def _sites(plain: list[dict[str, Any]]) -> Iterator[SiteResult]:
    for site in plain:
        site["identity"] = SiteIdentity(**site["identity"])
        site["dead_letters"] = tuple(DeadLetter(**letter) for letter in site["dead_letters"])
        for name in ("mean", "focus", "saturation", "pixel_digests"):
            site[name] = tuple(site[name])
        yield SiteResult(**site)
