"""List prices, dated, from a table that users may edit; what it does not hold is unknown.

Nothing is ever guessed: a cost is a figure, a figure that something is missing from
(``at_least``), or unknown with the reason.
"""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from trainer.strict import ConfigError, build

SHIPPED = "prices.toml"

#: Memory of a machine, GB for each core, by family and kind, where Google's page of machine
#: families gives the one or the other.
_GB_PER_CORE = {"standard": 4.0, "highmem": 8.0, "highcpu": 1.0}
_GB_PER_CORE_N1 = {"standard": 3.75, "highmem": 6.5, "highcpu": 0.9}
_MACHINE = re.compile(
    r"(?P<family>[a-z]\d[a-z]?)-(?P<kind>standard|highmem|highcpu)-(?P<cores>\d+)"
)


@dataclass(frozen=True)
class Price:
    """One row of the table."""

    what: str
    #: US dollars.
    usd: float
    #: What one pays them for: ``hour``, ``run`` or ``GB``.
    per: str
    region: str
    #: Day on which the page was read, ``YYYY-MM-DD``.
    read: str
    source: str
    note: str = ""
    at_least: bool = False
    #: The price includes the machine's accelerators.
    accelerators: bool = False
    cpu: float = 0.0
    memory_gb: float = 0.0

    def __post_init__(self) -> None:
        if self.usd < 0:
            raise ConfigError(f"{self.what}: usd must be >= 0; got {self.usd}")
        if self.per not in ("hour", "run", "GB"):
            raise ConfigError(f"{self.what}: per must be hour, run or GB; got {self.per!r}")


@dataclass(frozen=True)
class Cost:
    """What a resource costs, or why we do not know."""

    #: US dollars, an hour unless said otherwise; None: unknown.
    usd: float | None
    #: Machine and reservations that the figure rests on, or why it is unknown.
    basis: str = ""
    at_least: bool = False

    def __mul__(self, times: float) -> Cost:
        return Cost(None if self.usd is None else self.usd * times, self.basis, self.at_least)

    def __str__(self) -> str:
        if self.usd is None:
            return "unknown"
        return f"{'≥ ' if self.at_least else ''}{self.usd:.2f}"


def total(costs: Sequence[Cost]) -> Cost:
    """Sum; unknown parts make it a lower bound, and of unknown parts alone it is unknown."""
    known = [cost for cost in costs if cost.usd is not None]
    if not known:
        return Cost(None)
    at_least = len(known) < len(costs) or any(cost.at_least for cost in known)
    return Cost(sum(cost.usd or 0.0 for cost in known), at_least=at_least)


@dataclass(frozen=True)
class PriceTable:
    """All prices, and questions about them."""

    prices: tuple[Price, ...]
    #: File that they come from.
    name: str = SHIPPED

    def find(self, what: str, region: str) -> Price | None:
        """The price of one thing in one region."""
        return next((p for p in self.prices if p.what == what and p.region == region), None)

    def dates(self) -> tuple[str, str]:
        """First and last day on which prices were read."""
        days = sorted(price.read for price in self.prices)
        return (days[0], days[-1]) if days else ("never", "never")

    def run(self, region: str) -> Cost:
        """What every run costs, once."""
        return self._cost("pipeline run", region)

    def step(self, cpu: float, memory_gb: float, region: str) -> Cost:
        """An hour of a step's container: the smallest listed machine that holds it."""
        fitting = [
            price
            for price in self.prices
            if price.region == region and price.cpu >= cpu and price.memory_gb >= memory_gb > 0
        ]
        if not fitting:
            return Cost(None, f"no listed machine in {region} holds it")
        cheapest = min(fitting, key=lambda price: price.usd)
        return Cost(cheapest.usd, cheapest.what.removeprefix("machine "), cheapest.at_least)

    def dataflow_worker(self, machine_type: str, disk_gb: float, region: str) -> Cost:
        """An hour of one Dataflow worker, without what it shuffles."""
        shape = machine_shape(machine_type)
        if shape is None:
            return Cost(None, f"{machine_type}: its cores and memory are not known here")
        cores, memory_gb = shape
        parts = [
            self._cost("dataflow core", region) * cores,
            self._cost("dataflow memory GB", region) * memory_gb,
            self._cost("dataflow disk GB", region) * disk_gb,
        ]
        if any(part.usd is None for part in parts):
            return Cost(None, f"Dataflow's prices in {region} are not listed")
        basis = f"{cores:g} cores, {memory_gb:g} GB, {disk_gb:g} GB disk"
        return Cost(total(parts).usd, basis)

    def machine(self, machine_type: str, accelerator: str, count: int, region: str) -> Cost:
        """An hour of one host of a training job, on demand."""
        host = self.find(f"machine {machine_type}", region)
        if host is None:
            return Cost(None, f"{machine_type} in {region} is not listed")
        cost = Cost(host.usd, host.note, host.at_least)
        if not accelerator or not count or host.accelerators:
            return cost
        card = self.find(f"accelerator {accelerator}", region)
        if card is None:
            return Cost(None, f"{accelerator} in {region} is not listed")
        return Cost(host.usd + count * card.usd, card.note, host.at_least or card.at_least)

    def _cost(self, what: str, region: str) -> Cost:
        price = self.find(what, region)
        if price is None:
            return Cost(None, f"{what} in {region} is not listed")
        return Cost(price.usd, price.note, price.at_least)


def machine_shape(machine_type: str) -> tuple[float, float] | None:
    """Cores and memory, GB, of a general-purpose machine; None where the name does not tell."""
    found = _MACHINE.fullmatch(machine_type)
    if found is None:
        return None
    per_core = _GB_PER_CORE_N1 if found["family"] == "n1" else _GB_PER_CORE
    cores = float(found["cores"])
    return cores, cores * per_core[found["kind"]]


def load_prices(file: str | Path | None = None) -> PriceTable:
    """The shipped table, or one's own.

    Raises
    ------
    ConfigError
        The file cannot be read, or a row has an unknown or missing key.
    """
    if file is None:
        text = resources.files("pipelines.vertex").joinpath(SHIPPED).read_text("utf-8")
        return _parse(text, SHIPPED)
    try:
        return _parse(Path(file).read_text("utf-8"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read prices {file}: {error}") from None


def _parse(text: str, name: str) -> PriceTable:
    try:
        rows: Any = tomllib.loads(text)
        if set(rows) - {"price"}:
            raise ConfigError(f"only [[price]] tables are known; got {sorted(rows)}")
        return PriceTable(tuple(_row(row) for row in rows.get("price", [])), name)
    except (tomllib.TOMLDecodeError, ConfigError) as error:
        raise ConfigError(f"{name}: {error}") from None


def _row(row: dict[str, Any]) -> Price:
    read = row.get("read")
    if isinstance(read, datetime.date):
        row = {**row, "read": read.isoformat()}
    try:
        return build(Price, row)
    except ConfigError as error:
        raise ConfigError(f"price {row.get('what', '?')!r}: {error}") from None
