"""What a page shows, as plain values: rendering knows nothing of artifacts.

None always means "not known" or "not measured", never zero. Shares lie in 0..1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from components.batch_effect_evaluator.results import BatchEffects
from components.evaluator.wells import WellMeasures
from trainer.leaks import AuditTest
from trainer.metrics.intervals import Proportion

Kind = Literal["training", "scoring"]


@dataclass(frozen=True)
class PlateScore:
    """Accuracy on one plate, per well and for each site number apart."""

    plate_id: str
    well: Proportion
    sites: Mapping[int, Proportion]


@dataclass(frozen=True)
class SliceScore:
    """Accuracy on one experiment, or on all experiments of one cell type."""

    name: str
    cell_type: str
    well: Proportion
    well_top5: Proportion
    site: Proportion
    plates: tuple[PlateScore, ...] = ()


@dataclass(frozen=True)
class Headline:
    """Accuracy per well on held-out experiments, and what it is to be compared with."""

    well: Proportion
    well_top5: Proportion
    #: 1 / number of classes.
    chance: float
    n_classes: int
    n_experiments: int
    #: Mean over experiments of each one's accuracy.
    mean_over_experiments: float | None
    #: Accuracy of always naming the commonest treatment.
    commonest_share: float | None
    confidence: float


@dataclass(frozen=True)
class Rung:
    """One step of the ladder from guessing to the headline."""

    key: str
    name: str
    meaning: str
    value: float | None
    score: Proportion | None = None
    headline: bool = False
    #: It exploits the layout of the plates: no headline, no threshold.
    uses_layout: bool = False


@dataclass(frozen=True)
class SplitScore:
    """Accuracy on a split that the headline does not use."""

    split: str
    meaning: str
    n_experiments: int
    well: Proportion
    site: Proportion


@dataclass(frozen=True)
class Gate:
    """One threshold of the evaluation."""

    metric: str
    slice: str
    value: float | None
    threshold: str
    passed: bool
    #: Why there is no value, where more is known than that.
    reason: str = ""


@dataclass(frozen=True)
class Blessing:
    """Whether the model may be used; ``blessed`` is None where nothing decided."""

    blessed: bool | None
    reasons: tuple[str, ...] = ()
    gates: tuple[Gate, ...] = ()
    #: Thresholds against an earlier model that nothing can be compared with; they decide nothing.
    not_compared: tuple[Gate, ...] = ()


@dataclass(frozen=True)
class PlateQuality:
    """What was found of one plate, and what was left out."""

    plate_id: str
    experiment: str
    cell_type: str
    sites_expected: int
    sites_used: int
    sites_incomplete: int
    sites_corrupt: int
    #: Why the plate stands apart from its experiment's others; empty where it does not.
    outlier: str = ""
    #: Rows of the table of which no image was found.
    sites_missing: int = 0


@dataclass(frozen=True)
class DeadLetter:
    """One file, row or site that was left out, and why."""

    path: str
    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Quality:
    """The screen as it was found."""

    plates: tuple[PlateQuality, ...] = ()
    #: The first of the dead letters; ``n_dead_letters`` counts all of them.
    dead_letters: tuple[DeadLetter, ...] = ()
    n_dead_letters: int = 0
    #: Reason -> number of dead letters.
    reasons: Mapping[str, int] = field(default_factory=dict)
    #: What is known of treatments that always share a plate; empty where not examined.
    plate_group_leak: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChannelRestoration:
    """How much cleaner one channel gets: means over the measured sites."""

    channel: str
    n_sites: int
    psnr_noisy_db: float
    psnr_denoised_db: float
    #: Interval of the mean gain (denoised - noisy), dB; None below two plates.
    gain_low_db: float | None
    gain_high_db: float | None
    ssim_noisy: float
    ssim_denoised: float

    @property
    def gain_db(self) -> float:
        """Mean gain in dB, higher is better; below 0 the denoiser does harm."""
        return self.psnr_denoised_db - self.psnr_noisy_db


@dataclass(frozen=True)
class Restoration:
    """The denoiser under its fixed noise."""

    channels: tuple[ChannelRestoration, ...] = ()
    protocol: str = ""
    n_plates: int = 0


@dataclass(frozen=True)
class Training:
    """How training went: named curves over epochs."""

    n_steps: int | None = None
    history: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class SplitCount:
    """What the Examples hold of one split."""

    split: str
    n_experiments: int
    n_plates: int
    n_sites: int
    n_sites_expected: int


@dataclass(frozen=True)
class ScoredExperiment:
    """Predictions on one experiment whose treatments are not known."""

    experiment: str
    cell_type: str
    n_plates: int
    n_wells: int
    n_sites: int
    n_plates_unknown: int
    #: Top-1 probability per well: mean, and counts in ten equal bins over 0..1.
    mean_confidence: float | None
    confidence_bins: tuple[int, ...]


@dataclass(frozen=True)
class Scoring:
    """What a scoring run gave."""

    experiments: tuple[ScoredExperiment, ...] = ()
    n_classes: int = 0
    unknown_plates: tuple[str, ...] = ()
    #: Rows of ``submission.csv``, or None with the reason why there is none.
    n_submission_rows: int | None = None
    no_submission_because: str = ""
    #: Of the probabilities, fitted when the model was trained; None where it was not.
    temperature: float | None = None
    #: Names of the tables of corrected embeddings beside the page.
    corrected: tuple[str, ...] = ()


@dataclass(frozen=True)
class ComponentRun:
    """One step of the pipeline."""

    name: str
    seconds: float | None
    state: Literal["run", "cached", "failed", "skipped"]


@dataclass(frozen=True)
class ReportSources:
    """Folders of the artifacts a report is made from, local or ``gs://``.

    An empty one is left out of the page: a run that failed half-way has a page too, which
    says what is missing.
    """

    examples: str = ""
    quality: str = ""
    transform_graph: str = ""
    model: str = ""
    model_run: str = ""
    predictions: str = ""
    evaluation: str = ""
    blessing: str = ""
    leaks: str = ""
    batch_effects: str = ""
    #: Nested configuration of the run.
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunFacts:
    """What only the runner knows, after the run."""

    name: str = ""
    #: Local time with its offset, ISO 8601.
    started: str = ""
    total_s: float | None = None
    components: tuple[ComponentRun, ...] = ()


@dataclass(frozen=True)
class ReportData:
    """Everything one page shows."""

    kind: Kind
    headline: Headline | None = None
    #: Worst first; those without a row come before all others.
    experiments: tuple[SliceScore, ...] = ()
    cell_types: tuple[SliceScore, ...] = ()
    ladder: tuple[Rung, ...] = ()
    other_splits: tuple[SplitScore, ...] = ()
    #: Ladder by experiment, and calibration.
    wells: WellMeasures = field(default_factory=WellMeasures)
    #: Batch against biology; None where it was not measured.
    batch_effects: BatchEffects | None = None
    blessing: Blessing = Blessing(None)
    quality: Quality = Quality()
    #: Tests of the leak audit; empty where it did not run.
    leaks: tuple[AuditTest, ...] = ()
    restoration: Restoration = Restoration()
    training: Training = Training()
    scoring: Scoring | None = None
    splits: tuple[SplitCount, ...] = ()
    #: Dotted key -> value.
    config: Mapping[str, object] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    run: RunFacts = RunFacts()
    #: Said at the top of the page, such as an input that could not be read.
    notes: tuple[str, ...] = ()
