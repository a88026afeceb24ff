"""From well embeddings to metrics before and after each correction."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from components.batch_effect_evaluator.config import BatchEffectsConfig
from components.batch_effect_evaluator.profiles import WellProfiles, write_embeddings
from components.batch_effect_evaluator.results import (
    CORRECTIONS,
    NONE,
    BatchEffects,
    CorrectedResult,
    embeddings_file,
)
from trainer import schema
from trainer.corrections import Correction, fit_correction, load_correction
from trainer.errors import PlatewiseError
from trainer.metrics.batch_cards import batch_cards
from trainer.metrics.batch_effect import BatchEffectConfig, batch_effect_metrics
from trainer.metrics.batch_effect.threads import blas_threads
from trainer.predictions import SPLIT

#: Metrics that need no treatment's name.
LABEL_FREE = ("batch_probe", "kbet", "ilisi", "pcr", "variance_experiment")


def measure(
    profiles: WellProfiles, config: BatchEffectsConfig, saved_in: str, fitted_in: str = ""
) -> BatchEffects:
    """Measure the embeddings as they are and after each correction.

    Corrections are fitted on the wells of the split ``train``; an experiment they did not see is
    corrected by its own controls or wells, as a new plate would be.

    Parameters
    ----------
    saved_in
        Folder of the artifact: fitted corrections go into ``corrections``, corrected embeddings of
        all wells into ``embeddings_NAME.parquet``.
    fitted_in
        Folder of corrections fitted when the model was trained: taken where no plate trains.
    """
    with blas_threads(len(profiles.embedding_ND)):
        return _measure(profiles, config, saved_in, fitted_in)


def _measure(
    profiles: WellProfiles, config: BatchEffectsConfig, saved_in: str, fitted_in: str
) -> BatchEffects:
    names = profiles.names
    experiment = names[schema.EXPERIMENT].astype(str)
    control = np.isin(names[schema.WELL_TYPE].astype(str), config.control_types())
    trains = names[SPLIT].astype(str) == schema.SPLIT_TRAIN
    treated = profiles.treated
    left_out: dict[str, str] = {}
    results = []
    if treated.any():
        results.append(_measured(NONE, profiles.embedding_ND, profiles, config))
        fitted = _fitted(profiles, config, control, trains, fitted_in, left_out)
        for name, correction in fitted:
            try:
                after = correction.apply(profiles.embedding_ND, experiment, control)
            except ValueError as error:
                left_out[name] = str(error)
                continue
            correction.save(os.path.join(saved_in, CORRECTIONS, name))
            write_embeddings(os.path.join(saved_in, embeddings_file(name)), profiles, after)
            found = _measured(name, after, profiles, config)
            sources = correction.sources(experiment, control)
            results.append(
                dataclasses.replace(found, sources=sources, notes=tuple(correction.notes))
            )
    baseline = None
    if profiles.baseline_ND is not None and treated.any():
        baseline = batch_cards(
            profiles.baseline_ND[treated],
            None,
            experiment[treated],
            names[schema.CELL_TYPE][treated],
            config.metrics,
        ).guessed
    return BatchEffects(
        results=tuple(results),
        n_wells=int(treated.sum()),
        n_controls=int(control.sum()),
        n_experiments=len(set(experiment[treated].tolist())),
        fitted_on=tuple(sorted(set(experiment[trains].tolist()), key=schema.natural_key)),
        left_out=left_out,
        baseline_guessed=baseline,
    )


def _fitted(
    profiles: WellProfiles,
    config: BatchEffectsConfig,
    control: np.ndarray,
    trains: np.ndarray,
    fitted_in: str,
    left_out: dict[str, str],
) -> Iterator[tuple[str, Correction]]:
    """Each configured correction, fitted here or when the model was; why not goes to the notes."""
    experiment = profiles.names[schema.EXPERIMENT].astype(str)
    for name in config.corrections:
        try:
            if trains.any():
                rows = np.flatnonzero(trains)
                yield (
                    name,
                    fit_correction(
                        name, profiles.embedding_ND[rows], experiment[rows], control[rows]
                    ),
                )
            elif fitted_in:
                yield name, load_correction(os.path.join(fitted_in, name))
            else:
                left_out[name] = "no plate trains, and the model brought no fitted correction"
        except (ValueError, PlatewiseError) as error:
            left_out[name] = str(error)


def _measured(
    correction: str, embedding_ND: np.ndarray, profiles: WellProfiles, config: BatchEffectsConfig
) -> CorrectedResult:
    rows = profiles.treated
    labelled = profiles.labelled
    columns: dict[str, Any] = {key: values[rows] for key, values in profiles.names.items()}
    label = columns[schema.TREATMENT] if labelled else np.full(int(rows.sum()), "")
    settings = config.metrics if labelled else _label_free(config.metrics)
    found = batch_effect_metrics(
        embedding_ND[rows],
        label,
        columns[schema.EXPERIMENT],
        cell_type_N=columns[schema.CELL_TYPE],
        plate_N=columns[schema.PLATE_ID],
        position_N=columns[schema.WELL],
        config=settings,
    )
    cards = batch_cards(
        embedding_ND[rows],
        label if labelled else None,
        columns[schema.EXPERIMENT],
        columns[schema.CELL_TYPE],
        settings,
    )
    return CorrectedResult(
        correction,
        # How long a metric took is no part of what was found: a rerun writes the same bytes.
        tuple(dataclasses.replace(row, seconds=0.0) for row in found.rows),
        cards,
        found.labels,
        found.variance,
    )


def _label_free(config: BatchEffectConfig) -> BatchEffectConfig:
    kept = tuple(name for name in config.metrics if name in LABEL_FREE)
    return dataclasses.replace(config, metrics=kept)
