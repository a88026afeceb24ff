"""Artifacts to page data. Reads only; whatever is missing is left out and said."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.batch_effect_evaluator.results import embeddings_file, read_batch_effects
from components.fitted_parts import temperature_of
from components.report import restoration, rows, scores, scoring
from components.report.blessing import read_blessing
from components.report.data import (
    Quality,
    ReportData,
    ReportSources,
    Restoration,
    RunFacts,
    Scoring,
    SplitCount,
    Training,
)
from components.report.evidence import read_screen_quality
from components.report.leaks import leak_tests
from components.report.verdict import join
from components.report.wells import layout_rungs, read_measures
from components.saved_models import model_folder
from trainer import schema
from trainer.artifact import Trained, read_description
from trainer.errors import PlatewiseError
from trainer.manifest import Manifest, read_manifest
from trainer.predictions import read_plates
from trainer.strict import to_mapping
from trainer.transform_graph import read_normaliser

#: Packages whose versions decide what a run gives.
_PACKAGES = (
    "platewise",
    "tensorflow",
    "keras",
    "tfx",
    "tensorflow-transform",
    "tensorflow-model-analysis",
    "apache-beam",
    "numpy",
    "imagecodecs",
)
#: Sections of a configuration that scoring reads.
_SCORING_READS = ("run", "screen", "quality", "batch_effects", "beam")
#: Where a trained network is described, relative to a model's folder or its run's.
DESCRIPTIONS = ("Format-Serving/platewise/trainer.json", "platewise/trainer.json", "trainer.json")


def collect(sources: ReportSources, out_dir: Path, run: RunFacts) -> ReportData:
    """Read all artifacts; after scoring, also write the tables of predictions to ``out_dir``.

    Raises
    ------
    PlatewiseError
        An artifact that is there but damaged.
    """
    manifest = read_manifest(sources.examples) if sources.examples else None
    trained = _trained(sources)
    quality = read_screen_quality(sources.quality) if sources.quality else Quality()
    notes = _normaliser_notes(sources.transform_graph)
    common: dict[str, Any] = {
        "batch_effects": read_batch_effects(sources.batch_effects)
        if sources.batch_effects
        else None,
        "quality": quality,
        "notes": notes,
        "splits": _split_counts(manifest) if manifest else (),
        "config": _flat(sources.config),
        "versions": _versions(),
        "run": run,
    }
    if not sources.predictions:
        common["leaks"] = leak_tests(sources.leaks, sources.config, None)
        note = "This run has no predictions: it ended before them, and no accuracy is known."
        common["notes"] = (note, *notes)
        return ReportData("training", training=_training(trained), **common)
    if rows.splits(sources.predictions) == (schema.SPLIT_SCORE,):
        scored = _scoring(sources, trained, out_dir)
        common["config"] = _flat(_scoring_config(sources, trained))
        return ReportData("scoring", scoring=scored, **common)
    return _training_page(sources, manifest, trained, common)


def _training_page(
    sources: ReportSources, manifest: Manifest | None, trained: Trained | None, common: dict
) -> ReportData:
    table = rows.read_reduced(sources.predictions)
    classes = _classes(manifest, trained)
    expected = manifest.expected_sites.get(schema.SPLIT_EVAL, {}) if manifest else {}
    quality: Quality = common["quality"]
    cell_types = {p.experiment: p.cell_type for p in quality.plates}
    top = scores.headline(table, len(classes))
    names = manifest.channel_names if manifest else ()
    measures = read_measures(sources.evaluation)
    channels, n_plates = restoration.restoration(table, names)
    return ReportData(
        "training",
        headline=top,
        experiments=scores.experiments(table, expected, cell_types),
        cell_types=scores.cell_types(table),
        leaks=leak_tests(sources.leaks, sources.config, top),
        ladder=(*scores.ladder(table, top), *layout_rungs(measures.ladder)),
        wells=measures,
        other_splits=scores.other_splits(table),
        blessing=read_blessing(sources.evaluation, sources.blessing),
        restoration=Restoration(channels, _protocol(trained), n_plates),
        training=_training(trained),
        **common,
    )


def _scoring(sources: ReportSources, trained: Trained | None, out_dir: Path) -> Scoring:
    if trained is None:
        raise PlatewiseError(
            f"no trainer.json under {sources.model or 'the model (no folder was given)'}: the "
            "names of the treatments are not known; give a model that this version exported"
        )
    reduced: list[scores.Rows] = []

    def seen() -> Any:
        for plate in read_plates(sources.predictions):
            reduced.append(rows.reduced(plate))
            yield plate

    temperature = temperature_of(model_folder(sources.model)) if sources.model else None
    written = scoring.write_scoring_outputs(seen(), out_dir, trained.classes, temperature)
    corrected: list[str] = []
    if sources.batch_effects:
        for path in sorted(Path(sources.batch_effects).glob(embeddings_file("*"))):
            shutil.copyfile(path, out_dir / path.name)
            corrected.append(path.name)
    table = rows.joined(reduced)
    unknown = table[table[schema.PLATE_KNOWN] == 0][schema.PLATE_ID]
    return Scoring(
        experiments=scores.scored(table),
        n_classes=len(trained.classes),
        unknown_plates=tuple(sorted(set(unknown))),
        n_submission_rows=written.n_submission_rows,
        no_submission_because=written.no_submission_because,
        temperature=temperature,
        corrected=tuple(corrected),
    )


def _scoring_config(sources: ReportSources, trained: Trained | None) -> dict[str, Any]:
    """What decided a scoring run: little of its configuration, the rest came with the model."""
    used = {name: sources.config[name] for name in _SCORING_READS if name in sources.config}
    model: dict[str, Any] = {}
    given = sources.config.get("training", {}).get("predict")
    if given or trained is not None:
        model["predict"] = given or to_mapping(trained.config.predict)  # type: ignore[union-attr]
    if sources.transform_graph:
        model["normalizer"] = to_mapping(read_normaliser(sources.transform_graph).config)
    return used | {"model": model}


def _trained(sources: ReportSources) -> Trained | None:
    import tensorflow as tf

    for folder in filter(None, (sources.model, sources.model_run)):
        for name in DESCRIPTIONS:
            path = f"{folder.rstrip('/')}/{name}"
            if tf.io.gfile.exists(path):
                return read_description(path)
    return None


def _normaliser_notes(transform_dir: str) -> tuple[str, ...]:
    """Plates that were normalised otherwise than the configuration's method says."""
    if not transform_dir:
        return ()
    fitted = read_normaliser(transform_dir)
    wells = zip(fitted.plates, fitted.n_control_wells, strict=True)
    bare = [plate for plate, n_wells in wells if not n_wells]
    if fitted.config.method != "plate_controls" or not bare:
        return ()
    return (
        f"{len(bare)} of {len(fitted.plates)} plates have no negative-control well and were "
        f"normalised by the whole plate: {join(bare)}.",
    )


