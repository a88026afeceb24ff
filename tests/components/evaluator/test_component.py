"""PlateEvaluator in a real local run, where the next step reads its blessing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.beam_options import IN_PROCESS
from components.evaluator.config import EvaluationConfig
from components.evaluator.results import read_evaluation


def run(predictions: Path, folder: Path, config: EvaluationConfig) -> Path:
    """One local run of Evaluator and Pusher; returns the folder that Pusher fills."""
    from tfx.components import Pusher
    from tfx.dsl.components.common.importer import Importer
    from tfx.orchestration import metadata
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner
    from tfx.orchestration.pipeline import Pipeline
    from tfx.proto import pusher_pb2
    from tfx.types import standard_artifacts

    from components.evaluator.component import PlateEvaluator

    model_dir = folder / "model" / "Format-Serving"
    model_dir.mkdir(parents=True)
    (model_dir / "saved_model.pb").write_bytes(b"never loaded")
    rows = Importer(
        source_uri=str(predictions),
        artifact_type=standard_artifacts.Examples,
        properties={"split_names": '["eval"]'},
    ).with_id("Predictions")
    model = Importer(
        source_uri=str(folder / "model"), artifact_type=standard_artifacts.Model
    ).with_id("Model")
    evaluator = PlateEvaluator(
        predictions=rows.outputs["result"], model=model.outputs["result"], config=config
    )
    pushed = folder / "pushed"
    pusher = Pusher(
        model=model.outputs["result"],
        model_blessing=evaluator.outputs["blessing"],
        push_destination=pusher_pb2.PushDestination(
            filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=str(pushed))
        ),
    )
    LocalDagRunner().run(
        Pipeline(
            pipeline_name="evaluation",
            pipeline_root=str(folder),
            components=[rows, model, evaluator, pusher],
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
    return pushed


@pytest.mark.slow
@pytest.mark.parametrize(("share_right", "blessed"), [(0.9, True), (0.1, False)])
def test_a_model_is_pushed_only_when_blessed(
    made: Any, write_predictions: Any, tmp_path: Path, share_right: float, blessed: bool
) -> None:
    predictions = tmp_path / "predictions"
    write_predictions(predictions, made({"HUVEC-18": 0.9, "RPE-08": share_right}))
    pushed = run(predictions, tmp_path / "run", EvaluationConfig(slices=()))
    (evaluation,) = (tmp_path / "run" / "PlateEvaluator" / "evaluation").iterdir()
    found = read_evaluation(str(evaluation))
    assert found.blessed is blessed
    assert [reason.split(":")[0] for reason in found.reasons] == (
        [] if blessed else ["experiment RPE-08"]
    )
    assert bool(list(pushed.rglob("saved_model.pb"))) is blessed
