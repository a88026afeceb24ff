"""How Beam runs the data components, target by target."""

from __future__ import annotations

import os
from typing import Literal

from pipelines.config import BeamConfig

#: Where a pipeline runs.
Target = Literal["local"]

_MOST_WORKERS = 8


def beam_args(config: BeamConfig, target: Target) -> list[str]:
    """Beam pipeline options for every Beam component of a pipeline."""
    assert target == "local", target
    workers = config.workers or min(_MOST_WORKERS, len(os.sched_getaffinity(0)))
    mode = config.mode if workers > 1 else "in_memory"
    return [
        # Named, because the default runner first tries to download another one.
        "--runner=FnApiRunner",
        f"--direct_num_workers={workers}",
        f"--direct_running_mode={mode}",
        # Unused here; without one of Beam's packaging options TFX packs itself up anew for
        # every component, which takes seconds.
        "--sdk_container_image=unused",
        *config.extra_args,
    ]
