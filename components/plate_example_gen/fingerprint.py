"""Fingerprint of a screen's files: TFX keys its cache on parameters and cannot see files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from components.plate_example_gen.config import ScreenConfig
from components.plate_example_gen.storage import open_storage
from components.plate_example_gen.tables import KAGGLE_TABLES, OFFICIAL_TABLE

_IMAGE_SUFFIXES = (".png",)


def screen_fingerprint(config: ScreenConfig, beam_args: Sequence[str] = ()) -> str:
    """Digest of the names, sizes and times of change of a screen's tables and images.

    No file is opened. A file that is touched or replaced changes it; reading does not.

    Returns
    -------
    32 hexadecimal digits.
    """
    storage = open_storage(config.root, beam_args)
    root = config.root.rstrip("/")
    tables = {OFFICIAL_TABLE, *KAGGLE_TABLES, *(config.tables if config.columns else ())}
    suffixes = (*_IMAGE_SUFFIXES, f".{config.path_template.rpartition('.')[2].lower()}")
    digest = hashlib.sha256()
    for path, size, changed in sorted(storage.walk_stats(root)):
        inside = path[len(root) + 1 :]
        if inside in tables or inside.lower().endswith(suffixes):
            digest.update(f"{inside}\0{size}\0{changed}\n".encode())
    return digest.hexdigest()[:32]
