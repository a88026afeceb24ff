"""What a screen looks like, how it is split, and how much of it may be bad."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from trainer import schema
from trainer.strict import ConfigError

#: Our column names that ``ScreenConfig.columns`` maps to a screen's own.
COLUMN_NAMES = (
    "experiment",
    "plate",
    "well",
    "site",
    "cell_type",
    "well_type",
    "treatment",
    "dataset",
)
_NEEDED_COLUMNS = ("experiment", "plate", "well")
_PATH_FIELDS = ("experiment", "plate", "well", "site", "channel", "dataset", "cell_type")
_WELL_TYPES = (schema.WELL_TREATMENT, schema.WELL_POSITIVE, schema.WELL_NEGATIVE)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


@dataclass(frozen=True)
class ScreenConfig:
    """Where a screen is and how to read it; RxRx1's own forms need ``root`` alone."""

    #: Folder or ``gs://`` prefix of the tables and the images.
    root: str
    #: Our column name -> the screen's, for any table that is not RxRx1's; ``experiment``,
    #: ``plate`` and ``well`` are needed, the rest of COLUMN_NAMES is optional.
    columns: Mapping[str, str] = field(default_factory=dict)
    #: Tables read through ``columns``, relative to root.
    tables: tuple[str, ...] = ("metadata.csv",)
    #: Path of one channel's PNG under root; empty: the one of the form that was found.
    path_template: str = ""
    #: Stains in the order in which every tensor holds them.
    channel_names: tuple[str, ...] = schema.CHANNEL_NAMES
    #: What ``{channel}`` becomes for each of them; empty: 1, 2, ...
    channel_tokens: tuple[str, ...] = ()
    #: Sites of a well where a table has one row a well.
    sites: tuple[int, ...] = (1, 2)
    #: The screen's word for a kind of well -> treatment, positive_control, negative_control.
    well_types: Mapping[str, str] = field(default_factory=dict)
    #: Size of every image, px; 0: that of the majority of a sample.
    height_px: int = 0
    width_px: int = 0
    #: A PNG whose header claims more pixels is refused before it is decoded.
    max_pixels: int = 64 * 1024 * 1024
    #: Threads that read, decode and compress; 0: one a core, or 16 where files are remote.
    threads: int = 0

    def __post_init__(self) -> None:
        _require(bool(self.root), "root is empty: give the folder or gs:// prefix of the screen")
        for ours in self.columns:
            _require(
                ours in COLUMN_NAMES,
                f"columns maps {ours!r}, which is not one of {', '.join(COLUMN_NAMES)}",
            )
        missing = [c for c in _NEEDED_COLUMNS if self.columns and c not in self.columns]
        _require(not missing, f"columns must map {', '.join(missing)} too")
        _require(
            not self.columns or bool(self.path_template),
            "a screen read through columns needs a path_template, such as "
            '"images/{experiment}/Plate{plate}/{well}_s{site}_w{channel}.png"',
        )
        self._check_template()
        _require(len(self.channel_names) > 0, "channel_names must name at least one channel")
        _require(
            len(self.channel_tokens) in (0, len(self.channel_names)),
            f"channel_tokens has {len(self.channel_tokens)} entries for "
            f"{len(self.channel_names)} channel_names; give as many or none",
        )
        _require(
            len(set(self.tokens())) == len(self.channel_names), "channel_tokens must all differ"
        )
        _require(
            len(self.sites) > 0 and len(set(self.sites)) == len(self.sites),
            f"sites must name each site of a well once; got {list(self.sites)}",
        )
        for theirs, ours in self.well_types.items():
            _require(
                ours in _WELL_TYPES,
                f"well_types maps {theirs!r} to {ours!r}, not to one of {', '.join(_WELL_TYPES)}",
            )
        _require(
            (self.height_px > 0) == (self.width_px > 0) and min(self.height_px, self.width_px) >= 0,
            "height_px and width_px must both be positive, or both 0",
        )
        _require(self.max_pixels > 0, "max_pixels must be positive")
        _require(self.threads >= 0, "threads must be >= 0")

    def _check_template(self) -> None:
        if not self.path_template:
            return
        try:
            names = {
                name
                for _, name, _, _ in string.Formatter().parse(self.path_template)
                if name is not None
            }
        except ValueError as error:
            raise ConfigError(f"path_template {self.path_template!r}: {error}") from None
        unknown = sorted(names - set(_PATH_FIELDS))
        _require(
            not unknown,
            f"path_template has {{{', '.join(unknown)}}}; known fields: {', '.join(_PATH_FIELDS)}",
        )
        for name in ("well", "channel"):
            _require(name in names, f"path_template has no {{{name}}}: {self.path_template!r}")
        try:
            self.path_template.format(**dict.fromkeys(_PATH_FIELDS, "A1") | {"site": 1})
        except (ValueError, TypeError) as error:
            raise ConfigError(
                f"path_template {self.path_template!r}: {error}; only {{site}} is a number, such "
                "as {site:02d}, the others are text as the table has it"
            ) from None

    def tokens(self) -> tuple[str, ...]:
        """What ``{channel}`` becomes, one entry a channel."""
        return self.channel_tokens or tuple(str(i + 1) for i in range(len(self.channel_names)))


