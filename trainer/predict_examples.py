"""Predictions for a folder of Examples: every plate once, written plate by plate."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer import schema
from trainer.bundle import Bundle
from trainer.config import PredictConfig
from trainer.errors import PlatewiseError
from trainer.gallery import write_gallery
from trainer.manifest import Manifest, Shard, read_manifest, verify, write_manifest
from trainer.plates import plates_of
from trainer.predict import Baseline, Predictor
from trainer.predictions import join, keep_top_k, well_rows, write_plate

#: Folder of example images beside the predictions.
GALLERY = "gallery"
#: Splits that hold nothing the model was trained on.
HELD_OUT = (
    schema.SPLIT_EVAL,
    schema.SPLIT_TEST,
    schema.SPLIT_UNLABELLED,
    schema.SPLIT_SCORE,
)


@dataclass(frozen=True)
class PredictionProgress:
    """How far prediction has come."""

    plate: int
    n_plates: int
    n_sites: int
    sites_per_s: float


def predict_examples(
    bundle: Bundle,
    transform_dir: str,
    examples_dir: str,
    out_dir: str,
    splits: Sequence[str] = (),
    config: PredictConfig | None = None,
    baseline: Baseline | None = None,
    progress: Callable[[PredictionProgress], None] | None = None,
    baseline_everywhere: bool = False,
) -> Manifest:
    """Predict every plate and write site rows, well rows, a manifest and a gallery.

    Parameters
    ----------
    bundle, transform_dir, baseline, baseline_everywhere
        As for :class:`trainer.predict.Predictor`.
    examples_dir
        Verified before it is read.
    out_dir
        Local folder; the manifest is written last.
    splits
        Splits to predict; all where none is named.
    config
        As the model was trained to where not given.
    progress
        Called after each plate.

    Returns
    -------
    Manifest
        Of the predictions: expected sites are those of the Examples.

    Raises
    ------
    PlatewiseError
        An unknown split, damaged Examples, or sites that do not fit the model.
    """
    manifest = read_manifest(examples_dir)
    wanted = tuple(splits) or manifest.splits()
    unknown = set(wanted) - set(manifest.splits())
    if unknown:
        raise PlatewiseError(
            f"{examples_dir} has no split {min(unknown)!r}; it has: {', '.join(manifest.splits())}"
        )
    verify(examples_dir, manifest, wanted)
    predict = config or bundle.config.predict
    predictor = Predictor(bundle, transform_dir, predict, baseline, baseline_everywhere)
    plates = [(split, *plate) for split in wanted for plate in plates_of(manifest, split)]
    written: list[Shard] = []
    n_sites, started_s = 0, time.perf_counter()
    for split, plate_id, shards in plates:
        sites = predictor.predict_plate(examples_dir, manifest, shards)
        rows = join([sites, well_rows(sites)])
        # Not before: the mean over a well's sites is that of all their probabilities.
        for key in (schema.PROBABILITIES, schema.BASELINE_PROBABILITIES):
            if key in rows:
                rows[key] = keep_top_k(rows[key], predictor.config.top_k)
        written.append(write_plate(out_dir, split, plate_id, rows))
        n_sites += len(sites[schema.SITE_ID])
        if progress is not None:
            rate = n_sites / (time.perf_counter() - started_s)
            progress(PredictionProgress(len(written), len(plates), n_sites, rate))
    held_out = [split for split in HELD_OUT if split in wanted]
    write_gallery(predictor, examples_dir, manifest, held_out, str(Path(out_dir) / GALLERY))
    predicted = dataclasses.replace(manifest, shards=tuple(written), classes=bundle.classes)
    Path(out_dir).mkdir(parents=True, exist_ok=True)
    write_manifest(out_dir, predicted)
    return predicted
