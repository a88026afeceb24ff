"""Beam: sums grey-level histograms per plate, then fits the normaliser's table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import apache_beam as beam
import numpy as np
from apache_beam.io.filesystems import FileSystems

from trainer import schema
from trainer.config import NormalizerConfig
from trainer.errors import PlatewiseError
from trainer.normalize import PlateCounts, fit_plates
from trainer.schema import natural_key
from trainer.transform_graph import FittedNormaliser

#: Order in which the analyzer hands its columns to :class:`FitNormaliser`.
INPUT_KEYS = (
    schema.PLATE_ID,
    schema.EXPERIMENT,
    schema.CELL_TYPE,
    schema.WELL_TYPE,
    schema.WELL_ID,
    schema.TREATMENT,
    schema.HISTOGRAM,
)
#: Names of the analyzer's outputs, in order.
OUTPUT_NAMES = ("plates", "center", "scale", "classes", "experiments", "cell_types")


@dataclass
class PlateSums:
    """Sums over the sites of one plate; small, whatever the number of sites."""

    histogram: np.ndarray
    control_histogram: np.ndarray
    n_sites: int = 0
    experiments: set[bytes] = field(default_factory=set)
    cell_types: set[bytes] = field(default_factory=set)
    control_wells: set[bytes] = field(default_factory=set)
    treatments: set[bytes] = field(default_factory=set)

    def merge(self, other: PlateSums) -> PlateSums:
        """Add ``other`` to this one; any order of merging gives the same sums."""
        self.histogram += other.histogram
        self.control_histogram += other.control_histogram
        self.n_sites += other.n_sites
        for name in ("experiments", "cell_types", "control_wells", "treatments"):
            getattr(self, name).update(getattr(other, name))
        return self


class MergeSums(beam.CombineFn):
    """Merges the sums of one plate."""

    def create_accumulator(self) -> PlateSums | None:
        """Nothing yet: the width of a histogram is known with the first sum."""
        return None

    def add_input(self, accumulator: PlateSums | None, element: PlateSums) -> PlateSums:
        """Add one element; the element itself is left as it is."""
        if accumulator is None:
            zero = np.zeros_like(element.histogram)
            accumulator = PlateSums(zero, zero.copy())
        return accumulator.merge(element)

    def merge_accumulators(self, accumulators: Iterable[PlateSums | None]) -> PlateSums | None:
        """Add the sums that several workers made."""
        merged: PlateSums | None = None
        for sums in accumulators:
            if sums is not None:
                merged = self.add_input(merged, sums)
        return merged

    def extract_output(self, accumulator: PlateSums | None) -> PlateSums | None:
        """The sums themselves."""
        return accumulator


def sum_by_plate(
    columns: tuple[np.ndarray, ...], controls_as_classes: bool
) -> Iterator[tuple[bytes, PlateSums]]:
    """Sums of one minibatch of records, plate by plate.

    Parameters
    ----------
    columns
        Arrays in the order of :data:`INPUT_KEYS`; the histogram is int64 [B, C*Q].
    controls_as_classes
        Controls, positive and negative, count as classes too.
    """
    plate_B, experiment_B, cell_type_B, well_type_B, well_B, treatment_B, histogram_BX = columns
    well_type_B = well_type_B.astype(bytes)
    control_B = well_type_B == schema.WELL_NEGATIVE.encode()
    class_B = well_type_B == schema.WELL_TREATMENT.encode()
    if controls_as_classes:
        class_B |= control_B | (well_type_B == schema.WELL_POSITIVE.encode())
    for plate in np.unique(plate_B.astype(bytes)):
        here_B = plate_B.astype(bytes) == plate
        yield (
            bytes(plate),
            PlateSums(
                histogram=histogram_BX[here_B].sum(0),
                control_histogram=histogram_BX[here_B & control_B].sum(0),
                n_sites=int(here_B.sum()),
                experiments=set(experiment_B[here_B].tolist()),
                cell_types=set(cell_type_B[here_B].tolist()),
                control_wells=set(well_B[here_B & control_B].tolist()),
                treatments=set(treatment_B[here_B & class_B].tolist()) - {b""},
            ),
        )


def fit(sums: list[tuple[bytes, PlateSums]], config: NormalizerConfig) -> FittedNormaliser:
    """Table and name lists from the sums of all plates.

    Raises
    ------
    PlatewiseError
        No site at all, a plate that two experiments claim, or what
        :func:`trainer.normalize.fit_plates` raises.
    """
    if not sums:
        raise PlatewiseError("there is no site to fit the normaliser on: every split is empty")
    by_plate = {plate.decode(): plate_sums for plate, plate_sums in sums}
    plates = sorted(by_plate, key=natural_key)
    for plate in plates:
        if len(by_plate[plate].experiments) != 1:
            found = ", ".join(_names(by_plate[plate].experiments))
            raise PlatewiseError(
                f"plate {plate} belongs to several experiments ({found}); plate_id must be "
                "unique over the whole screen"
            )
    n_levels = schema.GREY_LEVELS
    counts = {
        plate: PlateCounts(
            experiment=_names(by_plate[plate].experiments)[0],
            histogram_CQ=by_plate[plate].histogram.reshape(-1, n_levels),
            control_histogram_CQ=by_plate[plate].control_histogram.reshape(-1, n_levels),
            n_control_wells=len(by_plate[plate].control_wells),
        )
        for plate in plates
    }
    table = fit_plates(counts, config)
    all_sums = by_plate.values()
    return FittedNormaliser(
        config=config,
        classes=_names(set().union(*(s.treatments for s in all_sums))),
        experiments=_names(set().union(*(s.experiments for s in all_sums))),
        cell_types=_names(set().union(*(s.cell_types for s in all_sums))),
        plates=tuple(plates),
        center_PC=np.stack([table[plate][0] for plate in plates]),
        scale_PC=np.stack([table[plate][1] for plate in plates]),
        n_sites=tuple(by_plate[plate].n_sites for plate in plates),
        n_control_wells=tuple(counts[plate].n_control_wells for plate in plates),
    )


def _names(values: set[bytes]) -> tuple[str, ...]:
    return tuple(sorted((value.decode() for value in values), key=natural_key))


def _outputs(
    sums: list[tuple[bytes, PlateSums]], config: NormalizerConfig, text_path: str | None
) -> Iterator[beam.pvalue.TaggedOutput]:
    fitted = fit(sums, config)
    if text_path:
        # A fixed name: a worker that is retried overwrites its own file.
        with FileSystems.create(text_path, "application/json") as stream:
            stream.write(fitted.to_json().encode())
    values = (
        _texts(fitted.plates),
        fitted.center_PC,
        fitted.scale_PC,
        _texts(fitted.classes),
        _texts(fitted.experiments),
        _texts(fitted.cell_types),
    )
    for name, value in zip(OUTPUT_NAMES, values, strict=True):
        yield beam.pvalue.TaggedOutput(name, value)


def _texts(names: tuple[str, ...]) -> np.ndarray:
    # Of type object even where empty: tf.constant would take [] for floats.
    return np.array([name.encode() for name in names], dtype=object)


class FitNormaliser(beam.PTransform):
    """The analyzer: minibatches of columns in, table and name lists out.

    Parameters
    ----------
    config
        The normaliser to fit.
    controls_as_classes
        Controls, positive and negative, count as classes too.
    text_path
        Where to write what was fitted as text, beside the graph; nowhere if None. (TFT
        1.21 cannot mix assets and values in one analyzer: a None among its default
        contents is written as a file.)
    """

    def __init__(
        self, config: NormalizerConfig, controls_as_classes: bool, text_path: str | None = None
    ) -> None:
        super().__init__()
        self._config = config
        self._controls_as_classes = controls_as_classes
        self._text_path = text_path

    def expand(self, columns: beam.PCollection) -> tuple[beam.PCollection, ...]:
        """One accumulator a plate leaves the workers; the table is fitted in one place."""
        outputs = (
            columns
            | "SumByPlate" >> beam.FlatMap(sum_by_plate, self._controls_as_classes)
            | "MergeSums" >> beam.CombinePerKey(MergeSums())
            | "AllPlates" >> beam.combiners.ToList()
            | "Fit"
            >> beam.FlatMap(_outputs, self._config, self._text_path).with_outputs(*OUTPUT_NAMES)
        )
        return tuple(outputs[name] for name in OUTPUT_NAMES)
