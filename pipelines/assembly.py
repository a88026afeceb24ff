"""What the pipelines share: where they write, what they remember, how Beam runs them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Literal

from tfx.orchestration import metadata
from tfx.orchestration.pipeline import Pipeline

from pipelines.config import BeamConfig, PlatewiseConfig
from pipelines.local import artifacts_dir, metadata_path
from trainer.strict import to_mapping

#: Where a pipeline runs.
Target = Literal["local"]

_MOST_WORKERS = 8


def assemble(name: str, config: PlatewiseConfig, steps: list[Any], target: Target) -> Pipeline:
    """Put steps together: where they write, what they remember, how Beam runs."""
    folder = Path(config.run.folder)
    folder.mkdir(parents=True, exist_ok=True)
    return Pipeline(
        pipeline_name=name,
        pipeline_root=str(artifacts_dir(folder)),
        components=steps,
        enable_cache=config.run.cache,
        beam_pipeline_args=beam_args(config.beam, target),
        metadata_connection_config=metadata.sqlite_metadata_connection_config(
            str(metadata_path(folder))
        ),
    )


def absolute(path: str) -> str:
    """A local path made absolute, for artifacts outlive the current directory; gs:// as it is."""
    return path if "://" in path else str(Path(path).absolute())


def as_json(config: PlatewiseConfig) -> str:
    """The configuration as the page shows it."""
    return json.dumps(to_mapping(config), sort_keys=True)


def beam_args(config: BeamConfig, target: Target) -> list[Any]:
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
