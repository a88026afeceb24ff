"""The exported model: its signatures, and the bundle beside them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from trainer import schema
from trainer.artifact import DESCRIPTION, WEIGHTS
from trainer.bundle import BUNDLE_DIR, BUNDLE_WEIGHTS, load_bundle
from trainer.config import PredictConfig
from trainer.errors import PlatewiseError
from trainer.export import export
from trainer.plates import read_plate
from trainer.predict import Predictor

PLATE = "HUVEC-03_1"


@pytest.fixture(scope="module")
def exported(trained_toy, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    export(trained_toy.folder, trained_toy.screen.transform_dir, str(folder / "model"))
    return folder / "model"


@pytest.fixture(scope="module")
def records(toy_screen) -> list[bytes]:
    shards = [s for s in toy_screen.manifest.shards if s.plate_id == PLATE]
    return read_plate(toy_screen.examples_dir, toy_screen.manifest, shards).records


def predicted(toy_screen, folder: str) -> dict:
    predictor = Predictor(
        load_bundle(folder), toy_screen.transform_dir, PredictConfig(adapt_batch_norm=False)
    )
    shards = [s for s in toy_screen.manifest.shards if s.plate_id == PLATE]
    return predictor.predict_plate(toy_screen.examples_dir, toy_screen.manifest, shards)


def test_serving_answers_as_the_predictor_without_adaptation(
    exported, records, toy_screen, trained_toy
) -> None:
    loaded = tf.saved_model.load(str(exported))
    answers = loaded.signatures["serving_default"](examples=tf.constant(records))
    rows = predicted(toy_screen, trained_toy.folder)
    for key in (schema.PROBABILITIES, schema.EMBEDDING):
        np.testing.assert_allclose(answers[key], rows[key], atol=1e-5)
    assert set(answers[schema.PLATE_KNOWN].numpy()) == {1}


def test_the_other_signatures(exported, trained_toy) -> None:
    loaded = tf.saved_model.load(str(exported))
    model = load_bundle(trained_toy.folder).model
    image = np.random.default_rng(0).normal(size=(3, 32, 16, 2)).astype(np.float32)
    answers = loaded.signatures["normalized"](image=tf.constant(image))
    outputs = model(image, training=False)
    np.testing.assert_allclose(answers["denoised"], outputs["denoised"], atol=1e-5)
    np.testing.assert_allclose(
        answers[schema.PROBABILITIES], tf.nn.softmax(outputs["logits"]), atol=1e-5
    )
    center, scale = np.float32([[5, 9]] * 3), np.float32([[2, 4]] * 3)
    grey = image * scale[:, None, None] + center[:, None, None]
    denoised = loaded.signatures["denoise"](
        image=tf.constant(grey), center=tf.constant(center), scale=tf.constant(scale)
    )["denoised"]
    expected = outputs["denoised"] * scale[:, None, None] + center[:, None, None]
    np.testing.assert_allclose(denoised, expected, atol=1e-3)


def test_class_names_are_an_asset_and_in_the_bundle(exported, toy_classes) -> None:
    expected = "".join(f"{name}\n" for name in toy_classes)
    assert (exported / "assets" / "classes.txt").read_text() == expected
    assert (exported / BUNDLE_DIR / "classes.txt").read_text() == expected


def test_the_folder_can_be_moved_and_holds_all_there_is(
    exported, trained_toy, records, tmp_path
) -> None:
    moved = tmp_path / "elsewhere"
    exported.rename(moved)
    try:
        a, b = load_bundle(str(moved)), load_bundle(trained_toy.folder)
        assert (a.config, a.classes, a.site_shape_px) == (b.config, b.classes, b.site_shape_px)
        for x, y in zip(a.model.get_weights(), b.model.get_weights(), strict=True):
            np.testing.assert_array_equal(x, y)
        served = tf.saved_model.load(str(moved)).signatures["serving_default"]
        assert served(examples=tf.constant(records[:2]))[schema.PROBABILITIES].shape == (2, 4)
    finally:
        moved.rename(exported)


@pytest.mark.slow
def test_it_is_served_without_any_code_of_ours(exported, records, tmp_path) -> None:
    (tmp_path / "records").write_bytes(records[0])
    code = (
        "import sys, json, tensorflow as tf\n"
        "model = tf.saved_model.load(sys.argv[1])\n"
        "record = open(sys.argv[2], 'rb').read()\n"
        "answer = model.signatures['serving_default'](examples=tf.constant([record]))\n"
        "names = {m.split('.')[0] for m in sys.modules}\n"
        "ours = sorted(names & {'trainer', 'tensorflow_transform'})\n"
        "print(json.dumps([answer['probabilities'].numpy().tolist(), ours]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(exported), str(tmp_path / "records")],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    probabilities, ours = json.loads(done.stdout.splitlines()[-1])
    assert ours == [] and sum(probabilities[0]) == pytest.approx(1.0, abs=1e-5)


def test_what_is_not_a_model_is_named(exported, tmp_path) -> None:
    with pytest.raises(PlatewiseError, match=r"cannot read .*trainer\.json"):
        load_bundle(str(tmp_path))
    bundle = exported / BUNDLE_DIR
    (tmp_path / DESCRIPTION).write_bytes((bundle / DESCRIPTION).read_bytes())
    (tmp_path / WEIGHTS).write_bytes((bundle / BUNDLE_WEIGHTS).read_bytes()[:1000])
    with pytest.raises(PlatewiseError, match=r"cannot load .*weights\.h5"):
        load_bundle(str(tmp_path))
