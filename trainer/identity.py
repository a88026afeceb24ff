"""What makes two training runs the same run.

A rerun of the pipeline gets a new output folder, so checkpoints live in a folder named by
the digest of everything that decides the result: configuration, data, normaliser, code and
the libraries that compute.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from trainer.config import TrainerConfig
from trainer.denoising.saved import weights_digest
from trainer.manifest import Shard
from trainer.strict import digest, to_mapping
from trainer.transform_graph import FittedNormaliser

#: Settings that change when and where things are written, but not the weights.
_WITHOUT_EFFECT = {
    "loop": (
        "tpu_address",
        "checkpoint_every_s",
        "checkpoint_every_steps",
        "keep_checkpoints",
        "log_every_s",
    ),
    "data": ("cache_in_memory",),
}

#: Code that decides the weights; an edit must not resume from, or return, what was there.
_CODE = (
    "adversary.py",
    "align.py",
    "augment.py",
    "average.py",
    "compose.py",
    "data.py",
    "domains.py",
    "geometry.py",
    "hosts.py",
    "loop.py",
    "losses.py",
    "margin.py",
    "models/*.py",
    "neighbour_pairs.py",
    "noise.py",
    "normalize.py",
    "progressive.py",
    "representation.py",
    "scan.py",
    "schedule.py",
    "shuffled.py",
    "step.py",
    "train.py",
)


def run_digest(
    config: TrainerConfig, shards: tuple[Shard, ...], normaliser: FittedNormaliser
) -> str:
    """Name of the checkpoint folder, 16 hexadecimal digits."""
    import keras
    import tensorflow as tf

    data = [(shard.plate_id, shard.name, shard.n_records, shard.crc32c) for shard in shards]
    fitted = hashlib.sha256(normaliser.to_json().encode()).hexdigest()
    libraries = (keras.__version__, tf.__version__)
    start = config.denoiser_stage.start
    weights = [weights_digest(start)] if start else []
    return digest(_deciding(config), data, fitted, code_digest(), libraries, *weights)


def code_digest() -> str:
    """Digest of the sources that decide the weights."""
    here = Path(__file__).parent
    found = hashlib.sha256()
    for pattern in _CODE:
        for path in sorted(here.glob(pattern)):
            found.update(path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]


def _deciding(config: TrainerConfig) -> dict[str, Any]:
    plain = to_mapping(config)
    del plain["predict"]
    for section, names in _WITHOUT_EFFECT.items():
        for name in names:
            del plain[section][name]
    return plain
