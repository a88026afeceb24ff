"""The report for machines: ``metrics.json``.

Keys, all of them always there; ``null`` means not known or not measured. Shares lie in
0..1, times are seconds.

``format``
    1; grows when a key changes its meaning.
``kind``
    ``"training"`` or ``"scoring"``.
``sentence``
    The page's first sentence.
``headline``
    ``accuracy_per_well``, ``low``, ``high``, ``n_wells``, ``n_correct``, ``chance``,
    ``times_chance``, ``top5_per_well``, ``mean_over_experiments``, ``commonest_share``,
    ``n_experiments``, ``n_classes``, ``confidence``, ``interval_method``,
    ``design_effect``, ``n_plates``; the whole is ``null`` without held-out wells.
``worst_experiment``
    An entry of ``experiments``, or ``null``.
``experiments``
    Worst first: ``experiment``, ``cell_type``, ``accuracy_per_well``, ``low``, ``high``,
    ``n_wells``, ``top5_per_well``, ``accuracy_per_site``, ``site_low``, ``site_high``,
    ``n_sites``, ``ladder`` (rung -> ``accuracy``, ``low``, ``high``, ``n``, ``uses_layout``)
    and ``plates`` (``plate_id``, ``accuracy_per_well``, ``low``, ``high``,
    ``n_wells``, ``sites``: site number -> ``accuracy``, ``n``).
``cell_types``, ``ladder``, ``other_splits``
    As on the page; a rung of the ladder that exploits the layout says ``uses_layout``.
``layout``
    What those rungs were made from: ``group_sizes``, ``plates_guessed``, ``copies``,
    ``n_training_plates``.
``batch_effects``
    ``corrections`` (``none`` first: ``guessed`` with interval, ``chance``, ``metrics``,
    ``notes``, and ``variance``: by ``scope`` and principal ``component`` (0: the whole embedding)
    the ``share`` of each factor and its ``chance``), ``cards`` by experiment with their
    ``sentence``, what corrections were ``fitted_on`` and which were ``left_out``;
    ``treatments`` without correction (``mean_average_precision`` over the wells, ``p_value``,
    ``q_value`` after Benjamini and Hochberg over the treatments of the ``scope``), and
    ``told_apart``, the page's line about them; or ``null``.
``calibration``
    ``before`` and ``after`` temperature scaling (``ece`` with interval, ``ece_equal_mass``,
    ``brier``, ``negative_log_likelihood``, ...), the same by experiment, ``temperature`` for new
    plates, ``temperatures`` of the experiments and how they were ``fitted_on``; or ``null``.
``blessing``
    ``blessed`` (true, false or null), ``reasons``, ``gates``; ``not_compared``: those against an
    earlier model that nothing can be compared with, each with its ``reason``.
``quality``
    ``sites_expected``, ``sites_used``, ``sites_missing``, ``sites_incomplete``,
    ``sites_corrupt``, ``n_dead_letters``, ``reasons``, ``outlier_plates``, ``plate_group_leak``,
    ``warnings``, ``plates``, ``dead_letters`` (the first ones), ``splits``.
``leak_audit``
    Tests of the audit: ``key``, ``outcome`` (``"pass"``, ``"note"``, ``"warn"``, ``"fail"``,
    ``"untested"``), ``text``, ``n_found``, ``found``, ``facts``.
``denoiser``
    ``protocol``, ``n_plates`` and ``channels`` (PSNR in dB, SSIM).
``training``
    ``n_steps`` and ``history`` (name -> list).
``scoring``
    Counts of a scoring run, else ``null``.
``config``, ``versions``
    Dotted key -> value; package -> version.
``run``, ``timings``
    ``name``, ``started``, ``total_s``; component -> ``seconds`` and ``state`` (``"run"``,
    ``"cached"``, ``"failed"``, ``"skipped"``). Empty until the run has ended.
``notes``
    What the page says could not be read.
"""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

from components.report import batch
from components.report.data import PlateScore, ReportData, SliceScore
from components.report.verdict import headline_sentence
from components.report.wells import ladder_entry, ladder_facts

FORMAT = 1


