"""Where the numbers are written: refused before they are computed, not after."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pipelines.profiles.table import Profiles
from trainer.corrections.compare import CorrectedMetrics
from trainer.errors import PlatewiseError
from trainer.metrics.batch_effect import LabelRow


def require_writable(outputs: Iterable[tuple[str, str | None]], profiles_path: str) -> None:
    """Refuse files that cannot be written, and one that would take the place of another.

    Parameters
    ----------
    outputs
        Option and file; None where the option was not given.

    Raises
    ------
    PlatewiseError
        Names the file, its option and what is in the way.
    """
    taken = {Path(profiles_path).resolve(): "the table that is read"}
    for option, name in outputs:
        if name is None:
            continue
        path = Path(name).resolve()
        reason = _in_the_way(path) or (f"it is {taken[path]}" if path in taken else None)
        if reason:
            raise PlatewiseError(f"cannot write {name} ({option}): {reason}; give another file")
        taken[path] = f"what {option} writes"


def _in_the_way(path: Path) -> str | None:
    folder = path.parent
    if path.is_dir():
        return "it is a folder"
    if not folder.is_dir():
        return f"{folder} is not there" if not folder.exists() else f"{folder} is no folder"
    writable = os.access(path, os.W_OK) if path.exists() else os.access(folder, os.W_OK | os.X_OK)
    return None if writable else "permission denied"


def everything(profiles: Profiles, compared: Sequence[CorrectedMetrics]) -> dict[str, Any]:
    """Everything, for machines."""
    return {
        "profiles": profiles.path,
        "n_rows": len(profiles.label_N),
        "n_features": len(profiles.feature_names),
        "features": list(profiles.feature_names),
        "n_control_rows": int(profiles.control_N.sum()),
        "notes": list(profiles.notes),
        "results": [one.to_json() for one in compared],
    }


def write_json(path: str, profiles: Profiles, compared: Sequence[CorrectedMetrics]) -> None:
    """Write everything."""
    with open(path, "w", encoding="utf-8") as stream:
        json.dump(everything(profiles, compared), stream, indent=1)
        stream.write("\n")


def write_per_label(path: str, compared: Sequence[CorrectedMetrics]) -> None:
    """Write one line a correction, scope and label: mAP, p, and q of Benjamini and Hochberg."""
    fields = [field.name for field in dataclasses.fields(LabelRow)]
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, ["correction", *fields], lineterminator="\n")
        writer.writeheader()
        for one in compared:
            for row in one.result.labels:
                writer.writerow({"correction": one.correction, **dataclasses.asdict(row)})
