"""Which split each site goes to, and whether anything leaks from one split to another.

A split never cuts through an experiment: two sites of a well, and two wells of an
experiment, share what the experiment did to them. The one exception is declared:
``id_test``, further sites of training wells, which no gate and no headline reads.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from components.plate_example_gen.config import SplitConfig
from components.plate_example_gen.screen import Screen, Site
from trainer import schema
from trainer.schema import natural_key

#: Kaggle's public board, the validation experiments of WILDS (Koh et al. 2021, app. E).
WILDS_EVAL = ("HUVEC-17", "HEPG2-08", "RPE-08", "U2OS-04")
#: WILDS trains on site 1 and keeps site 2 of the same wells apart.
WILDS_IN_DISTRIBUTION_SITES = (2,)

#: A table's own word -> split. ``test`` depends on what else the table has.
_WORDS = {
    "train": schema.SPLIT_TRAIN,
    "training": schema.SPLIT_TRAIN,
    "eval": schema.SPLIT_EVAL,
    "val": schema.SPLIT_EVAL,
    "valid": schema.SPLIT_EVAL,
    "validation": schema.SPLIT_EVAL,
    "unlabelled": schema.SPLIT_UNLABELLED,
    "unlabeled": schema.SPLIT_UNLABELLED,
    "id_test": schema.SPLIT_IN_DISTRIBUTION,
}
#: Splits whose labels are compared with predictions.
_EVALUATED = (schema.SPLIT_EVAL, schema.SPLIT_TEST, schema.SPLIT_IN_DISTRIBUTION)


@dataclass
class _Experiment:
    """What the tables say about one experiment."""

    cell_type: str
    #: The table's word -> where its first row stands.
    words: dict[str, str] = field(default_factory=dict)
    n_treatment_wells: int = 0
    n_labelled: int = 0

    @property
    def unlabelled(self) -> bool:
        return self.n_treatment_wells > 0 and self.n_labelled == 0


@dataclass(frozen=True)
class Assignment:
    """Split of every site."""

    #: Experiments that are in no split are not here.
    experiments: dict[str, str]
    in_distribution_sites: frozenset[int] = frozenset()
    warnings: tuple[str, ...] = ()

    def split_of(self, experiment: str, site: Site) -> str | None:
        """Split of one site; None where its experiment is left out."""
        split = self.experiments.get(experiment)
        apart = (
            site.number in self.in_distribution_sites
            or _WORDS.get(site.dataset.lower()) == schema.SPLIT_IN_DISTRIBUTION
        )
        if split == schema.SPLIT_TRAIN and apart:
            return schema.SPLIT_IN_DISTRIBUTION
        return split


def assign_splits(screen: Screen, config: SplitConfig) -> Assignment:
    """Give every experiment its split; leaks and unusable choices become problems.

    Returns
    -------
    An assignment that covers every experiment but those left out on purpose. Look at
    ``screen.problems`` before using it.
    """
    experiments = _survey(screen)
    warnings: list[str] = []
    if config.mode == "score":
        return Assignment(dict.fromkeys(experiments, schema.SPLIT_SCORE))
    if config.mode == "experiments":
        chosen = _from_lists(screen, config, experiments, warnings)
    else:
        chosen = _from_words(screen, config, experiments)
    if config.mode == "wilds":
        chosen = _wilds(chosen)
    for name, experiment in experiments.items():
        if experiment.unlabelled and chosen.get(name) is not None:
            chosen[name] = schema.SPLIT_UNLABELLED
    _hold_out(screen, config, experiments, chosen)
    for needed in (schema.SPLIT_TRAIN, schema.SPLIT_EVAL):
        if needed not in chosen.values():
            warnings.append(_nothing_in(needed))
    warnings += _unnamed_treatments(screen, chosen)
    apart = config.in_distribution_sites
    if config.mode == "wilds":
        apart = apart or WILDS_IN_DISTRIBUTION_SITES
    assignment = Assignment(chosen, frozenset(apart), tuple(warnings))
    _check_classes(screen, assignment)
    return assignment


def classes(screen: Screen, assignment: Assignment) -> tuple[str, ...]:
    """Treatments that training sees by the tables, natural order."""
    seen = {
        well.treatment
        for plate in screen.plates
        for well, site in plate.sites()
        if well.well_type == schema.WELL_TREATMENT
        and well.treatment
        and assignment.split_of(plate.experiment, site) == schema.SPLIT_TRAIN
    }
    return tuple(sorted(seen, key=natural_key))


def expected_sites(screen: Screen, assignment: Assignment) -> dict[str, dict[str, int]]:
    """Sites that the tables name per split and experiment, before any exclusion."""
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for plate in screen.plates:
        for _, site in plate.sites():
            split = assignment.split_of(plate.experiment, site)
            if split is not None:
                counts[split][plate.experiment] += 1
    return {split: dict(experiments) for split, experiments in counts.items()}


def _survey(screen: Screen) -> dict[str, _Experiment]:
    experiments: dict[str, _Experiment] = {}
    for plate in screen.plates:
        for well in plate.wells:
            found = experiments.setdefault(plate.experiment, _Experiment(well.cell_type))
            if well.well_type == schema.WELL_TREATMENT:
                found.n_treatment_wells += 1
                found.n_labelled += bool(well.treatment)
            for site in well.sites:
                if site.dataset not in found.words:
                    found.words[site.dataset] = screen.row_name(site.table, site.line)
    return experiments


def _from_words(
    screen: Screen, config: SplitConfig, experiments: dict[str, _Experiment]
) -> dict[str, str]:
    """Splits by the table's own column."""
    used = {word.lower() for experiment in experiments.values() for word in experiment.words}
    words = dict(_WORDS)
    three_way = any(words.get(word) == schema.SPLIT_EVAL for word in used)
    words["test"] = schema.SPLIT_TEST if three_way else schema.SPLIT_EVAL
    if used == {""}:
        if config.holdout_per_cell_type == 0:
            screen.problems.add(
                "the tables do not say which split an experiment belongs to: set "
                "holdout_per_cell_type, or list experiments under [splits], or map a column "
                "to dataset"
            )
        return dict.fromkeys(experiments, schema.SPLIT_TRAIN)
    chosen: dict[str, str] = {}
    for name, experiment in experiments.items():
        splits: dict[str, str] = {}
        for word, where in experiment.words.items():
            if word.lower() in words:
                splits.setdefault(words[word.lower()], f"{word} in {where}")
            else:
                screen.problems.add(
                    f"{where}: dataset is {word!r}; known: {', '.join([*_WORDS, 'test'])}"
                )
        if set(splits) == {schema.SPLIT_TRAIN, schema.SPLIT_IN_DISTRIBUTION}:
            splits = {schema.SPLIT_TRAIN: splits[schema.SPLIT_TRAIN]}
        if len(splits) > 1:
            screen.problems.add(
                f"leak: experiment {name} stands in two splits ({', '.join(splits.values())}); "
                "keep an experiment in one of them"
            )
        chosen[name] = next(iter(splits), schema.SPLIT_TRAIN)
    return chosen


