"""One arm with one seed: train, predict, score, remember."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from components.digest import code_digest
from pipelines.sweeps.plan import Arm, Experiment, configuration
from pipelines.sweeps.prepare import Data, Tell, prepare
from trainer import schema
from trainer.strict import digest, to_mapping

RESULT_NAME = "result.json"
#: What an arm's numbers are made by, but this package.
_CODE = (
    "components.plate_example_gen.component",
    "components.normaliser.component",
    "trainer.train",
    "trainer.predict_examples",
    "trainer.corrections",
    "trainer.simulation",
)


def result_path(out: Path, experiment: Experiment, arm: Arm, seed: int) -> Path:
    """Where the result stands; the name follows from all that decides it."""
    config = configuration(experiment, arm, seed)
    decides = [
        to_mapping(config.simulation),
        to_mapping(config.normalizer),
        to_mapping(config.training),
        to_mapping(config.splits),
        arm.correction,
        dict(arm.predict_on),
        code_digest(*_CODE),  # an edit of what makes a number makes it anew
    ]
    return (
        out / "results" / f"{arm.name.replace(' ', '_')}-seed{seed}-{digest(decides)}" / RESULT_NAME
    )


def read_result(path: Path) -> dict[str, Any] | None:
    """A finished arm's numbers; None where it has to be run."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_text("utf-8"))
        return found if isinstance(found, dict) and "metrics" in found else None
    return None


def run_arm(
    experiment: Experiment, arm: Arm, seed: int, out: Path, processes: int, tell: Tell
) -> dict[str, Any]:
    """Run one arm, or take what it left behind; returns its numbers.

    Training goes through checkpoints in a folder that all arms share: two arms that differ only
    after training train once, and a run that was killed goes on.

    Raises
    ------
    PlatewiseError
        A step failed.
    """
    path = result_path(out, experiment, arm, seed)
    if (done := read_result(path)) is not None:
        return done
    config = configuration(experiment, arm, seed)
    data = prepare(config, out, processes, tell)
    predicted = data
    if arm.predict_on:
        other = configuration(experiment, arm, seed, predicted=True)
        predicted = prepare(other, out, processes, tell)
    from trainer.bundle import load_bundle
    from trainer.predict_examples import predict_examples
    from trainer.predictions import read_rows
    from trainer.train import train

    def progress(update: Any) -> None:
        tell(f"train, epoch {update.epoch}/{update.n_epochs}, {update.sites_per_s:.0f} sites/s")

    path.parent.mkdir(parents=True, exist_ok=True)
    trained_dir = tempfile.mkdtemp(prefix="trained-", dir=path.parent)
    rows_dir = tempfile.mkdtemp(prefix="rows-", dir=path.parent)
    try:
        tell("train")
        trained = train(
            data.examples,
            data.transform_graph,
            config.training.trainer(),
            str(out / "checkpoints" / code_digest("trainer.train")),
            trained_dir,
            progress=progress,
        )
        tell("predict")
        predict_examples(
            load_bundle(trained_dir),
            predicted.transform_graph,
            predicted.examples,
            rows_dir,
            splits=(schema.SPLIT_TRAIN, schema.SPLIT_EVAL),
            config=config.training.predict,
        )
        rows = read_rows(rows_dir)
    finally:
        shutil.rmtree(trained_dir, ignore_errors=True)
        shutil.rmtree(rows_dir, ignore_errors=True)
    tell("score")
    return _finish(path, arm, seed, rows, trained, data)


def _finish(path: Path, arm: Arm, seed: int, rows: Any, trained: Any, data: Data) -> dict[str, Any]:
    from pipelines.sweeps.score import score

    # What another arm had trained already took this one no time, which says nothing.
    reused = trained.resumed_at_step > 0
    metrics = score(rows, arm.correction) | {"train_s": None if reused else trained.seconds}
    result = {
        "arm": arm.name,
        "seed": seed,
        "metrics": metrics,
        "finished": time.strftime("%Y-%m-%d", time.gmtime()),
        "examples": os.path.basename(os.path.dirname(data.examples)),
    }
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    temporary.replace(path)
    return result
