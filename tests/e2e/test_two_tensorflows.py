"""Trained under TensorFlow 2.20, as on a TPU; exported and predicted under 2.21, as with TFX.

The other environment is made here, from the lock of the training image, with `uv`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
LOCKS = [ROOT / "infra" / "docker" / name for name in ("trainer.lock", "trainer-cpu.lock")]
PLATE = "HUVEC-03_1"

_spec = importlib.util.spec_from_file_location(
    "trainer_toys", ROOT / "tests" / "trainer" / "conftest.py"
)
assert _spec is not None and _spec.loader is not None
_toys = sys.modules["trainer_toys"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_toys)
make_toy_screen, toy_screen = _toys.make_toy_screen, _toys.toy_screen

#: Predicts a plate in whichever environment it runs, and writes what came out.
_PREDICT = """
import sys
import numpy as np
import keras
import tensorflow as tf
from trainer.bundle import load_bundle
from trainer.config import PredictConfig
from trainer.manifest import read_manifest
from trainer.predict import Predictor
model, transform, examples, plate, out = sys.argv[1:]
manifest = read_manifest(examples)
shards = [s for s in manifest.shards if s.plate_id == plate]
found = {"versions": np.array([tf.__version__, keras.__version__])}
bundle = load_bundle(model)
for i, weight in enumerate(bundle.model.get_weights()):
    found[f"weight_{i}"] = weight
for name, adapt in (("adapted", True), ("plain", False)):
    predictor = Predictor(bundle, transform, PredictConfig(adapt_batch_norm=adapt))
    rows = predictor.predict_plate(examples, manifest, shards)
    for key in ("probabilities", "embedding"):
        found[f"{name}_{key}"] = np.asarray(rows[key])
np.savez(out, **found)
"""


def _run(python: Path | str, arguments: Sequence[str | Path]) -> str:
    done = subprocess.run(
        [str(python), *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def older_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of the training image's packages, without TFX."""
    uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    missing = [path for path in (Path(uv), *LOCKS) if not path.exists()]
    if missing:
        pytest.skip(f"cannot make the other environment: {missing[0]} is not there")
    folder = tmp_path_factory.mktemp("older") / "environment"
    python = folder / "bin" / "python"
    files = [part for lock in LOCKS for part in ("-r", str(lock))]
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
        [uv, "pip", "install", "--quiet", "--python", str(python), "--no-deps", *files],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"cannot make the other environment: {done.stderr.strip()[-500:]}")
    return python


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.e2e
def test_weights_of_tensorflow_2_20_are_exported_and_predict_the_same_under_2_21(
    older_python: Path, toy_screen: Any, tmp_path: Path
) -> None:
    import tensorflow as tf
    from tfx.types import standard_artifacts

    from components.exporter.executor import PlateExporterExecutor
    from trainer.plates import read_plate
    from trainer.strict import to_mapping

    def predict(python: Path | str, model: Path) -> dict[str, np.ndarray]:
        out = tmp_path / f"{model.name}.npz"
        screen = (toy_screen.transform_dir, toy_screen.examples_dir)
        _run(python, ["-c", _PREDICT, model, *screen, PLATE, out])
        return dict(np.load(out))

    config = toy_screen.config(
        loop={"epochs": 20}, noise={"impulse_share": 0.0}, augment={"cutmix_probability": 0.0}
    )
    (tmp_path / "config.json").write_text(json.dumps(to_mapping(config)))
    arguments = {
        "examples": toy_screen.examples_dir,
        "transform": toy_screen.transform_dir,
        "config": tmp_path / "config.json",
        "checkpoints": tmp_path / "checkpoints",
        "out": tmp_path / "model_run",
    }
    said = _run(older_python, ["-m", "trainer", *(f"--{k}={v}" for k, v in arguments.items())])
    assert json.loads(said)["n_steps"] == 20 * 8
    older = predict(older_python, tmp_path / "model_run")
    assert str(older["versions"][0]).startswith("2.20.")

    inputs, outputs = {}, {}
    for key, kind, uri in (
        ("model_run", standard_artifacts.ModelRun, str(tmp_path / "model_run")),
        ("transform_graph", standard_artifacts.TransformGraph, toy_screen.transform_dir),
    ):
        inputs[key] = [kind()]
        inputs[key][0].uri = uri
    outputs["model"] = [standard_artifacts.Model()]
    outputs["model"][0].uri = str(tmp_path / "model")
    PlateExporterExecutor().Do(inputs, outputs, {"code_digest": ""})
    exported = tmp_path / "model" / "Format-Serving"
    newer = predict(sys.executable, exported)
    assert str(newer["versions"][0]).startswith("2.21.")

    weights = [key for key in older if key.startswith("weight_")]
    assert len(weights) > 10 and set(older) == set(newer)
    for key in weights:  # to the last bit
        np.testing.assert_array_equal(older[key], newer[key])
    differences = {
        key: float(np.abs(older[key] - newer[key]).max())
        for key in older
        if key not in weights and key != "versions"
    }
    print(
        f"\n{len(weights)} weights of TensorFlow {older['versions'][0]} and Keras "
        f"{older['versions'][1]} loaded under {newer['versions'][0]} and {newer['versions'][1]}: "
        f"equal. Largest difference on {len(older['plain_embedding'])} sites: {differences}"
    )
    assert max(differences.values()) < 1e-4
    assert np.ptp(older["plain_probabilities"], axis=0).max() > 0.1  # it has learnt something

    shards = [s for s in toy_screen.manifest.shards if s.plate_id == PLATE]
    records = read_plate(toy_screen.examples_dir, toy_screen.manifest, shards).records
    served = tf.saved_model.load(str(exported)).signatures["serving_default"](
        examples=tf.constant(records)
    )
    for key in ("probabilities", "embedding"):
        np.testing.assert_allclose(served[key], older[f"plain_{key}"], atol=1e-4)
