"""Which columns of a table of profiles are features."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from trainer.errors import PlatewiseError

#: CellProfiler's and pycytominer's conventions.
METADATA_PREFIX = "Metadata_"
COMPARTMENTS = ("Cells_", "Cytoplasm_", "Nuclei_")
#: Words that mark a column of names or places, where no convention tells.
_NAMING_WORDS = frozenset(
    [
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
    ]
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

    With patterns: the columns whose beginning matches one of them. Without: numeric columns that
    do not begin with ``Metadata_`` where any column does; else those of CellProfiler's
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
    if any(column.startswith(METADATA_PREFIX) for column in columns):
        chosen = [column for column in free if not column.startswith(METADATA_PREFIX)]
    elif any(column.startswith(COMPARTMENTS) for column in free):
        chosen = [column for column in free if column.startswith(COMPARTMENTS)]
    else:
        chosen = [column for column in free if not _is_naming(column)]
    if not chosen:
        raise PlatewiseError(
            f"{where} has no feature columns: of {len(columns)} columns {len(numeric)} are numeric, "
            "and these are taken for names or places; say which are features: --features PREFIX"
        )
    kept = set(chosen)
    return chosen, [column for column in free if column not in kept]


def _matching(
    numeric: Sequence[str],
    columns: Sequence[str],
    taken: set[str],
    patterns: Sequence[str],
    where: str,
) -> list[str]:
    expressions = []
    for pattern in patterns:
        try:
            expressions.append(re.compile(pattern))
        except re.error as error:
            raise PlatewiseError(
                f"--features {pattern!r} is no regular expression: {error}"
            ) from error
    matching = [c for c in columns if c not in taken and any(e.match(c) for e in expressions)]
    if not matching:
        raise PlatewiseError(
            f"no column of {where} begins with --features {patterns[0]!r}; "
            f"{nearest(patterns[0], columns)}"
        )
    known = set(numeric)
    words = [column for column in matching if column not in known]
    if words:
        raise PlatewiseError(
            f"--features matches column {words[0]!r} of {where}, which does not hold numbers"
        )
    return matching


def _is_naming(column: str) -> bool:
    words = re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", column).lower())
    return any(word in _NAMING_WORDS for word in words)
