"""Random streams that depend on a name and never on the order of the work."""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Generator for one named thing, such as ``stream(0, "site", "HUVEC-01_1_B02_1")``.

    Whatever process draws from it, and whenever, gets the same numbers.
    """
    text = "\x1f".join([str(seed), *map(str, names)])
    words = np.frombuffer(hashlib.sha256(text.encode()).digest(), dtype="<u4")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([int(w) for w in words])))