@dataclass(frozen=True)
class SplitConfig:
    """Which experiments train, which are held out. Splits never cut through an experiment."""

    #: ``table``: the table's own column (RxRx1: train and test);
    #: ``experiments``: the lists below; ``wilds``: RxRx1's split in WILDS;
    #: ``score``: everything goes to the one split of a scoring run, no labels needed.
    mode: Literal["table", "experiments", "wilds", "score"] = "table"
    #: Mode ``experiments``; an empty ``train`` takes all that the other lists leave.
    train: tuple[str, ...] = ()
    eval: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    #: Moves this many training experiments of each cell type to ``eval``, the last ones in
    #: natural order. Kaggle's tables need it: their test table has no labels.
    holdout_per_cell_type: int = 0
    #: Sites of training wells kept apart as ``id_test``; they never feed a gate.
    in_distribution_sites: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        lists = {"train": self.train, "eval": self.eval, "test": self.test}
        seen: dict[str, str] = {}
        for name, experiments in lists.items():
            _require(
                not experiments or self.mode == "experiments",
                f'{name} lists experiments, which mode = "{self.mode}" does not read; '
                'set mode = "experiments"',
            )
            for experiment in experiments:
                _require(
                    experiment not in seen,
                    f"experiment {experiment} stands in {seen.get(experiment)} and in {name}: "
                    "that is a leak; keep it in one of them",
                )
                seen[experiment] = name
        _require(
            self.mode != "experiments" or bool(self.eval),
            'mode = "experiments" needs at least one experiment in eval',
        )
        _require(self.holdout_per_cell_type >= 0, "holdout_per_cell_type must be >= 0")
        _require(
            self.holdout_per_cell_type == 0 or self.mode == "table",
            f'holdout_per_cell_type goes with mode = "table", not with "{self.mode}"',
        )


@dataclass(frozen=True)
class QualityConfig:
    """How much of a screen may be bad, and what a plate's quality row holds."""

    #: Share (0..1) of expected sites that may be left out, and of found files that may
    #: have no row, before the run stops.
    max_excluded_share: float = 0.01
    #: Percentiles (0..100) of the grey levels of a plate, per channel.
    percentiles: tuple[float, ...] = (1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0)
    #: A plate is an outlier of its experiment beyond this robust z
    #: (Iglewicz and Hoaglin 1993 recommend 3.5).
    outlier_robust_z: float = 3.5
    #: Smallest spread that a robust z is measured in, as a share of the experiment's
    #: median: four plates that agree to 1 % have no outlier among them.
    outlier_spread_floor_share: float = 0.1
    #: Decode every PNG; without it only headers and lengths are checked (``check`` alone).
    decode: bool = True

    def __post_init__(self) -> None:
        _require(0 <= self.max_excluded_share <= 1, "max_excluded_share must lie in 0..1")
        _require(
            len(self.percentiles) > 0 and all(0 <= p <= 100 for p in self.percentiles),
            f"percentiles must lie in 0..100; got {list(self.percentiles)}",
        )
        _require(self.outlier_robust_z > 0, "outlier_robust_z must be positive")
        _require(self.outlier_spread_floor_share > 0, "outlier_spread_floor_share must be > 0")
