"""Artifacts to files: what the component runs, and what the runner calls after a run."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.batch_effect_evaluator import results as batch_results
from components.evaluator import results
from components.evaluator.wells import CALIBRATION_FILE, LADDER_FILE
from components.fitted_parts import CALIBRATION_IN_MODEL
from components.leak_audit import files as leak_files
from components.plate_example_gen.storage import open_storage
from components.report.blessing import VERDICTS
from components.report.collect import DESCRIPTIONS, collect
from components.report.data import ReportSources, RunFacts
from components.report.machine import metrics, metrics_text
from components.report.render import render_page
from components.staging import fetch, is_bucket
from trainer.corrections import CORRECTION_NAMES
from trainer.errors import PlatewiseError
from trainer.manifest import MANIFEST_NAME
from trainer.transform_graph import TEXT_NAME

REPORT, METRICS = "report.html", "metrics.json"
#: Files of each input that the page is made from; None: all. The quality artifact's reader takes
#: them from a bucket itself.
_NEEDED: dict[str, Sequence[str] | None] = {
    "examples": (MANIFEST_NAME,),
    "transform_graph": (TEXT_NAME,),
    "model": (*DESCRIPTIONS, CALIBRATION_IN_MODEL),
    "model_run": DESCRIPTIONS,
    "predictions": None,
    "evaluation": (results.FILE_NAME, LADDER_FILE, CALIBRATION_FILE),
    "blessing": tuple(VERDICTS),
    "leaks": (leak_files.FILE_NAME,),
    "batch_effects": (
        batch_results.FILE_NAME,
        *(batch_results.embeddings_file(name) for name in CORRECTION_NAMES),
    ),
}


def write_report(
    sources: ReportSources, out_dir: str | Path, run: RunFacts | None = None
) -> dict[str, Any]:
    """Write ``report.html`` and ``metrics.json``, and after scoring the tables too.

    Files replace earlier ones of the same name, each whole or not at all, the page last.

    Parameters
    ----------
    sources
        Where the artifacts lie.
    out_dir
        Folder to write to, local or ``gs://``; made where it is missing.
    run
        Timings and cache states, known once the run has ended.

    Returns
    -------
    dict
        What ``metrics.json`` holds.

    Raises
    ------
    PlatewiseError
        An artifact that is damaged.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder, inputs = Path(scratch, "page"), Path(scratch, "inputs")
        folder.mkdir()
        staged = _staged(sources, inputs)
        try:
            data = collect(staged, folder, run or RunFacts())
        except PlatewiseError as error:
            raise _at_home(error, staged, sources) from error
        (folder / METRICS).write_text(metrics_text(data), encoding="utf-8")
        (folder / REPORT).write_text(render_page(data), encoding="utf-8")
        names = sorted(p.name for p in folder.iterdir() if p.name != REPORT)
        for name in [*names, REPORT]:
            _publish(folder / name, str(out_dir))
    return metrics(data)


def _staged(sources: ReportSources, folder: Path) -> ReportSources:
    """Copies of what lies in a bucket, as far as the page needs it."""
    local: dict[str, Any] = {
        name: fetch(uri, folder / name, wanted)
        for name, wanted in _NEEDED.items()
        if is_bucket(uri := getattr(sources, name))
    }
    return dataclasses.replace(sources, **local)


def _at_home(
    error: PlatewiseError, staged: ReportSources, sources: ReportSources
) -> PlatewiseError:
    """The error with the places that its reader knows in place of those of the copies."""
    text = str(error)
    for name in _NEEDED:
        here, there = getattr(staged, name), getattr(sources, name)
        text = text.replace(here, there.rstrip("/")) if here != there else text
    return error if text == str(error) else PlatewiseError(text)


def _publish(path: Path, out_dir: str) -> None:
    if is_bucket(out_dir):  # an object appears when its upload ends
        storage = open_storage(out_dir)
        with storage.open_write(f"{out_dir.rstrip('/')}/{path.name}") as stream:
            stream.write(path.read_bytes())
        return
    target = Path(out_dir)
    target.mkdir(parents=True, exist_ok=True)
    temporary = target / f".{path.name}.tmp"
    try:
        shutil.copyfile(path, temporary)
        temporary.replace(target / path.name)
    finally:
        temporary.unlink(missing_ok=True)
