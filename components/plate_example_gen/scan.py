"""Reads one plate: decodes every PNG, measures it, and encodes whole sites as records.

Decoding, compressing and counting release Python's global lock, so threads inside one
process keep all cores busy. Only a few sites a thread are in memory at any time, whatever
the size of the plate.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from components.plate_example_gen import png
from components.plate_example_gen.config import ScreenConfig
from components.plate_example_gen.digests import counts_digest, pixel_digests
from components.plate_example_gen.found import (
    COMPLETE,
    CORRUPT,
    INCOMPLETE,
    MISSING,
    DeadLetter,
    PlateResult,
    SiteResult,
)
from components.plate_example_gen.kernels import histogram
from components.plate_example_gen.listing import read_ends
from components.plate_example_gen.measures import focus, mean_and_saturation
from components.plate_example_gen.screen import Plate, Site, SitePaths, Well
from components.plate_example_gen.splits import Assignment
from components.plate_example_gen.storage import Storage, StorageError
from components.plate_example_gen.unfilter import undo_filters
from trainer.records import SiteIdentity

#: libdeflate's fastest level packs real sites within 7 % of zlib's level 6, nearly ten times as
#: fast, and always to the same bytes.
COMPRESSION_LEVEL = 1
#: Threads where files are remote: they wait for the network, not for a core.
_REMOTE_THREADS = 16
#: A PNG is never larger than its pixels by more than this (chunks of text beside them).
_SLACK_BYTES = 1 << 20


def compress(pixels_CHW: npt.NDArray[np.uint8]) -> bytes:
    """One zlib stream of the pixels; the same pixels always give the same bytes."""
    from imagecodecs import deflate_encode

    packed = deflate_encode(pixels_CHW.data, COMPRESSION_LEVEL, raw=False)  # type: ignore[arg-type]
    return cast("bytes", packed)


@dataclass(frozen=True)
class ScanOptions:
    """What reading a plate needs to know about its screen."""

    root: str
    tables: tuple[str, ...]
    path_template: str
    channel_tokens: tuple[str, ...]
    size: png.PngHeader | None
    max_pixels: int
    decode: bool = True
    #: Make records of complete sites.
    encode: bool = False

    def limit_bytes(self) -> int:
        """Size beyond which a file is not read."""
        pixels = self.size.height * self.size.width if self.size else self.max_pixels
        return 2 * pixels + _SLACK_BYTES


#: Called with a complete site and its serialised record, in order.
Sink = Callable[[SiteResult, bytes], None]


def n_threads(config: ScreenConfig, storage: Storage) -> int:
    """Threads to read with, by configuration, storage and cores."""
    if config.threads:
        return config.threads
    return _REMOTE_THREADS if storage.remote else len(os.sched_getaffinity(0))


def scan_plate(
    plate: Plate,
    assignment: Assignment,
    options: ScanOptions,
    storage: Storage,
    pool: ThreadPoolExecutor,
    sink: Sink | None = None,
) -> PlateResult:
    """Read all sites of a plate, in order, whatever the number of threads.

    Parameters
    ----------
    plate
        A plate whose files are listed (:func:`listing.list_files`).
    assignment
        Split of each site; sites in no split are checked but never encoded.
    options, storage
        What and where to read.
    pool
        Threads that do it; at most two sites each are in memory.
    sink
        Takes the records.
    """
    reader = _SiteReader(plate, assignment, options, storage)
    cell_types = dict.fromkeys(well.cell_type for well in plate.wells)
    shape = (len(options.channel_tokens), 256)
    result = PlateResult(
        plate.plate_id, plate.experiment, "+".join(cell_types), np.zeros(shape, np.int64)
    )
    for site, histogram_CQ, record in _in_order(pool, reader.read, plate):
        result.sites.append(site)
        if histogram_CQ is not None:
            result.histogram += histogram_CQ
        if record is not None and sink is not None:
            sink(site, record)
    return result


_Read = tuple[SiteResult, npt.NDArray[np.int64] | None, bytes | None]


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[Well, Site], _Read], plate: Plate
) -> Iterator[_Read]:
    """Results in the order of the sites, with a bounded number of them under way."""
    waiting: deque[_Read | Future[_Read]] = deque()
    most = 2 * pool._max_workers
    try:
        for well, site in plate.sites():
            # A site without files costs less than handing it to a thread.
            waiting.append(pool.submit(work, well, site) if site.found else work(well, site))
            if len(waiting) >= most:
                yield _result(waiting.popleft())
        while waiting:
            yield _result(waiting.popleft())
    finally:
        for read in waiting:
            if isinstance(read, Future):
                read.cancel()


def _result(read: _Read | Future[_Read]) -> _Read:
    return read.result() if isinstance(read, Future) else read


class _SiteReader:
    """Reads single sites of one plate; safe to call from several threads."""

    def __init__(
        self, plate: Plate, assignment: Assignment, options: ScanOptions, storage: Storage
    ) -> None:
        self._plate, self._assignment = plate, assignment
        self._options, self._storage = options, storage
        self._paths = SitePaths(options.path_template, options.channel_tokens)
        self._pattern = SitePaths(options.path_template, ("{channel}",))

    def read(self, well: Well, site: Site) -> _Read:
        options = self._options
        identity = SiteIdentity(
            experiment=self._plate.experiment,
            plate_id=self._plate.plate_id,
            well=well.name,
            site=site.number,
            cell_type=well.cell_type,
            well_type=well.well_type,
            treatment=well.treatment,
        )
        split = self._assignment.split_of(self._plate.experiment, site) or ""
        n_channels = len(options.channel_tokens)
        if site.found == 0:
            letter = self._missing(well, site, identity)
            return self._unusable(identity, split, MISSING, [letter]), None, None
        pixels_CHW, letters = self._pixels(well, site, identity)
        if site.found != (1 << n_channels) - 1:
            letters.append(self._incomplete(well, site, identity))
            return self._unusable(identity, split, INCOMPLETE, letters), None, None
        if letters:
            return self._unusable(identity, split, CORRUPT, letters), None, None
        row, path = self._row(site), self._pattern(self._plate, well, site)[0]
        if not options.decode:
            return SiteResult(identity, split, COMPLETE, row=row, path=path), None, None
        histogram_CQ = histogram(pixels_CHW)
        mean_C, saturation_C = mean_and_saturation(histogram_CQ)
        focus_C = focus(pixels_CHW, histogram_CQ)
        result = SiteResult(
            identity,
            split,
            COMPLETE,
            _floats(mean_C),
            _floats(focus_C),
            _floats(saturation_C),
            row=row,
            path=path,
            pixel_digests=pixel_digests(pixels_CHW, histogram_CQ),
            counts_digest=counts_digest(histogram_CQ),
        )
        record = self._encode(identity, pixels_CHW, histogram_CQ) if split else None
        return result, histogram_CQ, record

    @staticmethod
    def _unusable(
        identity: SiteIdentity, split: str, status: str, letters: list[DeadLetter]
    ) -> SiteResult:
        row = letters[0].row
        return SiteResult(identity, split, status, dead_letters=tuple(letters), row=row)

    def _encode(
        self,
        identity: SiteIdentity,
        pixels_CHW: npt.NDArray[np.uint8],
        histogram_CQ: npt.NDArray[np.int64],
    ) -> bytes | None:
        if not self._options.encode:
            return None
        from trainer.records import encode_site

        return encode_site(identity, pixels_CHW, compress(pixels_CHW), histogram_CQ)

    def _pixels(
        self, well: Well, site: Site, identity: SiteIdentity
    ) -> tuple[npt.NDArray[np.uint8], list[DeadLetter]]:
        """Pixels, whole if there is no letter, and a letter for each bad file."""
        options = self._options
        size, letters = options.size or png.PngHeader(0, 0), []
        rows_CHX = []
        for channel, path in enumerate(self._paths(self._plate, well, site)):
            if not site.found >> channel & 1:
                continue
            content = b""
            try:
                full_path = f"{options.root.rstrip('/')}/{path}"
                if options.decode:
                    content = self._storage.read(full_path, options.limit_bytes())
                    rows_CHX.append(png.read_rows(content, size, options.max_pixels))
                else:
                    self._check_ends(full_path)
            except (png.PngError, OSError, StorageError) as error:
                digest = hashlib.sha256(content).hexdigest() if content else ""
                letters.append(self._letter(path, _reason(error), digest, identity, site))
        pixels_CHW = np.empty((len(rows_CHX), *size), np.uint8)
        if not letters:
            undo_filters(rows_CHX, pixels_CHW)
        return pixels_CHW, letters

    def _check_ends(self, path: str) -> None:
        start, end = read_ends(self._storage, path, png.HEADER_BYTES, 12)
        png.check_size(png.read_header(start), self._options.size, self._options.max_pixels)
        png.check_end(end)

    def _incomplete(self, well: Well, site: Site, identity: SiteIdentity) -> DeadLetter:
        paths = self._paths(self._plate, well, site)
        absent = [c for c in range(len(paths)) if not site.found >> c & 1]
        tokens = ", ".join(self._options.channel_tokens[c] for c in absent)
        reason = (
            f"incomplete site: {len(paths) - len(absent)} of {len(paths)} channels, "
            f"without channel {tokens}"
        )
        return self._letter(paths[absent[0]], reason, "", identity, site)

    def _missing(self, well: Well, site: Site, identity: SiteIdentity) -> DeadLetter:
        path = self._paths(self._plate, well, site)[0]
        return self._letter(path, "no file of this site is there", "", identity, site)

    def _letter(
        self, path: str, reason: str, digest: str, identity: SiteIdentity, site: Site
    ) -> DeadLetter:
        return DeadLetter(path, reason, digest, identity.site_id, self._row(site))

    def _row(self, site: Site) -> str:
        return f"{self._options.tables[site.table]} line {site.line}"


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or error}"
    return str(error)


def _floats(values: npt.NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(values.tolist())
