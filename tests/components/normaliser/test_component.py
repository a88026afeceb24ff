"""PlateTransform in a real local run: served from the cache, and rerun when its code changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.beam_options import IN_PROCESS
from trainer.config import NormalizerConfig
from trainer.transform_graph import read_normaliser


def run(screen: Any, schema_dir: Path, folder: Path, config: NormalizerConfig, digest: str) -> int:
    """One local run; returns how many Transform graphs the pipeline root then holds."""
    from tfx.dsl.components.common.importer import Importer
    from tfx.orchestration import metadata
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner
    from tfx.orchestration.pipeline import Pipeline
    from tfx.types import standard_artifacts

    from components.normaliser.component import PlateTransform

    examples = Importer(
        source_uri=str(screen.folder),
        artifact_type=standard_artifacts.Examples,
        properties={"split_names": '["train","eval"]'},
    ).with_id("Examples")
    schema = Importer(source_uri=str(schema_dir), artifact_type=standard_artifacts.Schema).with_id(
        "Schema"
    )
    transform = PlateTransform(
        examples=examples.outputs["result"],
        schema=schema.outputs["result"],
        normalizer=config,
        code_digest=digest,
    )
    LocalDagRunner().run(
        Pipeline(
            pipeline_name="normaliser",
            pipeline_root=str(folder),
            components=[examples, schema, transform],
            enable_cache=True,
            beam_pipeline_args=[
                *IN_PROCESS,
                "--direct_num_workers=2",
                "--direct_running_mode=multi_threading",
            ],
            metadata_connection_config=metadata.sqlite_metadata_connection_config(
                str(folder / "metadata.db")
            ),
        )
    )
    return len(graphs(folder))


def graphs(folder: Path) -> list[Path]:
    return sorted(
        (folder / "PlateTransform" / "transform_graph").iterdir(), key=lambda p: int(p.name)
    )


@pytest.mark.slow
def test_it_runs_once_and_again_when_code_or_configuration_change(
    screen: Any, schema_dir: Path, tmp_path: Path
) -> None:
    config = NormalizerConfig()
    assert run(screen, schema_dir, tmp_path, config, "a") == 1
    assert run(screen, schema_dir, tmp_path, config, "a") == 1  # from the cache
    assert run(screen, schema_dir, tmp_path, config, "b") == 2
    other = NormalizerConfig(method="none")
    assert run(screen, schema_dir, tmp_path, other, "b") == 3
    first, second, third = (read_normaliser(str(path)) for path in graphs(tmp_path))
    assert first.to_json() == second.to_json()
    assert third.config == other