def _from_lists(
    screen: Screen,
    config: SplitConfig,
    experiments: dict[str, _Experiment],
    warnings: list[str],
) -> dict[str, str]:
    """Splits by the lists of the configuration."""
    lists = {
        schema.SPLIT_TRAIN: config.train,
        schema.SPLIT_EVAL: config.eval,
        schema.SPLIT_TEST: config.test,
    }
    chosen: dict[str, str] = {}
    for split, names in lists.items():
        for name in names:
            if name in experiments:
                chosen[name] = split
            else:
                near = difflib.get_close_matches(name, list(experiments), n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                screen.problems.add(f"splits.{split} names {name}, not in the screen{hint}")
    rest = [name for name in experiments if name not in chosen]
    if not config.train:
        chosen |= dict.fromkeys(rest, schema.SPLIT_TRAIN)
    elif rest:
        warnings.append(f"in no list of [splits], so left out: {_some(rest)}")
    return chosen


def _wilds(chosen: dict[str, str]) -> dict[str, str]:
    """The table's training experiments stay; the others are validation or test."""
    return {
        name: schema.SPLIT_TRAIN
        if split == schema.SPLIT_TRAIN
        else schema.SPLIT_EVAL
        if name in WILDS_EVAL
        else schema.SPLIT_TEST
        for name, split in chosen.items()
    }


def _hold_out(
    screen: Screen,
    config: SplitConfig,
    experiments: dict[str, _Experiment],
    chosen: dict[str, str],
) -> None:
    """Move the last training experiments of each cell type to ``eval``."""
    n = config.holdout_per_cell_type
    if n == 0:
        return
    by_type: dict[str, list[str]] = defaultdict(list)
    for name in sorted(experiments, key=natural_key):
        if chosen.get(name) == schema.SPLIT_TRAIN:
            by_type[experiments[name].cell_type].append(name)
    for cell_type, names in by_type.items():
        if len(names) <= n:
            screen.problems.add(
                f"holdout_per_cell_type = {n} leaves no training experiment of cell type "
                f"{cell_type}, which has {_some(names)}; hold out fewer, or list experiments"
            )
        chosen |= dict.fromkeys(names[-n:], schema.SPLIT_EVAL)


def _check_classes(screen: Screen, assignment: Assignment) -> None:
    """A class that training never sees cannot be predicted: name it, with its first row."""
    if schema.SPLIT_TRAIN not in assignment.experiments.values():
        return  # nothing to train on is said already
    known = set(classes(screen, assignment))
    for plate in screen.plates:
        for well in plate.wells:
            if well.well_type != schema.WELL_TREATMENT or well.treatment in known | {""}:
                continue
            for site in well.sites:
                split = assignment.split_of(plate.experiment, site)
                if split in _EVALUATED:
                    known.add(well.treatment)  # once is enough
                    screen.problems.add(
                        f"class {well.treatment!r} is in split {split} "
                        f"({screen.row_name(site.table, site.line)}, {plate.plate_id}_{well.name})"
                        " but training never sees it; move its experiment to training or leave "
                        "the class out"
                    )
                    break


def _unnamed_treatments(screen: Screen, chosen: dict[str, str]) -> list[str]:
    """Wells that nothing is learnt from, in experiments whose other wells are labelled."""
    labelled = (schema.SPLIT_TRAIN, schema.SPLIT_EVAL, schema.SPLIT_TEST)
    rows = [
        screen.row_name(well.sites[0].table, well.sites[0].line)
        for plate in screen.plates
        for well in plate.wells
        if chosen.get(plate.experiment) in labelled
        and well.well_type == schema.WELL_TREATMENT
        and not well.treatment
    ]
    if not rows:
        return []
    return [f"{len(rows)} treatment wells of labelled experiments name no treatment, so nothing "
            f"is learnt from them: {_some(rows)}"]  # fmt: skip


def _nothing_in(split: str) -> str:
    advice = {
        schema.SPLIT_TRAIN: 'give labelled experiments, or use mode = "score"',
        schema.SPLIT_EVAL: "set splits.holdout_per_cell_type, or list experiments in splits.eval",
    }
    return f"no labelled experiment is in split {split}; to train, {advice[split]}"


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
