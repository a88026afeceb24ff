"""Who stands where: experiments, plates, wells and treatments, as RxRx1 lays them out.

Treatments stand in fixed groups; an experiment puts each group on one plate in one of
a few orders, so the plate gives the group away. Within a plate every treatment's well is
drawn anew for each experiment, so the well gives nothing away.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from trainer import schema
from trainer.simulation.config import INNER_WELLS, SimulationConfig
from trainer.simulation.seeds import stream

#: Name of the untreated wells in the official table.
UNTREATED = "EMPTY"
#: Rotations of the four groups over the plates, and how often RxRx1 uses each (its 33
#: training experiments: 22, 7 and 4 times).
ORDER_ROTATIONS = (0, 2, 1)
ORDER_SHARES = (0.65, 0.2, 0.15)
#: The official table's columns, in its order.
COLUMNS = (
    "site_id",
    "well_id",
    "cell_type",
    "dataset",
    "experiment",
    "plate",
    "well",
    "site",
    "well_type",
    "sirna",
    "sirna_id",
)


@dataclass(frozen=True)
class SiteRow:
    """One row of the official ``metadata.csv``: one site."""

    site_id: str
    well_id: str
    cell_type: str
    dataset: str
    experiment: str
    plate: int
    well: str
    site: int
    well_type: str
    sirna: str
    sirna_id: int

    @property
    def values(self) -> tuple[str | int, ...]:
        """The row as the table holds it, in the order of :data:`COLUMNS`."""
        return dataclasses.astuple(self)


def well_name(index: int) -> str:
    """Inner well 0..307 as the plate's letters and digits: 0 is B02, 307 is O23."""
    row, column = divmod(index, 22)
    return f"{chr(ord('B') + row)}{column + 2:02d}"


def wells_from_edge(well: str) -> int:
    """Wells between this one and the ring of the outermost used wells, 0..6."""
    row, column = ord(well[0]) - ord("B"), int(well[1:]) - 2
    return min(row, 13 - row, column, 21 - column)


def sirna_names(config: SimulationConfig) -> tuple[str, ...]:
    """Names by sirna_id: treatments, then positive controls, then the untreated."""
    count = config.treatments + config.positive_controls
    numbers = stream(config.seed, "sirna").choice(max(60_000, 2 * count), count, replace=False)
    return (*(f"s{1000 + n}" for n in numbers), UNTREATED)


def treatment_groups(config: SimulationConfig) -> list[np.ndarray]:
    """The sirna_ids of each group, one group a plate of an experiment."""
    ids = stream(config.seed, "groups").permutation(config.treatments)
    return [np.sort(part) for part in np.array_split(ids, config.plates_per_experiment)]


def experiments(config: SimulationConfig) -> list[tuple[str, str, str]]:
    """Name, cell type and ``train`` or ``test`` of each experiment."""
    count = config.experiments_per_cell_type
    held_out = count - config.test_experiments_per_cell_type
    return [
        (f"{cell_type}-{i + 1:02d}", cell_type, "test" if i >= held_out else "train")
        for cell_type in config.cell_types
        for i in range(count)
    ]


def screen_rows(config: SimulationConfig) -> list[SiteRow]:
    """All sites of the screen, by experiment, plate, well and site."""
    names, groups = sirna_names(config), treatment_groups(config)
    rows: list[SiteRow] = []
    for experiment, cell_type, dataset in experiments(config):
        rng = stream(config.seed, "order", experiment)
        rotation = int(rng.choice(ORDER_ROTATIONS, p=ORDER_SHARES))
        for plate in range(1, config.plates_per_experiment + 1):
            group = groups[(plate - 1 + rotation) % config.plates_per_experiment]
            for well, well_type, sirna_id in _plate_wells(config, experiment, plate, group):
                rows += [
                    SiteRow(
                        site_id=schema.site_id(experiment, plate, well, site),
                        well_id=schema.well_id(experiment, plate, well),
                        cell_type=cell_type,
                        dataset=dataset,
                        experiment=experiment,
                        plate=plate,
                        well=well,
                        site=site,
                        well_type=well_type,
                        sirna=names[sirna_id],
                        sirna_id=sirna_id,
                    )
                    for site in range(1, config.sites_per_well + 1)
                ]
    return rows


def _plate_wells(
    config: SimulationConfig, experiment: str, plate: int, group: np.ndarray
) -> list[tuple[str, str, int]]:
    """Well, well type and sirna_id of each used well of one plate, sorted by well."""
    positive = range(config.treatments, config.treatments + config.positive_controls)
    untreated = config.treatments + config.positive_controls
    content = [(schema.WELL_TREATMENT, int(i)) for i in group]
    content += [(schema.WELL_POSITIVE, i) for i in positive]
    content += [(schema.WELL_NEGATIVE, untreated)] * config.negative_controls_per_plate
    rng = stream(config.seed, "wells", experiment, plate)
    wells = rng.choice(INNER_WELLS, len(content), replace=False)
    return sorted((well_name(int(w)), kind, i) for w, (kind, i) in zip(wells, content, strict=True))
