"""Sites as RxRx1 has them, and the trainer's feed over a few plates of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from trainer.config import DataConfig
    from trainer.data import PlateFeed

SIZE_PX = 512
N_CHANNELS = 6


def write_feed(
    folder: Path, images: list[np.ndarray], n_plates: int, sites_per_plate: int, config: DataConfig
) -> PlateFeed:
    """Write plates of these images, in turn, as records; all of one class, normalised by 1."""
    from trainer.data import PlateFeed, PlateRecords
    from trainer.manifest import Manifest
    from trainer.records import SiteIdentity, encode_site, frame

    plates = []
    for plate in (f"HUVEC-01_{p + 1}" for p in range(n_plates)):
        path = folder / f"{plate}-00000-of-00001"
        with open(path, "wb") as stream:
            for s in range(sites_per_plate):
                identity = SiteIdentity(
                    "HUVEC-01", plate, f"B{s:02d}", 1, "HUVEC", "treatment", "1"
                )
                stream.write(frame(encode_site(identity, images[s % len(images)])))
        labels = np.zeros(sites_per_plate, np.int64)
        center_NC = np.ones((sites_per_plate, N_CHANNELS), np.float32)
        plates.append(PlateRecords(plate, (str(path),), labels, center_NC, center_NC))
    return PlateFeed(plates, Manifest((), N_CHANNELS, *images[0].shape[1:]), config, seed=0)


def site_images() -> list[np.ndarray]:
    """A few sites, uint8 [C, H, W]: those under PLATEWISE_REAL_DATA where it is set."""
    real = os.environ.get("PLATEWISE_REAL_DATA")
    found = []
    if real:
        import imagecodecs

        for first in sorted(Path(real).rglob("*_w1.png")):
            paths = [first.with_name(first.name.replace("_w1", f"_w{c + 1}")) for c in range(6)]
            if all(path.exists() for path in paths):
                planes = [imagecodecs.png_decode(path.read_bytes()) for path in paths]
                found.append(np.stack(planes))
    if found:
        return found
    from scipy.ndimage import gaussian_filter

    # Levels, smoothness and noise such that sites take about 600 kB planar, as real ones do.
    rng = np.random.default_rng(0)
    level_C11 = np.array([4.0, 25.0, 17.0, 15.0, 22.0, 13.0])[:, None, None]
    for _ in range(4):
        shared = gaussian_filter(rng.normal(0, 1, (SIZE_PX, SIZE_PX)), 8)
        own = gaussian_filter(rng.normal(0, 1, (N_CHANNELS, SIZE_PX, SIZE_PX)), (0, 8, 8))
        smooth_CHW = (shared + own) / (shared + own).std()
        grey_CHW = level_C11 * np.exp(0.4 * smooth_CHW)
        grey_CHW += 0.17 * np.sqrt(grey_CHW) * rng.normal(size=grey_CHW.shape)
        found.append(np.clip(np.round(grey_CHW), 0, 255).astype(np.uint8))
    return found
