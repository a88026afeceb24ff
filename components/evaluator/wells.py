"""What TFMA cannot slice: whole plates and whole experiments of well rows.

The ladder needs a plate at once, calibration the experiments beside it. Both are computed by the
trainer's functions; here rows are read plate by plate and what is found is written beside the
evaluation. Of RxRx1's 18 held-out experiments 100 MB of probabilities are kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from trainer import schema
from trainer.manifest import Manifest
from trainer.metrics import calibrated, ladder
from trainer.metrics.calibrated import Calibration, WellTable
from trainer.metrics.calibration import filled
from trainer.metrics.ladder import Ladder, LadderCounter
from trainer.metrics.layout import Layout, learn_layout
from trainer.predictions import Columns, read_plates, select

LADDER_FILE, CALIBRATION_FILE = "ladder.json", "calibration.json"


@dataclass(frozen=True)
class WellMeasures:
    """Measures of whole plates; None where a file of an earlier version has none."""

    ladder: Ladder | None = None
    calibration: Calibration | None = None
    #: Mean over held-out sites and channels, under the protocol's noise; None if not measured.
    #: It is not in the files: the verdict holds it.
    psnr_gain_db: float | None = None


def measure_wells(folder: str, manifest: Manifest) -> WellMeasures:
    """Climb the ladder and measure calibration on the split ``eval``.

    Parameters
    ----------
    folder
        Folder of predictions.
    manifest
        Its manifest.

    Raises
    ------
    PlatewiseError
        Damaged predictions.
    """
    counter = LadderCounter(_layout(folder, manifest))
    kept: list[Columns] = []
    gains: list[np.ndarray] = []
    for plate in _judged(folder, manifest, schema.SPLIT_EVAL):
        level = plate[schema.LEVEL].astype(str)
        gains.append(_gains(plate))
        sites = select(plate, level == schema.LEVEL_SITE)
        wells = select(plate, level == schema.LEVEL_WELL)
        if not len(wells[schema.LABEL]):
            continue
        counter.add(
            str(wells[schema.EXPERIMENT][0]),
            str(wells[schema.PLATE_ID][0]),
            sites[schema.PROBABILITIES],
            sites[schema.LABEL],
            sites[schema.WELL_ID],
            wells[schema.PROBABILITIES],
            wells[schema.LABEL],
        )
        kept.append(_slim(wells))
    held_out = _table(kept, len(manifest.classes))
    apart = None
    if len(set(held_out.experiment_N.tolist())) < 2:
        apart = _table(
            [
                _slim(select(plate, plate[schema.LEVEL].astype(str) == schema.LEVEL_WELL))
                for plate in _judged(folder, manifest, schema.SPLIT_IN_DISTRIBUTION)
            ],
            len(manifest.classes),
        )
    found = calibrated.calibration(held_out, apart, schema.SPLIT_IN_DISTRIBUTION)
    gain = np.concatenate(gains) if gains else np.zeros(0)
    return WellMeasures(counter.result(), found, float(gain.mean()) if gain.size else None)


def to_files(measures: WellMeasures) -> dict[str, str]:
    """File name -> text of what was measured."""
    parts = {LADDER_FILE: measures.ladder, CALIBRATION_FILE: measures.calibration}
    return {
        name: json.dumps(part.plain(), indent=1, sort_keys=True) + "\n"
        for name, part in parts.items()
        if part is not None
    }


def read_wells(uri: str) -> WellMeasures:
    """What was written beside an evaluation; empty where an earlier version wrote it.

    Raises
    ------
    ValueError
        A file that is not whole.
    """
    found = {name: _plain(f"{uri.rstrip('/')}/{name}") for name in (LADDER_FILE, CALIBRATION_FILE)}
    climbed, calibration = found[LADDER_FILE], found[CALIBRATION_FILE]
    return WellMeasures(
        None if climbed is None else ladder.from_plain(climbed),
        None if calibration is None else calibrated.from_plain(calibration),
    )


def _plain(path: str) -> dict | None:
    import tensorflow as tf

    if not tf.io.gfile.exists(path):
        return None
    with tf.io.gfile.GFile(path) as stream:
        plain: dict = json.loads(stream.read())
    return plain


def _layout(folder: str, manifest: Manifest) -> Layout | None:
    """What the training plates' layout tells; their predictions are not looked at."""
    plates = (
        (
            (str(plate[schema.EXPERIMENT][0]), str(plate[schema.PLATE_ID][0])),
            plate[schema.LABEL][plate[schema.LEVEL].astype(str) == schema.LEVEL_WELL],
        )
        for plate in _judged(folder, manifest, schema.SPLIT_TRAIN)
        if len(plate[schema.LABEL])
    )
    return learn_layout(plates, len(manifest.classes))


def _judged(folder: str, manifest: Manifest, split: str) -> Iterator[Columns]:
    """Treatment wells with a known label, and their sites, plate by plate."""
    if not manifest.of_split(split):
        return
    for plate in read_plates(folder, [split]):
        treated = plate[schema.WELL_TYPE].astype(str) == schema.WELL_TREATMENT
        yield select(plate, treated & (plate[schema.LABEL] >= 0))


def _slim(wells: Columns) -> Columns:
    keys = (schema.LABEL, schema.EXPERIMENT, schema.PLATE_ID)
    return {key: wells[key] for key in keys} | {
        schema.PROBABILITIES: filled(wells[schema.PROBABILITIES]).astype(np.float32)
    }


def _gains(plate: Columns) -> np.ndarray:
    """PSNR gains in dB of the measured sites and channels."""
    gain = plate[schema.PSNR_DENOISED] - plate[schema.PSNR_NOISY]
    return gain[np.isfinite(gain)].astype(np.float64)


def _table(parts: list[Columns], n_classes: int) -> WellTable:
    def column(key: str, empty: np.ndarray) -> np.ndarray:
        return np.concatenate([empty, *(part[key] for part in parts)])

    return WellTable(
        column(schema.PROBABILITIES, np.zeros((0, n_classes), np.float32)),
        column(schema.LABEL, np.zeros(0, np.int64)),
        column(schema.EXPERIMENT, np.zeros(0, object)),
        column(schema.PLATE_ID, np.zeros(0, object)),
    )
