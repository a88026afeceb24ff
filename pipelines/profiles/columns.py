"""Which columns of a table of profiles are features."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Sequence

from trainer.errors import PlatewiseError

#: CellProfiler's and pycytominer's conventions.
#: The mark may stand in the middle: CellProfiler writes Image_Metadata_Plate too.
METADATA_MARK = "metadata_"
COMPARTMENTS = ("Cells_", "Cytoplasm_", "Nuclei_")
#: What pandas and CellProfiler number rows, images and objects with.
_COUNTERS = re.compile(r"Unnamed: \d+$|(Image|Table|Object)Number$|index$")
#: Words that mark a column of names or places, where no convention tells.
_NAMING_WORDS = frozenset(
    (
        "id",
        "index",
        "idx",
        "plate",
        "well",
        "row",
        "col",
        "column",
        "site",
        "field",
        "experiment",
        "batch",
        "run",
        "replicate",
        "rep",
        "split",
        "label",
        "treatment",
        "compound",
        "sirna",
        "dose",
        "concentration",
        "target",
        "gene",
        "moa",
        "seed",
        "unnamed",
    )
)


def require_columns(wanted: Iterable[tuple[str, str]], columns: Sequence[str], where: str) -> None:
    """Refuse columns that are not there.

    Parameters
    ----------
    wanted
        Option and column, for the message.

    Raises
    ------
    PlatewiseError
        Names the first one that is missing, its option and the nearest columns there are.
    """
    for option, column in wanted:
        if column not in columns:
            raise PlatewiseError(
                f"{where} has no column {column!r} ({option}); {nearest(column, columns)}"
            )


def nearest(name: str, known: Sequence[str]) -> str:
    """The names that come nearest to ``name``, as the end of an error message."""
    lower: dict[str, str] = {}
    for candidate in known:
        lower.setdefault(candidate.lower(), candidate)
    near = difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.5)
    # Of "plate" in "Metadata_Plate" a whole-word likeness is too small.
    near += [c for c in lower if len(name) > 2 and name.lower() in c and c not in near]
    if near:
        return "did you mean " + ", ".join(repr(lower[c]) for c in near[:3]) + "?"
    shown = ", ".join(repr(c) for c in known[:8])
    return f"there are {shown}" + (f" and {len(known) - 8} more" if len(known) > 8 else "")


def choose_features(
    numeric: Sequence[str],
    columns: Sequence[str],
    named: Iterable[str],
    patterns: Sequence[str] = (),
    where: str = "the table",
) -> tuple[list[str], list[str]]:
    """Feature columns, and numeric columns that were taken for names instead.

    With patterns: the columns whose beginning matches one of them. Without: numeric columns without
    ``Metadata_`` in their name, where any column has it; else those of CellProfiler's
    compartments where there are any; else all whose name holds no word such as plate or id.
    Columns that are named as label, experiment and so on are never features.

    Raises
    ------
    PlatewiseError
        No feature is left, or a pattern matches a column that is not numeric or nothing.
    """
    taken = set(named)
    if patterns:
        return _matching(numeric, columns, taken, patterns, where), []
    free = [column for column in numeric if column not in taken]
    is_feature = _convention(free, columns)
    chosen = [column for column in free if is_feature(column)]
    if not chosen:
        raise PlatewiseError(
            f"{where} has no feature columns: of {len(columns)} columns {len(numeric)} are "
            "numeric, and these are taken for names or places; say which are features: "
            "--features PREFIX"
        )
    kept = set(chosen)
    return chosen, [column for column in free if column not in kept]


def would_be_features(
    others: Sequence[str], numeric: Sequence[str], columns: Sequence[str], named: Collection[str]
) -> list[str]:
    """Those of ``others``, which are not numeric, whose names are those of features."""
    is_feature = _convention([column for column in numeric if column not in named], columns)
    return [column for column in others if column not in named and is_feature(column)]


def _convention(free: Sequence[str], columns: Sequence[str]) -> Callable[[str], bool]:
    """Whether a column is a feature by its name, as :func:`choose_features` says."""
    if any(METADATA_MARK in column.lower() for column in columns):
        return lambda c: METADATA_MARK not in c.lower() and not _COUNTERS.match(c)
    if any(column.startswith(COMPARTMENTS) for column in free):
        return lambda c: c.startswith(COMPARTMENTS)
    return lambda c: not _is_naming(c)


def matching(columns: Iterable[str], named: Collection[str], patterns: Sequence[str]) -> list[str]:
    """Columns whose beginning matches one of the patterns, but for those that are named.

    Raises
    ------
    PlatewiseError
        A pattern is no regular expression.
    """
    expressions = []
    for pattern in patterns:
        try:
            expressions.append(re.compile(pattern))
        except re.error as error:
            raise PlatewiseError(
                f"--features {pattern!r} is no regular expression: {error}"
            ) from error
    return [c for c in columns if c not in named and any(e.match(c) for e in expressions)]


def _matching(
    numeric: Sequence[str],
    columns: Sequence[str],
    taken: set[str],
    patterns: Sequence[str],
    where: str,
) -> list[str]:
    found = matching(columns, taken, patterns)
    if not found:
        raise PlatewiseError(
            f"no column of {where} begins with --features {patterns[0]!r}; "
            f"{nearest(patterns[0], columns)}"
        )
    known = set(numeric)
    words = [column for column in found if column not in known]
    if words:
        raise PlatewiseError(
            f"--features matches column {words[0]!r} of {where}, which does not hold numbers"
        )
    return found


def _is_naming(column: str) -> bool:
    words = re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", column).lower())
    return any(word in _NAMING_WORDS for word in words)
