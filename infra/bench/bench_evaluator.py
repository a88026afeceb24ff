"""The Evaluator on prediction rows of 51 experiments and 204 plates.

Ours as it ships: three metrics and their intervals, site and well rows, sliced by experiment
and by plate. Peer: TFX's Evaluator with TFMA's Keras accuracy on the same rows and slices,
without intervals. What a run of a few rows takes is subtracted.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from timing import BenchRow, seconds

N_CLASSES = 50
N_EXPERIMENTS = 51
PLATES_PER_EXPERIMENT = 4
SITES_PER_PLATE = 20
DEMAND_MS = 1.0


def rows(repetitions: int) -> list[BenchRow]:
    """Milliseconds a row of both ways, interleaved, fixed cost subtracted."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        few = _write_rows(root / "few", n_experiments=1)
        many = _write_rows(root / "many", n_experiments=N_EXPERIMENTS)

        def ms_a_row(peer: bool) -> float:
            short, long = (
                seconds(lambda at=at: _evaluate(at[0], root, peer)) for at in (few, many)
            )
            return 1e3 * (long - short) / (many[1] - few[1])

        _evaluate(few[0], root, peer=False)  # imports
        _evaluate(few[0], root, peer=True)
        pairs = [(ms_a_row(peer=False), ms_a_row(peer=True)) for _ in range(repetitions)]
    ours = statistics.median(a for a, _ in pairs)
    peer = statistics.median(b for _, b in pairs)
    return [
        BenchRow(
            "Evaluator, 51 + 204 slices",
            "TFMA, Keras accuracy",
            ours,
            peer,
            "ms a row",
            statistics.median(b / a for a, b in pairs),
            f"<= {DEMAND_MS} ms",
            ours <= DEMAND_MS,
        )
    ]


def custom_eval_shared_model(**_: Any) -> None:
    """The peer's module: predictions lie in the rows, there is no model to run."""


def custom_extractors(eval_shared_model: Any, eval_config: Any, **_: Any) -> list[Any]:
    """The peer's module: TFMA's own extractors, in their usual order."""
    from tensorflow_model_analysis import extractors as tfma

    return [
        tfma.FeaturesExtractor(eval_config),
        tfma.LabelsExtractor(eval_config),
        tfma.ExampleWeightsExtractor(eval_config),
        tfma.PredictionsExtractor(eval_config, eval_shared_model),
        tfma.UnbatchExtractor(),
        tfma.SliceKeyExtractor(eval_config=eval_config, materialize=False),
    ]


def _evaluate(predictions_dir: Path, root: Path, peer: bool) -> None:
    from tfx.components.evaluator.executor import Executor
    from tfx.dsl.components.base import base_beam_executor
    from tfx.types import artifact_utils, standard_artifacts
    from tfx.utils import proto_utils

    from components.evaluator.config import EvaluationConfig
    from components.evaluator.executor import CONFIG_KEY, PlateEvaluatorExecutor
    from trainer.strict import to_mapping

    out = Path(tempfile.mkdtemp(dir=root))

    def artifact(kind: type, uri: Path) -> Any:
        made = kind()
        made.uri = str(uri)
        uri.mkdir(exist_ok=True)
        return made

    context = base_beam_executor.BaseBeamExecutor.Context(
        beam_pipeline_args=["--runner=FnApiRunner"], tmp_dir=str(out / "tmp"), unique_id="1"
    )
    examples = artifact(standard_artifacts.Examples, predictions_dir)
    examples.split_names = artifact_utils.encode_split_names(["eval"])
    inputs = {"examples": [examples], "model": [artifact(standard_artifacts.Model, out / "m")]}
    outputs = {
        "evaluation": [artifact(standard_artifacts.ModelEvaluation, out / "evaluation")],
        "blessing": [artifact(standard_artifacts.ModelBlessing, out / "blessing")],
    }
    if peer:
        config = proto_utils.proto_to_json(_peer_config())
        properties = {"eval_config": config, "module_path": __name__}
        Executor(context).Do(inputs, outputs, properties)
    else:
        config = to_mapping(EvaluationConfig(slices=("experiment", "plate_id")))
        PlateEvaluatorExecutor(context).Do(inputs, outputs, {CONFIG_KEY: json.dumps(config)})


def _peer_config() -> Any:
    import tensorflow_model_analysis as tfma

    bound = tfma.MetricThreshold(value_threshold={"lower_bound": {"value": 0.0}})
    metrics = [
        tfma.MetricConfig(class_name="ExampleCount"),
        tfma.MetricConfig(class_name="SparseCategoricalAccuracy", threshold=bound),
    ]
    columns = (["level"], ["level", "experiment"], ["level", "plate_id"])
    return tfma.EvalConfig(
        model_specs=[tfma.ModelSpec(label_key="label", prediction_key="probabilities")],
        metrics_specs=[tfma.MetricsSpec(metrics=metrics)],
        slicing_specs=[tfma.SlicingSpec(feature_keys=keys) for keys in columns],
    )


def _write_rows(folder: Path, n_experiments: int) -> tuple[Path, int]:
    from trainer import schema
    from trainer.manifest import Manifest, write_manifest
    from trainer.predictions import SPLIT, join, well_rows, write_plate

    rng = np.random.default_rng(0)
    shards = []
    n = SITES_PER_PLATE
    for experiment in (f"HUVEC-{i:02d}" for i in range(n_experiments)):
        for plate in range(1, PLATES_PER_EXPERIMENT + 1):
            plate_id = schema.plate_id(experiment, plate)
            wells = [f"{plate_id}_B{i // 2:02d}" for i in range(n)]
            text = {
                schema.SITE_ID: [f"{well}_{i % 2 + 1}" for i, well in enumerate(wells)],
                schema.WELL_ID: wells,
                schema.WELL: [well[-3:] for well in wells],
                schema.EXPERIMENT: [experiment] * n,
                schema.PLATE_ID: [plate_id] * n,
                schema.CELL_TYPE: ["HUVEC"] * n,
                schema.WELL_TYPE: [schema.WELL_TREATMENT] * n,
                schema.TREATMENT: ["1"] * n,
                schema.LEVEL: [schema.LEVEL_SITE] * n,
                SPLIT: ["eval"] * n,
            }
            sites = {key: np.array(values, object) for key, values in text.items()}
            sites[schema.SITE] = np.tile([1, 2], n // 2)
            sites[schema.LABEL] = np.repeat(rng.integers(0, N_CLASSES, n // 2), 2)
            sites[schema.PLATE_KNOWN] = sites[schema.N_SITES] = np.ones(n, np.int64)
            probabilities = rng.dirichlet(np.ones(N_CLASSES), n)
            sites[schema.PROBABILITIES] = probabilities.astype(np.float32)
            sites[schema.EMBEDDING] = rng.normal(size=(n, 64)).astype(np.float32)
            for key in ("psnr_noisy_db", "psnr_denoised_db", "ssim_noisy", "ssim_denoised"):
                sites[key] = np.full((n, 6), np.nan, np.float32)
            both = join([sites, well_rows(sites)])
            shards.append(write_plate(str(folder), "eval", plate_id, both))
    classes = tuple(str(k) for k in range(N_CLASSES))
    write_manifest(str(folder), Manifest(tuple(shards), 6, 64, 64, classes=classes))
    return folder, sum(shard.n_records for shard in shards)
