"""What a model has to reach, and how its predictions are sliced."""

from __future__ import annotations

import math
from dataclasses import dataclass

from trainer import schema
from trainer.strict import ConfigError

#: Columns of a prediction row that a slice may name.
SLICE_COLUMNS = (
    schema.EXPERIMENT,
    schema.PLATE_ID,
    schema.CELL_TYPE,
    schema.SITE,
    schema.WELL_TYPE,
)
#: Joins the columns of a crossed slice, as in ``"experiment x site"``.
CROSS = " x "
#: Columns by which the gate reads each experiment, ``level`` apart.
GATE_COLUMNS = [schema.WELL_TYPE, schema.EXPERIMENT]

#: Thresholds that may be given when a pipeline is started.
THRESHOLDS = (
    "min_accuracy_per_well",
    "min_accuracy_worst_experiment",
    "min_times_chance_per_well",
    "min_times_chance_worst_experiment",
)


@dataclass(frozen=True)
class EvaluationConfig:
    """Thresholds of the gate; 0 switches one off.

    All read the well rows of treatment wells in the split ``eval``, as the headline does:
    where controls are classes too, many wells of few classes would decide otherwise. A model
    is blessed when every threshold that is on holds. With all of them off nothing was asked
    of the model, and it is not blessed.
    """

    #: Smallest share of wells classified rightly, over all experiments (0..1).
    min_accuracy_per_well: float = 0.0
    #: The same within each experiment: the worst one counts.
    min_accuracy_worst_experiment: float = 0.0
    #: The two above in multiples of chance (1 / number of classes).
    min_times_chance_per_well: float = 3.0
    min_times_chance_worst_experiment: float = 1.5
    #: Compare with the latest blessed model, where there is one.
    compare_with_baseline: bool = True
    #: How far accuracy per well may fall below the latest blessed model's (0..1).
    max_drop_against_baseline: float = 0.02
    #: Largest share of wells whose experiment a linear reader may name from the embedding,
    #: within its cell type (the batch probe, 0..1; 1: off).
    max_batch_probe: float = 1.0
    #: How far that share may rise above the latest blessed model's, on the same wells (0..1;
    #: 1: off). Where it is on, that model reads every split, which takes its time. It needs
    #: ``compare_with_baseline``.
    max_batch_probe_rise: float = 1.0
    #: Ask the denoiser for a PSNR gain, mean over held-out sites and channels, under its
    #: protocol of noise, of at least so many dB (a number other than 0 needs ``check_denoiser``).
    check_denoiser: bool = False
    min_psnr_gain_db: float = 0.0
    #: Largest expected calibration error of held-out wells after temperature scaling (0..1;
    #: 1: off).
    max_ece_after_temperature: float = 1.0
    #: 95 % intervals of every metric and slice. They take rows as independent, so those of
    #: site rows, two of a well, are too narrow: read the ones of well rows.
    confidence_intervals: bool = True
    #: Columns, or columns joined by " x "; each is crossed with ``level`` (site or well).
    slices: tuple[str, ...] = (
        schema.EXPERIMENT,
        schema.PLATE_ID,
        schema.CELL_TYPE,
        schema.SITE,
        schema.WELL_TYPE,
        f"{schema.EXPERIMENT}{CROSS}{schema.SITE}",
    )

    def __post_init__(self) -> None:
        for name in (
            "min_accuracy_per_well",
            "min_accuracy_worst_experiment",
            "max_drop_against_baseline",
            "max_batch_probe",
            "max_batch_probe_rise",
            "max_ece_after_temperature",
        ):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must lie in 0..1; got {getattr(self, name)}")
        for name in ("min_times_chance_per_well", "min_times_chance_worst_experiment"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must be >= 0; got {getattr(self, name)}")
        self._refuse_unheard_thresholds()
        for slice_name in self.slices:
            for column in slice_name.split(CROSS):
                if column not in SLICE_COLUMNS:
                    raise ConfigError(
                        f"slices: unknown column {column!r} in {slice_name!r}; known: "
                        f"{', '.join(SLICE_COLUMNS)}, joined by {CROSS!r}"
                    )

    def _refuse_unheard_thresholds(self) -> None:
        """A threshold whose switch is off would be ignored: nobody who wrote it means that."""
        if not math.isfinite(self.min_psnr_gain_db):
            raise ConfigError(f"min_psnr_gain_db must be finite; got {self.min_psnr_gain_db}")
        if self.min_psnr_gain_db != 0 and not self.check_denoiser:
            raise ConfigError(
                f"min_psnr_gain_db is {self.min_psnr_gain_db} but check_denoiser is false, so it "
                "would be ignored; set check_denoiser = true, or leave min_psnr_gain_db out"
            )
        if self.max_batch_probe_rise < 1 and not self.compare_with_baseline:
            raise ConfigError(
                f"max_batch_probe_rise is {self.max_batch_probe_rise} but compare_with_baseline "
                "is false, so it would be ignored; set compare_with_baseline = true, or "
                "max_batch_probe_rise = 1"
            )

    @property
    def compares_probe(self) -> bool:
        """Whether the latest blessed model's embeddings are needed, of every split."""
        return self.max_batch_probe_rise < 1

    def required_per_well(self, n_classes: int) -> float:
        """Accuracy per well that all experiments together must reach; 0 asks for none."""
        chance = self.min_times_chance_per_well / n_classes if n_classes else 0.0
        return min(1.0, max(self.min_accuracy_per_well, chance))

    def required_worst_experiment(self, n_classes: int) -> float:
        """Accuracy per well that each experiment must reach; 0 asks for none."""
        chance = self.min_times_chance_worst_experiment / n_classes if n_classes else 0.0
        return min(1.0, max(self.min_accuracy_worst_experiment, chance))

    def slice_columns(self) -> list[list[str]]:
        """Columns of each slice, ``level`` first; the first slice is ``level`` alone."""
        crossed = [slice_name.split(CROSS) for slice_name in self.slices]
        # Experiments, and their treatment wells for the gate, whatever else is asked for.
        for needed in ([schema.EXPERIMENT], [schema.WELL_TYPE], GATE_COLUMNS):
            if sorted(needed) not in [sorted(columns) for columns in crossed]:
                crossed.append(needed)
        return [[schema.LEVEL], *([schema.LEVEL, *columns] for columns in crossed)]