def metrics(data: ReportData) -> dict[str, Any]:
    """The mapping that ``metrics.json`` holds."""
    climbed = data.wells.ladder
    experiments = [_slice(e) | {"ladder": ladder_entry(e, climbed)} for e in data.experiments]
    seen = [e for e in experiments if e["accuracy_per_well"] is not None]
    worst = min(seen, key=lambda e: (e["accuracy_per_well"], e["experiment"]), default=None)
    plain = {
        "format": FORMAT,
        "kind": data.kind,
        "sentence": headline_sentence(data),
        "headline": _headline(data),
        "worst_experiment": worst,
        "experiments": experiments,
        "cell_types": [_slice(e, "cell_type") for e in data.cell_types],
        "ladder": [dataclasses.asdict(r) for r in data.ladder],
        "batch_effects": batch.machine(data.experiments, data.batch_effects),
        "layout": ladder_facts(climbed),
        "calibration": data.wells.calibration and data.wells.calibration.plain(),
        "other_splits": [dataclasses.asdict(s) for s in data.other_splits],
        "blessing": dataclasses.asdict(data.blessing),
        "quality": _quality(data),
        "leak_audit": [dataclasses.asdict(test) for test in data.leaks],
        "denoiser": _denoiser(data),
        "training": dataclasses.asdict(data.training),
        "scoring": None if data.scoring is None else dataclasses.asdict(data.scoring),
        "config": dict(data.config),
        "versions": dict(data.versions),
        "run": {k: getattr(data.run, k) for k in ("name", "started", "total_s")},
        "timings": {c.name: {"seconds": c.seconds, "state": c.state} for c in data.run.components},
        "notes": list(data.notes),
    }
    return _finite(plain)


def metrics_text(data: ReportData) -> str:
    """Text of ``metrics.json``: strict JSON, the same for equal ``data``."""
    return json.dumps(metrics(data), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _headline(data: ReportData) -> dict[str, Any] | None:
    top = data.headline
    if top is None or top.well.value is None:
        return None
    return {
        "accuracy_per_well": top.well.value,
        "low": top.well.low,
        "high": top.well.high,
        "n_wells": top.well.n,
        "n_correct": top.well.n_correct,
        "chance": top.chance,
        "times_chance": top.well.value / top.chance,
        "top5_per_well": top.well_top5.value,
        "mean_over_experiments": top.mean_over_experiments,
        "commonest_share": top.commonest_share,
        "n_experiments": top.n_experiments,
        "n_classes": top.n_classes,
        "confidence": top.confidence,
        "interval_method": top.well.method,
        "design_effect": top.well.design_effect,
        "n_plates": top.well.n_clusters,
    }


def _slice(row: SliceScore, key: str = "experiment") -> dict[str, Any]:
    return {
        key: row.name,
        "cell_type": row.cell_type,
        "accuracy_per_well": row.well.value,
        "low": row.well.low,
        "high": row.well.high,
        "n_wells": row.well.n,
        "top5_per_well": row.well_top5.value,
        "accuracy_per_site": row.site.value,
        "site_low": row.site.low,
        "site_high": row.site.high,
        "n_sites": row.site.n,
        "plates": [_plate(p) for p in row.plates],
    }


def _plate(plate: PlateScore) -> dict[str, Any]:
    return {
        "plate_id": plate.plate_id,
        "accuracy_per_well": plate.well.value,
        "low": plate.well.low,
        "high": plate.well.high,
        "n_wells": plate.well.n,
        "sites": {str(k): {"accuracy": s.value, "n": s.n} for k, s in plate.sites.items()},
    }


def _quality(data: ReportData) -> dict[str, Any]:
    quality = data.quality
    totals = ("expected", "used", "missing", "incomplete", "corrupt")
    return {
        **{f"sites_{t}": sum(getattr(p, f"sites_{t}") for p in quality.plates) for t in totals},
        "n_dead_letters": quality.n_dead_letters,
        "reasons": dict(quality.reasons),
        "outlier_plates": [p.plate_id for p in quality.plates if p.outlier],
        "plate_group_leak": quality.plate_group_leak,
        "warnings": list(quality.warnings),
        "plates": [dataclasses.asdict(p) for p in quality.plates],
        "dead_letters": [dataclasses.asdict(d) for d in quality.dead_letters],
        "splits": [dataclasses.asdict(s) for s in data.splits],
    }


def _denoiser(data: ReportData) -> dict[str, Any]:
    return {
        "protocol": data.restoration.protocol,
        "n_plates": data.restoration.n_plates,
        "channels": [
            dataclasses.asdict(c) | {"gain_db": c.gain_db} for c in data.restoration.channels
        ],
    }


def _finite(node: Any) -> Any:
    """JSON has no infinity and no NaN: both become null."""
    if isinstance(node, dict):
        return {str(k): _finite(v) for k, v in node.items()}
    if isinstance(node, list | tuple):
        return [_finite(v) for v in node]
    return None if isinstance(node, float) and not math.isfinite(node) else node
