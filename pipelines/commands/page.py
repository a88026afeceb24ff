"""The run's page: written after the run, when timings are known, and told in a few lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.progress import duration
from trainer.errors import PlatewiseError

if TYPE_CHECKING:
    from pipelines.run_record import RunRecord

#: The report's narrow space, which not every terminal shows.
_THIN = "\u202f"


#: What the page reads -> the component and the output that hold it; scoring imports its model.
_SOURCES = {
    "examples": (("PlateExampleGen", "examples"),),
    "quality": (("PlateExampleGen", "quality"),),
    "transform_graph": (("PlateTransform", "transform_graph"),),
    "model": (("PlateTrainer", "model"), ("Model", "result")),
    "model_run": (("PlateTrainer", "model_run"),),
    "predictions": (("PlatePredictor", "predictions"),),
    "evaluation": (("PlateEvaluator", "evaluation"),),
    "batch_effects": (("BatchEffectEvaluator", "batch_effects"),),
    "blessing": (("PlateEvaluator", "blessing"),),
    "leaks": (("PlateLeakAudit", "leaks"),),
}


def write_page(record: RunRecord, run_dir: Path) -> dict[str, Any]:
    """Write ``report.html`` and ``metrics.json``, and after scoring its tables.

    Returns
    -------
    dict
        What ``metrics.json`` holds.

    Raises
    ------
    PlatewiseError
        An artifact of the run that is missing or damaged.
    """
    from components.report.data import ReportSources
    from components.report.write import write_report

    found = {}
    for name, places in _SOURCES.items():
        uris = [uri for node, key in places if (uri := record.outputs.get(node, {}).get(key))]
        if uris:
            found[name] = uris[0]
            if not Path(uris[0]).exists():
                raise PlatewiseError(
                    f"{uris[0]} is not there any more: run the pipeline again, which makes it anew"
                )
    metrics = write_report(ReportSources(config=record.config, **found), run_dir, record.facts)
    if record.kind == "scoring" and metrics["scoring"]["n_submission_rows"] is None:
        (run_dir / "submission.csv").unlink(missing_ok=True)  # of an earlier model
    return metrics


def tell_page(metrics: dict[str, Any], run_dir: Path, say: Callable[[str], None]) -> None:
    """The last words of a run: what the page says first, and where it lies."""
    say("")
    say(metrics["sentence"].replace(_THIN, " "))
    headline = metrics["headline"] or {}
    if headline.get("times_chance") is not None:
        say(
            f"per well, held out: {_percent(headline['accuracy_per_well'])} "
            f"({_percent(headline['low'])} to {_percent(headline['high'])}), "
            f"{headline['times_chance']:.1f} times chance, {headline['n_wells']} wells"
        )
    blessed = metrics["blessing"]["blessed"]
    if blessed is not None:
        say(f"blessed {'yes' if blessed else 'no'}")
        for reason in metrics["blessing"]["reasons"]:
            say(f"        {reason.replace(_THIN, ' ')}")
    for line in _gates(metrics["blessing"]["gates"]):
        say(line)
    if metrics["run"]["total_s"] is not None:
        say(f"took    {duration(metrics['run']['total_s'])}")
    say(f"report  {run_dir / 'report.html'}")
    say(f"metrics {run_dir / 'metrics.json'}")


def _gates(gates: list[dict[str, Any]]) -> list[str]:
    """Each threshold with its verdict; of those of single experiments the worst alone."""
    single = [g for g in gates if g["slice"].startswith("experiment ") and g["passed"]]
    worst = min(single, key=lambda g: -1.0 if g["value"] is None else g["value"], default=None)
    told = [g for g in gates if not g["slice"].startswith("experiment ") or g is worst]
    return [
        f"{'met' if g['passed'] else 'NOT MET':7} {g['metric']}, {g['slice']}: "
        f"{'not measured' if g['value'] is None else format(g['value'], '.4g')} "
        f"(asked: {g['threshold']})"
        for g in told
    ]


def _percent(share: float | None) -> str:
    return "n/a" if share is None else f"{100 * share:.1f} %"
