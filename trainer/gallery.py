"""A few example images beside the predictions: clean, noisy and denoised, one site an
experiment. Small PNGs, for a person to look at; nothing is computed from them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.manifest import Manifest
from trainer.metrics.image import psnr_db
from trainer.plates import plates_of, read_plate
from trainer.predict import Predictor

INDEX = "index.json"
_CROP_PX = 128
#: Contrast is stretched between these percentiles of the clean channel.
_STRETCH_PERCENT = (1.0, 99.8)


def write_gallery(
    predictor: Predictor,
    examples_dir: str,
    manifest: Manifest,
    splits: Sequence[str],
    out_dir: str,
) -> list[dict[str, Any]]:
    """Write one site of each experiment, and ``index.json``.

    Each PNG shows the channels side by side, every channel stretched as its clean image is.

    Parameters
    ----------
    predictor
        Its model must have a denoiser, or nothing but an empty index is written.
    examples_dir, manifest
        Examples that were verified.
    splits
        From which sites are taken.
    out_dir
        Local folder.

    Returns
    -------
    list
        The entries of the index: experiment, split, site_id, PSNR (mean over channels, dB, on
        the shown site) and the names of the three files.
    """
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, Any]] = []
    shown: set[str] = set()
    for split in splits if predictor.bundle.config.model.denoiser else ():
        for _, shards in plates_of(manifest, split):
            experiment = shards[0].experiment
            if experiment not in shown:
                shown.add(experiment)
                entries.append(
                    {"experiment": experiment, "split": split}
                    | _write_site(predictor, examples_dir, manifest, shards, folder)
                )
    (folder / INDEX).write_text(json.dumps(entries, indent=1) + "\n")
    return entries


def _write_site(
    predictor: Predictor, examples_dir: str, manifest: Manifest, shards: Sequence, folder: Path
) -> dict[str, Any]:
    plate = read_plate(examples_dir, manifest, shards)
    site_id = plate.site_ids[0]
    clean, noisy, denoised = (image[:1] for image in predictor.protocol_images(plate, 0))
    low_C, high_C = np.percentile(clean, _STRETCH_PERCENT, axis=(0, 1, 2))
    entry: dict[str, Any] = {
        "site_id": site_id,
        "psnr_noisy_db": round(float(psnr_db(clean, noisy).mean()), 3),
        "psnr_denoised_db": round(float(psnr_db(clean, denoised).mean()), 3),
    }
    for name, image in (("clean", clean), ("noisy", noisy), ("denoised", denoised)):
        stretched = (image[0] - low_C) / np.maximum(high_C - low_C, 1.0)
        grey_HWC = np.clip(np.round(255.0 * stretched), 0, 255).astype(np.uint8)
        entry[name] = f"{site_id}_{name}.png"
        strip_HW = np.concatenate(list(grey_HWC[:_CROP_PX, :_CROP_PX].transpose(2, 0, 1)), axis=1)
        png = tf.io.encode_png(strip_HW[..., None]).numpy()
        (folder / entry[name]).write_bytes(png)
    return entry
