"""The real pipeline, end to end, on a tiny simulated screen."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.outcome import NodeEvent, RunResult
from trainer import schema
from trainer.bundle import load_bundle
from trainer.manifest import read_manifest
from trainer.predictions import read_rows
from trainer.strict import to_mapping

pytestmark = pytest.mark.e2e

STEPS = [
    "PlateExampleGen",
    "PlateLeakAudit",
    "PlateTransform",
    "PlateTrainer",
    "PlatePredictor",
    "BatchEffectEvaluator",
    "PlateEvaluator",
    "PlatePusher",
    "PlateReport",
]


def ended(events: list[NodeEvent]) -> dict[str, str]:
    """Component -> how it ended."""
    return {event.node_id: event.state for event in events if event.state != "started"}


def tree_digest(folder: str | Path) -> dict[str, str]:
    """Relative path -> digest of every file."""
    base = Path(folder)
    return {
        str(path.relative_to(base)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(base.rglob("*"))
        if path.is_file()
    }


def rerun(training) -> tuple[RunResult, dict[str, str]]:
    training.events.clear()
    result = training.run()
    return result, ended(training.events)


def test_every_step_ran_and_left_what_it_promises(finished) -> None:
    training, result = finished
    assert list(ended(training.events)) == STEPS
    assert set(ended(training.events).values()) == {"run"}
    manifest = read_manifest(result.uri("PlateExampleGen", "examples"))
    assert {"train", "eval"} <= set(manifest.splits())
    rows = read_rows(result.uri("PlatePredictor", "predictions"))
    sites = rows[schema.LEVEL] == schema.LEVEL_SITE
    assert sites.sum() == sum(shard.n_records for shard in manifest.shards)
    np.testing.assert_allclose(rows[schema.PROBABILITIES].sum(axis=1), 1.0, atol=1e-4)
    report = Path(result.uri("PlateReport", "report"))
    assert (report / "report.html").stat().st_size > 0
    json.loads((report / "metrics.json").read_text())


def test_blessed_model_is_pushed_whole(finished) -> None:
    training, result = finished
    blessing = Path(result.uri("PlateEvaluator", "blessing"))
    assert (blessing / "BLESSED").exists()
    (version,) = (training.folder / "pushed").iterdir()
    model = Path(result.uri("PlateTrainer", "model")) / "Format-Serving"
    pushed, trained = tree_digest(version), tree_digest(model)
    assert {name: pushed.get(name) for name in trained} == trained
    fitted = {name.split("/")[1] for name in pushed.keys() - trained.keys()}
    assert fitted == {"calibration.json", "corrections"}


def test_rerun_takes_everything_from_the_cache(finished) -> None:
    training, first = finished
    result, states = rerun(training)
    assert states == dict.fromkeys(STEPS, "cached")
    assert result.uri("PlateTrainer", "model") == first.uri("PlateTrainer", "model")
    assert len(list((training.folder / "pushed").iterdir())) == 1


def test_changed_code_runs_again_from_there(finished, monkeypatch) -> None:
    import pipelines.training

    real = pipelines.training.code_digest
    changed = "components.evaluator.component"
    monkeypatch.setattr(
        pipelines.training, "code_digest", lambda name: real(name) + "x" * (name == changed)
    )
    training, _ = finished
    _, states = rerun(training)
    upstream = STEPS[: STEPS.index("PlateEvaluator")]
    assert [step for step in STEPS if states[step] == "cached"] == upstream


def test_lost_shard_is_written_again_bit_for_bit(make_training, finished) -> None:
    """And training is not repeated: the same data give the checkpoint that is there."""
    training, first = finished
    examples = first.uri("PlateExampleGen", "examples")
    before = tree_digest(examples), tree_digest(first.uri("PlateTransform", "transform_graph"))
    rows = read_rows(first.uri("PlatePredictor", "predictions"))
    shard = read_manifest(examples).shards[0]
    (Path(examples) / shard.name).unlink()
    result, states = rerun(training)
    assert [item.uri for item in result.distrusted] == [examples]
    assert states["PlateExampleGen"] == "run"
    after = (
        tree_digest(result.uri("PlateExampleGen", "examples")),
        tree_digest(result.uri("PlateTransform", "transform_graph")),
    )
    assert after == before
    again = read_rows(result.uri("PlatePredictor", "predictions"))
    np.testing.assert_array_equal(rows[schema.PROBABILITIES], again[schema.PROBABILITIES])


def test_another_way_to_predict_is_no_reason_to_train(make_training: Callable, finished) -> None:
    """And the model knows of it, for scoring reads plates as the model says."""
    first, _ = finished
    predict = to_mapping(first.config.training.predict) | {"adapt_batch_norm": False}
    plain = to_mapping(first.config.training) | {"predict": predict}
    training = make_training("first", training=plain)
    folders = set((training.folder / "checkpoints").iterdir())
    result = training.run()
    assert set((training.folder / "checkpoints").iterdir()) == folders
    model = Path(result.uri("PlateTrainer", "model")) / "Format-Serving"
    assert not load_bundle(str(model)).config.predict.adapt_batch_norm
    assert result.nodes["PlatePredictor"].state == "run"


def test_failed_gate_neither_blesses_nor_pushes(make_training: Callable, finished) -> None:
    strict = {"min_accuracy_per_well": 1.0, "min_accuracy_worst_experiment": 1.0}
    training = make_training("first", evaluation=strict)
    versions = len(list((training.folder / "pushed").iterdir()))
    result = training.run()
    blessing = Path(result.uri("PlateEvaluator", "blessing"))
    assert not (blessing / "BLESSED").exists()
    assert len(list((training.folder / "pushed").iterdir())) == versions


def test_lost_push_is_pushed_again(finished) -> None:
    training, _ = finished
    training.run()
    for version in (training.folder / "pushed").iterdir():
        shutil.rmtree(version)
    _, states = rerun(training)
    assert states["PlateTrainer"] == "cached"
    assert states["PlatePusher"] == "run"
    assert len(list((training.folder / "pushed").iterdir())) == 1


def test_scoring_gives_what_training_gave_bit_for_bit(
    finished: tuple, screen: Path, settings: Callable, tmp_path: Path
) -> None:
    from pipelines.config import from_mapping
    from pipelines.local import run_local
    from pipelines.model_folder import find_model, model_digest
    from pipelines.scoring import create_pipeline

    def found(folder: Path) -> tuple[str, str]:
        model = find_model(str(folder))
        return str(model), model_digest(model)

    training, first = finished
    rows = read_rows(first.uri("PlatePredictor", "predictions"), ["train"])
    experiment = str(rows[schema.EXPERIMENT][0])
    shutil.copytree(screen / "images" / experiment, tmp_path / "new" / "images" / experiment)
    config = from_mapping(settings(tmp_path, "score", screen={"root": str(tmp_path / "new")}))
    pipeline = create_pipeline(config, *found(training.folder))
    result = run_local(pipeline, Path(config.run.folder))
    scored = read_rows(result.uri("PlatePredictor", "predictions"), ["score"])
    here = rows[schema.EXPERIMENT] == experiment
    for key in (schema.SITE_ID, schema.LEVEL, schema.PROBABILITIES, schema.EMBEDDING):
        np.testing.assert_array_equal(rows[key][here], scored[key])
    assert (scored[schema.LABEL] == schema.LABEL_UNKNOWN).all()
    report = Path(result.uri("PlateReport", "report"))
    assert {"report.html", "predictions_sites.csv"} <= {path.name for path in report.iterdir()}
    wells = pd.read_parquet(report / "predictions_wells.parquet")
    fitted = find_model(str(training.folder)) / "platewise/calibration.json"
    calibration = json.loads(fitted.read_text())
    pooled = scored[schema.PROBABILITIES][scored[schema.LEVEL] == schema.LEVEL_WELL]
    powers = pooled.astype(np.float64) ** (1 / calibration["temperature"])
    expected = (powers / powers.sum(axis=1, keepdims=True)).max(axis=1)
    np.testing.assert_allclose(wells["calibrated_probability"], expected, rtol=1e-5)
    then = pd.read_parquet(
        Path(first.uri("BatchEffectEvaluator", "batch_effects")) / "embeddings_centring.parquet"
    )
    now = pd.read_parquet(report / "embeddings_centring.parquet")
    then = then[then[schema.EXPERIMENT] == experiment]
    assert then[schema.WELL].tolist() == now[schema.WELL].tolist()
    np.testing.assert_allclose(
        np.stack(now[schema.EMBEDDING]), np.stack(then[schema.EMBEDDING]), atol=1e-6
    )
    assert not np.allclose(np.stack(now[schema.EMBEDDING]), 0)

    again = run_local(create_pipeline(config, *found(training.folder)), Path(config.run.folder))
    assert {o.state for o in again.nodes.values()} == {"cached"}