def _training(trained: Trained | None) -> Training:
    if trained is None:
        return Training()
    names = dict.fromkeys(name for row in trained.history for name in row)
    history = {
        name: tuple(float(row.get(name, float("nan"))) for row in trained.history) for name in names
    }
    return Training(trained.n_steps, history)


def _classes(manifest: Manifest | None, trained: Trained | None) -> tuple[str, ...]:
    classes = trained.classes if trained else manifest.classes if manifest else ()
    if not classes:
        raise PlatewiseError(
            "the report needs the model's classes and found neither a trainer.json nor a "
            "manifest.json that names them; give the model or the Examples of the run"
        )
    return classes


def _protocol(trained: Trained | None) -> str:
    if trained is None:
        return "the fixed protocol of the predictor"
    predict = trained.config.predict
    return (
        f"Poisson noise of {predict.protocol_peak_photons:g} photons at full scale, then Gaussian "
        f"noise of {predict.protocol_read_sigma_grey_levels:g} grey levels, not clipped; "
        f"up to {predict.protocol_sites_per_plate} sites a plate"
    )


def _split_counts(manifest: Manifest) -> tuple[SplitCount, ...]:
    counts = []
    for split in sorted(manifest.splits(), key=scores.split_order):
        shards = manifest.of_split(split)
        expected = manifest.expected_sites.get(split, {})
        n_sites = sum(shard.n_records for shard in shards)
        counts.append(
            SplitCount(
                split=split,
                n_experiments=len({s.experiment for s in shards} | set(expected)),
                n_plates=len({s.plate_id for s in shards}),
                n_sites=n_sites,
                n_sites_expected=sum(expected.values()) or n_sites,
            )
        )
    return tuple(counts)


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # such as TFX on a machine that only makes the page
    return found


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
