"""Everything that is known about a screen before a pixel is read.

``platewise check`` and the pipeline start here, so that they cannot disagree.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from components.plate_example_gen.config import QualityConfig, ScreenConfig, SplitConfig
from components.plate_example_gen.infer import infer_screen
from components.plate_example_gen.listing import (
    Listing,
    count_found,
    list_files,
    majority_size,
    near_miss,
)
from components.plate_example_gen.plate_groups import PlateGroups, find_plate_groups
from components.plate_example_gen.scan import ScanOptions
from components.plate_example_gen.screen import Screen, ScreenError
from components.plate_example_gen.splits import Assignment, assign_splits, expected_sites
from components.plate_example_gen.storage import Storage, require_folder
from components.plate_example_gen.tables import KAGGLE_TABLES, OFFICIAL_TABLE, read_screen
from trainer import schema


@dataclass
class Prepared:
    """A screen whose tables are read, whose splits are chosen and whose files are listed."""

    screen: Screen
    assignment: Assignment
    listing: Listing
    options: ScanOptions
    plate_groups: PlateGroups | None
    expected_sites: dict[str, dict[str, int]]
    warnings: list[str] = field(default_factory=list)


def prepare(
    config: ScreenConfig,
    splits: SplitConfig,
    quality: QualityConfig,
    storage: Storage,
    pool: ThreadPoolExecutor,
) -> Prepared:
    """Read tables, assign splits, list files. Look at ``screen.problems`` afterwards.

    Raises
    ------
    ScreenError
        The folder is not a screen at all.
    """
    screen = _read(config, splits, storage)
    assignment = assign_splits(screen, splits)
    groups = find_plate_groups(screen)
    listing = list_files(screen, config, storage)
    warnings = [*assignment.warnings]
    if groups is not None and splits.mode != "score":
        warnings.append(f"leak through the plate layout: {groups.text()}")
    # Plates in no split are known, so that their files are not strays, but not read.
    screen.plates = [p for p in screen.plates if p.experiment in assignment.experiments]
    count_found(screen, config, listing)
    if (advice := near_miss(listing)) is not None:
        warnings.append(advice)
    absent = [table for table in KAGGLE_TABLES if table not in screen.tables]
    if screen.form == "kaggle" and absent and listing.files_without_rows:
        warnings.append(
            f"{', '.join(absent)} are not there, which would name the files without rows if this "
            "is Kaggle's data; add them, or raise quality.max_excluded_share"
        )
    options = ScanOptions(
        root=config.root,
        tables=screen.tables,
        path_template=screen.path_template,
        channel_tokens=config.tokens(),
        size=majority_size(screen, config, storage, pool),
        max_pixels=config.max_pixels,
        decode=quality.decode,
    )
    expected = expected_sites(screen, assignment)
    return Prepared(screen, assignment, listing, options, groups, expected, warnings)


def require_training_splits(prepared: Prepared) -> None:
    """Stop where a training run would have nothing to train on or to be judged by.

    Raises
    ------
    ScreenError
    """
    splits = set(prepared.expected_sites)
    if schema.SPLIT_SCORE not in splits and not {schema.SPLIT_TRAIN, schema.SPLIT_EVAL} <= splits:
        raise ScreenError("; ".join(prepared.assignment.warnings))


def _read(config: ScreenConfig, splits: SplitConfig, storage: Storage) -> Screen:
    require_folder(config.root)
    screen = read_screen(config, storage)
    if screen is None and splits.mode == "score":
        screen = infer_screen(config, storage)
    if screen is None:
        raise ScreenError(
            f"{config.root} has no table that we know: neither {OFFICIAL_TABLE} nor "
            f"{', '.join(KAGGLE_TABLES)}. Give the folder that holds the tables, or describe "
            "yours with columns, tables and path_template in [screen]"
        )
    if screen.n_rows == 0:
        screen.problems.raise_any(f"no row of the tables of {config.root} can be used")
        raise ScreenError(f"the tables of {config.root} have a header but no rows")
    return screen
