"""Predictions for people and programs: CSV, Parquet and the Kaggle submission.

Rows come plate by plate and leave plate by plate, so that memory does not grow with the
screen: RxRx1 has 125,510 sites of 1,108 probabilities.
"""

from __future__ import annotations

import contextlib
import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainer import schema
from trainer.metrics.calibration import tempered

#: Columns of one plate's rows, as ``trainer.predictions`` reads them.
Chunk = Mapping[str, Any]

SITES, WELLS, SUBMISSION = "predictions_sites", "predictions_wells", "submission.csv"
_TOP = 5
_IDENTITY = (
    schema.EXPERIMENT,
    schema.PLATE_ID,
    schema.WELL_ID,
    schema.WELL,
    schema.CELL_TYPE,
    schema.WELL_TYPE,
)
#: Kaggle's siRNAs; the controls' numbers follow and are not to be submitted.
_N_KAGGLE_TREATMENTS = 1108
_ID_CODE = re.compile(r"[^_,\s]+_[0-9]+_[A-Z]+[0-9]{2}")
_SIRNA = re.compile(r"(?:sirna_)?([0-9]+)", re.IGNORECASE)
#: Names of the untreated control, a class where controls are, and its number.
_UNTREATED = {"UNTREATED": "1138", "EMPTY": "1138"}


@dataclass(frozen=True)
class ScoringOutputs:
    """What was written."""

    n_sites: int
    n_wells: int
    #: None where there is no submission, because of ``no_submission_because``.
    n_submission_rows: int | None
    no_submission_because: str = ""


def sirna_numbers(classes: Sequence[str]) -> list[int] | None:
    """Each class as Kaggle's integer, or None where one is no siRNA number.

    Both forms are read: ``250`` and ``sirna_250``; the untreated control has a name alone.
    """
    matches = [_SIRNA.fullmatch(_UNTREATED.get(name, name)) for name in classes]
    if not matches or not all(matches):
        return None
    numbers = [int(m[1]) for m in matches if m]
    return numbers if len(set(numbers)) == len(numbers) else None


def write_scoring_outputs(
    chunks: Iterable[Chunk],
    out_dir: str | Path,
    classes: Sequence[str],
    temperature: float | None = None,
) -> ScoringOutputs:
    """Write ``predictions_{sites,wells}.{csv,parquet}`` and, where ids fit, ``submission.csv``.

    Every file appears whole or not at all. The CSV files hold identity, ``plate_known``,
    ``n_sites`` (wells), the treatment named and its probability, and the five likeliest
    treatments with theirs; the Parquet files hold ``embedding`` as well.

    Parameters
    ----------
    chunks
        Rows of sites and wells, a plate at a time.
    out_dir
        Local folder.
    classes
        Treatment of each column of ``probabilities``.
    temperature
        Fitted on wells when the model was trained: adds ``calibrated_probability`` to the tables
        of wells, that of the treatment named at this temperature.
    """
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    names = np.asarray([str(c) for c in classes], dtype=object)
    submission = _Submission(classes)
    writers = {
        schema.LEVEL_SITE: _Tables(out, SITES, (*_IDENTITY, schema.SITE_ID, schema.SITE)),
        schema.LEVEL_WELL: _Tables(out, WELLS, (*_IDENTITY, schema.N_SITES)),
    }
    with contextlib.ExitStack() as stack:
        for writer in writers.values():
            stack.enter_context(writer)
        for chunk in chunks:
            level = np.asarray(chunk[schema.LEVEL]).astype(str)
            for name, writer in writers.items():
                rows = np.flatnonzero(level == name)
                # The temperature was fitted on wells; a site's probabilities are others.
                at = temperature if name == schema.LEVEL_WELL else None
                if rows.size:
                    writer.write(_table(chunk, rows, writer.identity, names, at))
            submission.add(chunk, np.flatnonzero(level == schema.LEVEL_WELL))
    n_submission = submission.write(out / SUBMISSION)
    return ScoringOutputs(
        n_sites=writers[schema.LEVEL_SITE].n_rows,
        n_wells=writers[schema.LEVEL_WELL].n_rows,
        n_submission_rows=n_submission,
        no_submission_because=submission.because,
    )


