"""Reads a screen's tables: RxRx1's official and Kaggle forms, or any other by a column map.

Sources: https://www.rxrx.ai/rxrx1 (``metadata.csv``: a row a site, both data sets labelled)
and Kaggle's *Recursion Cellular Image Classification* (four tables, a row a well, siRNA as
integers, or as ``sirna_N`` and ``UNTREATED`` in the newer copy; ``test.csv`` has no labels).
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from components.plate_example_gen.config import COLUMN_NAMES, ScreenConfig
from components.plate_example_gen.screen import Problems, Row, Screen, ScreenError, assemble
from components.plate_example_gen.storage import Storage
from trainer import schema

OFFICIAL_TABLE = "metadata.csv"
OFFICIAL_TEMPLATE = "images/{experiment}/Plate{plate}/{well}_s{site}_w{channel}.png"
KAGGLE_TABLES = ("train.csv", "test.csv", "train_controls.csv", "test_controls.csv")
KAGGLE_TEMPLATE = "{dataset}/{experiment}/Plate{plate}/{well}_s{site}_w{channel}.png"
#: RxRx1's numbering: 0..1107 treatments, 1108..1137 positive controls, 1138 untreated.
_FIRST_POSITIVE, _UNTREATED = 1108, 1138
_UNTREATED_NAMES = ("UNTREATED", "EMPTY")
_OFFICIAL_COLUMNS = {name: name for name in COLUMN_NAMES} | {"treatment": "sirna"}
_KAGGLE_COLUMNS = {
    name: name for name in ("experiment", "plate", "well", "site", "well_type", "cell_type")
} | {"treatment": "sirna"}
_WELL_TYPES = (schema.WELL_TREATMENT, schema.WELL_POSITIVE, schema.WELL_NEGATIVE)
_NUMBER = re.compile(r"[+-]?\d+([.]\d*)?")
_UNSAFE = re.compile(r"[/\\\x00-\x1f]|^\.{1,2}$")


@dataclass(frozen=True)
class _Form:
    """How one table is read."""

    name: str
    columns: Mapping[str, str]
    #: Value of ``dataset`` for every row; empty: from the column.
    dataset: str = ""


def read_screen(config: ScreenConfig, storage: Storage) -> Screen | None:
    """Read all tables of a screen, or None where the folder has no table that we know.

    Contradictions within the tables come back as ``screen.problems``.

    Raises
    ------
    ScreenError
        A table without the columns it needs, or that is not a table.
    """
    forms, template = _detect(config, storage)
    if not forms:
        return None
    problems = Problems()
    tables = tuple(forms)
    form = next(iter(forms.values())).name

    def rows() -> Iterator[Row]:
        for index, (table, how) in enumerate(forms.items()):
            yield from _TableReader(config, how, table, index, template, problems).rows(storage)

    return assemble(config.root, form, tables, template, rows(), problems)


def _detect(config: ScreenConfig, storage: Storage) -> tuple[dict[str, _Form], str]:
    """Tables to read, each with its form, and the path template."""
    if config.columns:
        return {t: _Form("columns", config.columns) for t in config.tables}, config.path_template
    names = storage.names(config.root)
    if OFFICIAL_TABLE in names:
        forms = {OFFICIAL_TABLE: _Form("official", _OFFICIAL_COLUMNS)}
        return forms, config.path_template or OFFICIAL_TEMPLATE
    found = [t for t in KAGGLE_TABLES if t in names]
    forms = {t: _Form("kaggle", _KAGGLE_COLUMNS, re.split(r"[._]", t)[0]) for t in found}
    return forms, config.path_template or KAGGLE_TEMPLATE


class _TableReader:
    """Reads one table, row by row."""

    def __init__(
        self,
        config: ScreenConfig,
        form: _Form,
        table: str,
        index: int,
        template: str,
        problems: Problems,
    ) -> None:
        self._config, self._form, self._table, self._index = config, form, table, index
        self._problems = problems
        # Names that become part of a path or of a file name.
        self._named = ["experiment", "plate", "well"]
        self._named += [n for n in ("dataset", "cell_type") if f"{{{n}}}" in template]
        self._safe: set[str] = set()
        self._position: dict[str, int] = {}
        self._n_columns = 0
        self._id: tuple[str, int] | None = None
        # Whether treatments are RxRx1's numbers, not names.
        self._numbered = form.name == "kaggle"

    def rows(self, storage: Storage) -> Iterator[Row]:
        path = f"{self._config.root.rstrip('/')}/{self._table}"
        try:
            with storage.open_read(path) as raw:
                text = io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
                delimiter = "\t" if path.endswith(".tsv") else ","
                # Strict: a quote that is never closed would swallow all rows after it.
                reader = csv.reader(text, delimiter=delimiter, strict=True)
                header = [name.strip() for name in next(reader, [])]
                if not any(header):
                    raise ScreenError(f"{path} is empty; its first line must name the columns")
                self._read_header(header)
                for cells in reader:
                    if cells and (row := self._row(cells, reader.line_num)) is not None:
                        yield row
        except UnicodeDecodeError as error:
            raise ScreenError(f"{path} is not UTF-8 text ({error}); save it as UTF-8") from None
        except csv.Error as error:
            raise ScreenError(
                f"{path} line {reader.line_num}: not a table ({error}); is a quote not closed?"
            ) from None
        except OSError as error:
            raise ScreenError(f"cannot read table {path} ({error.strerror or error})") from None

    def _read_header(self, header: list[str]) -> None:
        self._n_columns = len(header)
        for ours, theirs in self._form.columns.items():
            if header.count(theirs) > 1:
                raise ScreenError(f"{self._table} has two columns {theirs!r}; rename one of them")
            if theirs in header:
                self._position[ours] = header.index(theirs)
            elif self._form.name == "columns":
                raise ScreenError(
                    f"{self._table} has no column {theirs!r}, which columns.{ours} names; "
                    f"it has {', '.join(header)}{_delimiter_hint(header)}"
                )
        without_names = self._form.name == "official" and "treatment" not in self._position
        if without_names and "sirna_id" in header:
            self._position["treatment"] = header.index("sirna_id")
            self._numbered = True
        for name in ("site_id", "well_id", "id_code"):
            if name in header and self._form.name != "columns":
                self._id = (name, header.index(name))
                break
        missing = [n for n in ("experiment", "plate", "well") if n not in self._position]
        if missing and not (self._id and self._id[0] == "id_code"):
            raise ScreenError(
                f"{self._table} has no column {missing[0]!r}; it has {', '.join(header)}"
                f"{_delimiter_hint(header)}. For a table of another kind, map its columns in "
                "[screen.columns]"
            )

    def _row(self, cells: list[str], line: int) -> Row | None:
        """A row in our words, or None after noting what is wrong with it."""
        value = {
            ours: sys.intern(cells[at].strip()) if at < len(cells) else ""
            for ours, at in self._position.items()
        }
        identifier = cells[self._id[1]].strip() if self._id and self._id[1] < len(cells) else ""
        if "experiment" not in value and identifier.count("_") >= 2:
            value["experiment"], value["plate"], value["well"] = identifier.rsplit("_", 2)
        try:
            self._check_length(cells)
            for name in self._named:
                if name != "dataset" or not self._form.dataset:
                    self._check_name(name, value.get(name, ""))
            sites = self._sites(value)
            treatment, well_type = self._label(value)
            self._check_id(identifier, value)
        except ScreenError as error:
            self._problems.add(f"{self._table} line {line}: {error}")
            return None
        return Row(
            self._index,
            line,
            value["experiment"],
            value["plate"],
            value["well"],
            sites,
            value.get("cell_type") or self._cell_type(value["experiment"]),
            well_type,
            treatment,
            self._form.dataset or value.get("dataset", ""),
        )

    def _check_length(self, cells: list[str]) -> None:
        """A comma too many, or a row cut short, would put values into the wrong columns."""
        if len(cells) < self._n_columns or any(cells[self._n_columns :]):
            raise ScreenError(
                f"{len(cells)} cells, where the header names {self._n_columns} columns; put text "
                "that holds a comma into double quotes"
            )

    def _check_name(self, column: str, text: str) -> None:
        if text in self._safe:
            return
        if not text:
            raise ScreenError(f"column {column} is empty")
        if _UNSAFE.search(text):
            raise ScreenError(
                f"column {column} is {text!r}: a path made from it would leave the folder of "
                "the screen; names hold no slash, backslash, line break, and are not . or .."
            )
        self._safe.add(text)

    def _sites(self, value: dict[str, str]) -> tuple[int, ...]:
        if "site" not in value:
            return self._config.sites
        text = value["site"]
        if not text.isascii() or not text.isdigit():
            raise ScreenError(f"column site is {text!r}, which is not a whole number")
        return (int(text),)

    def _label(self, value: dict[str, str]) -> tuple[str, str]:
        """Treatment and well type."""
        treatment = value.get("treatment", "")
        theirs = value.get("well_type", "")
        self._check_number(treatment)
        if not theirs:
            return treatment, self._implied_type(treatment)
        well_type = self._config.well_types.get(theirs, theirs)
        if well_type not in _WELL_TYPES:
            raise ScreenError(
                f"column well_type is {theirs!r}, which is not one of {', '.join(_WELL_TYPES)}; "
                "say what it means in [screen.well_types]"
            )
        return treatment, well_type

    def _check_number(self, treatment: str) -> None:
        """A number outside RxRx1's would pass for a control, or for a class of its own."""
        number = treatment.removeprefix("sirna_")
        if not self._numbered or not _NUMBER.fullmatch(number):
            return
        if not number.isdecimal() or int(number) > _UNTREATED:
            raise ScreenError(
                f"column sirna is {treatment!r}; siRNAs are numbered 0 to {_UNTREATED}, "
                "without decimals"
            )

    def _implied_type(self, treatment: str) -> str:
        """Kind of well by RxRx1's numbering, where a table of RxRx1 does not say it."""
        if self._form.name == "columns":
            return schema.WELL_TREATMENT
        if treatment in _UNTREATED_NAMES:
            return schema.WELL_NEGATIVE
        number = treatment.removeprefix("sirna_")
        if number.isdigit() and int(number) >= _FIRST_POSITIVE:
            return schema.WELL_NEGATIVE if int(number) == _UNTREATED else schema.WELL_POSITIVE
        return schema.WELL_TREATMENT

    def _cell_type(self, experiment: str) -> str:
        """RxRx1's experiments are called after their cell type; others are not asked to be."""
        return (
            "unknown"
            if self._form.name == "columns"
            else experiment.rpartition("-")[0] or "unknown"
        )

    def _check_id(self, identifier: str, value: dict[str, str]) -> None:
        if not identifier or self._id is None:
            return
        expected = f"{value['experiment']}_{value['plate']}_{value['well']}"
        if self._id[0] == "site_id":
            expected += f"_{value.get('site', '')}"
        if identifier != expected:
            raise ScreenError(
                f"column {self._id[0]} is {identifier!r}, but the other columns say {expected!r}"
            )


def _delimiter_hint(header: list[str]) -> str:
    """Advice where a header in one piece looks as if something else separated its columns."""
    found = [sign for sign in (";", "\t", "|") if len(header) == 1 and sign in header[0]]
    if not found:
        return ""
    return f" (columns are separated by commas, or by tabs in a .tsv, not by {found[0]!r})"
