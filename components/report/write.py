"""Artifacts to files: what the component runs, and what the runner calls after a run."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from components.report.collect import collect
from components.report.data import ReportSources, RunFacts
from components.report.machine import metrics, metrics_text
from components.report.render import render_page

REPORT, METRICS = "report.html", "metrics.json"


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
        folder = Path(scratch)
        data = collect(sources, folder, run or RunFacts())
        (folder / METRICS).write_text(metrics_text(data), encoding="utf-8")
        (folder / REPORT).write_text(render_page(data), encoding="utf-8")
        names = sorted(p.name for p in folder.iterdir() if p.name != REPORT)
        for name in [*names, REPORT]:
            _publish(folder / name, str(out_dir))
    return metrics(data)


def _publish(path: Path, out_dir: str) -> None:
    if "://" in out_dir:  # an object appears when its upload ends
        import tensorflow as tf

        tf.io.gfile.copy(str(path), f"{out_dir.rstrip('/')}/{path.name}", overwrite=True)
        return
    target = Path(out_dir)
    target.mkdir(parents=True, exist_ok=True)
    temporary = target / f".{path.name}.tmp"
    try:
        shutil.copyfile(path, temporary)
        temporary.replace(target / path.name)
    finally:
        temporary.unlink(missing_ok=True)