def _table(
    chunk: Chunk,
    rows: np.ndarray,
    identity: Sequence[str],
    names: np.ndarray,
    temperature: float | None,
) -> dict[str, Any]:
    probabilities_NK = np.stack([np.asarray(chunk[schema.PROBABILITIES][i]) for i in rows])
    k = min(_TOP, len(names))
    # Stable, so that equal probabilities come in the order of the classes, as argmax has it.
    order_Nk = np.argsort(-probabilities_NK, axis=1, kind="stable")[:, :k]
    best_Nk = np.take_along_axis(probabilities_NK, order_Nk, axis=1).astype(np.float32)
    columns: dict[str, Any] = {key: [chunk[key][i] for i in rows] for key in identity}
    columns[schema.PLATE_KNOWN] = [int(chunk[schema.PLATE_KNOWN][i]) for i in rows]
    columns["predicted"] = names[order_Nk[:, 0]].tolist()
    columns["probability"] = best_Nk[:, 0]
    if temperature is not None:
        calibrated_NK = tempered(probabilities_NK, temperature)
        columns["calibrated_probability"] = calibrated_NK.max(axis=1).astype(np.float32)
    for place in range(1, k):
        columns[f"predicted_{place + 1}"] = names[order_Nk[:, place]].tolist()
        columns[f"probability_{place + 1}"] = best_Nk[:, place]
    columns[schema.EMBEDDING] = [
        np.asarray(chunk[schema.EMBEDDING][i], dtype=np.float32) for i in rows
    ]
    return columns


class _Tables:
    """One CSV and one Parquet file, filled plate by plate under temporary names."""

    def __init__(self, out: Path, name: str, identity: Sequence[str]) -> None:
        self.identity = identity
        self.n_rows = 0
        self._paths = {s: out / f"{name}.{s}" for s in ("csv", "parquet")}
        self._temporary = {s: out / f".{name}.{s}.tmp" for s in self._paths}
        self._parquet: pq.ParquetWriter | None = None

    def __enter__(self) -> _Tables:
        self._stream = self._temporary["csv"].open("w", newline="", encoding="utf-8")
        self._csv = csv.writer(self._stream, lineterminator="\n")
        return self

    def write(self, columns: dict[str, Any]) -> None:
        table = pa.table({key: _column(values) for key, values in columns.items()})
        if self._parquet is None:
            self._parquet = pq.ParquetWriter(self._temporary["parquet"], table.schema)
            self._csv.writerow([key for key in columns if key != schema.EMBEDDING])
        self._parquet.write_table(table)
        plain = [
            [_exact(v) for v in values]
            for key, values in columns.items()
            if key != schema.EMBEDDING
        ]
        self._csv.writerows(zip(*plain, strict=True))
        self.n_rows += table.num_rows

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stream.close()
        if self._parquet is not None:
            self._parquet.close()
        for suffix, temporary in self._temporary.items():
            if kind is None and self._parquet is not None:
                temporary.replace(self._paths[suffix])
            else:
                temporary.unlink(missing_ok=True)


def _column(values: Any) -> pa.Array:
    if len(values) and isinstance(values[0], np.ndarray):
        return pa.array([v.tolist() for v in values], type=pa.list_(pa.float32()))
    return pa.array(values)


def _exact(value: Any) -> Any:
    """Shortest text that reads back as the same float32: both files say the same."""
    return str(value) if isinstance(value, np.floating) else value


class _Submission:
    """Collects ``id_code,sirna`` for Kaggle's competition.

    A folder of the competition holds training wells too; those, whose treatments its tables
    name, are not to be submitted. Where every treatment is known, all wells are.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self._numbers = sirna_numbers(classes)
        self._rows: list[tuple[str, int]] = []
        self._known: list[tuple[str, int]] = []
        self.because = ""
        if self._numbers is None:
            self.because = "the model's treatments are not siRNA numbers."
            return
        # Controls have numbers too; the competition asks for treatments alone.
        self._allowed = np.flatnonzero(np.asarray(self._numbers) < _N_KAGGLE_TREATMENTS)
        if not self._allowed.size:
            self.because = f"no treatment of the model is below {_N_KAGGLE_TREATMENTS}."

    def add(self, chunk: Chunk, rows: np.ndarray) -> None:
        for i in rows:
            if self.because:
                return
            if chunk[schema.WELL_TYPE][i] not in (schema.WELL_TREATMENT, ""):
                continue
            code = str(chunk[schema.WELL_ID][i])
            if not _ID_CODE.fullmatch(code):
                self.because = f"well {code!r} is not of the form experiment_plate_well."
                return
            best = np.asarray(chunk[schema.PROBABILITIES][i])[self._allowed].argmax()
            assert self._numbers is not None  # otherwise there would be a reason
            rows_of_kind = self._known if chunk[schema.TREATMENT][i] else self._rows
            rows_of_kind.append((code, self._numbers[int(self._allowed[best])]))

    def write(self, path: Path) -> int | None:
        submitted = self._rows or self._known
        if not self.because and not submitted:
            self.because = "no treatment well was predicted."
        if self.because:
            path.unlink(missing_ok=True)
            return None
        temporary = path.with_name(f".{path.name}.tmp")
        with temporary.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(("id_code", "sirna"))
            writer.writerows(sorted(submitted))
        temporary.replace(path)
        return len(submitted)
