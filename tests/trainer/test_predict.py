"""Prediction of whole plates."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from trainer import schema
from trainer.bundle import Bundle, load_bundle
from trainer.config import PredictConfig
from trainer.errors import PlatewiseError
from trainer.manifest import read_manifest
from trainer.metrics import psnr_db
from trainer.normalize import normalise_image
from trainer.plates import plates_of, read_plate
from trainer.predict import MIN_SITES_TO_ADAPT, Predictor
from trainer.predict_examples import GALLERY, predict_examples
from trainer.predictions import Columns, read_rows
from trainer.transform_graph import read_normaliser

EVAL_PLATE = "HUVEC-03_1"


@pytest.fixture(scope="module")
def bundle(trained_toy) -> Bundle:
    return load_bundle(trained_toy.folder)


def predict(screen, bundle: Bundle, plate: str = EVAL_PLATE, **changes) -> Columns:
    baseline = changes.pop("baseline", None)
    predictor = Predictor(bundle, screen.transform_dir, PredictConfig(**changes), baseline)
    shards = [s for s in screen.manifest.shards if s.plate_id == plate]
    return predictor.predict_plate(screen.examples_dir, screen.manifest, shards)


def accuracy(rows: Columns) -> float:
    known = rows[schema.LABEL] >= 0
    return float((rows[schema.PROBABILITIES].argmax(1) == rows[schema.LABEL])[known].mean())


def test_a_held_out_plate_is_recognised(toy_screen, bundle) -> None:
    rows = predict(toy_screen, bundle)
    assert accuracy(rows) > 0.8
    np.testing.assert_allclose(rows[schema.PROBABILITIES].sum(1), 1.0, rtol=1e-5)
    sites = {identity.site_id: identity for identity, _ in toy_screen.plates[EVAL_PLATE]}
    assert list(rows[schema.SITE_ID]) == sorted(sites)
    for i, name in enumerate(rows[schema.SITE_ID]):
        assert rows[schema.TREATMENT][i] == sites[name].treatment
        assert rows[schema.SITE][i] == sites[name].site
        label = rows[schema.LABEL][i]
        assert sites[name].treatment == (bundle.classes[label] if label >= 0 else "EMPTY")
    assert set(rows[schema.PLATE_KNOWN]) == {1} and set(rows["split"]) == {"eval"}


def test_answers_are_those_of_keras_on_the_centred_window(toy_screen, bundle) -> None:
    rows = predict(toy_screen, bundle, adapt_batch_norm=False)
    fitted = read_normaliser(toy_screen.transform_dir)
    p = fitted.plates.index(EVAL_PLATE)
    by_name = {identity.site_id: pixels for identity, pixels in toy_screen.plates[EVAL_PLATE]}
    pixels = np.stack([by_name[name] for name in rows[schema.SITE_ID]])
    window_BHWC = pixels.transpose(0, 2, 3, 1)[:, 4:20, 4:20].astype(np.float32)
    statistics = [
        np.repeat(t[p : p + 1], len(pixels), 0) for t in (fitted.center_PC, fitted.scale_PC)
    ]
    outputs = bundle.model.predict(normalise_image(window_BHWC, *statistics), verbose=0)
    expected = tf.nn.softmax(outputs["logits"]).numpy()
    np.testing.assert_allclose(rows[schema.PROBABILITIES], expected, atol=1e-5)
    np.testing.assert_allclose(rows[schema.EMBEDDING], outputs["embedding"], atol=1e-4)


def test_the_order_of_a_shard_does_not_matter_and_a_second_time_is_the_same(
    toy_screen, bundle, make_toy_screen
) -> None:
    rows = predict(toy_screen, bundle)
    again = predict(toy_screen, bundle)
    turned = make_toy_screen({"score": {EVAL_PLATE: toy_screen.plates[EVAL_PLATE][::-1]}})
    other = predict(turned, bundle)
    for key, values in rows.items():
        np.testing.assert_array_equal(again[key], values)
        if key != "split":
            np.testing.assert_array_equal(other[key], values)


def test_batch_norm_adapts_to_the_plate_unless_told_not_to(toy_screen, bundle) -> None:
    before = bundle.model.get_weights()
    adapted = predict(toy_screen, bundle)
    trained = predict(toy_screen, bundle, adapt_batch_norm=False)
    assert np.abs(adapted[schema.PROBABILITIES] - trained[schema.PROBABILITIES]).max() > 1e-3
    for a, b in zip(before, bundle.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_small_plate_keeps_the_trained_statistics(toy_screen, bundle, caplog) -> None:
    assert len(toy_screen.plates["HUVEC-02_1"]) < MIN_SITES_TO_ADAPT
    rows = predict(toy_screen, bundle, "HUVEC-02_1")
    trained = predict(toy_screen, bundle, "HUVEC-02_1", adapt_batch_norm=False)
    np.testing.assert_array_equal(rows[schema.PROBABILITIES], trained[schema.PROBABILITIES])
    assert "plate HUVEC-02_1 of 5 sites is too small" in caplog.text


@pytest.mark.parametrize("minibatch_size", [1, 7, 26, 100])
def test_minibatches_are_even_and_cover_the_plate(toy_screen, bundle, minibatch_size) -> None:
    shards = [s for s in toy_screen.manifest.shards if s.plate_id == EVAL_PLATE]
    plate = read_plate(toy_screen.examples_dir, toy_screen.manifest, shards)
    predictor = Predictor(bundle, toy_screen.transform_dir, PredictConfig())
    parts = list(plate.minibatches(minibatch_size, predictor._reader.features(plate)))
    sizes = [len(part[schema.LABEL]) for part in parts]
    assert sum(sizes) == 26 and max(sizes) <= minibatch_size
    assert max(sizes) - min(sizes) <= 1
    names = [name.decode() for part in parts for name in part[schema.SITE_ID].numpy()]
    assert names == plate.site_ids


def test_larger_sites_are_tiled_and_averaged(bundle, make_toy_screen, toy_screen) -> None:
    """A site that repeats one window four times is answered like the window."""
    small = [(i, p[:, :16, :16]) for i, p in toy_screen.plates[EVAL_PLATE]]
    large = [(i, np.tile(p, (1, 2, 2))) for i, p in small]
    one = predict(make_toy_screen({"score": {EVAL_PLATE: small}}), bundle)
    four = predict(make_toy_screen({"score": {EVAL_PLATE: large}}), bundle)
    np.testing.assert_allclose(
        one[schema.PROBABILITIES], four[schema.PROBABILITIES], rtol=1e-4, atol=1e-5
    )
    tiny = [(i, p[:, :12, :12]) for i, p in small]
    with pytest.raises(PlatewiseError, match=r"12 x 12 px, but the network sees 16 x 16"):
        predict(make_toy_screen({"score": {EVAL_PLATE: tiny}}), bundle)


def test_other_channels_are_refused(make_toy_screen, bundle, toy_screen) -> None:
    three = [(i, np.concatenate([p, p[:1]])) for i, p in toy_screen.plates[EVAL_PLATE]]
    with pytest.raises(PlatewiseError, match="has 3 channels, but the model was trained on 2"):
        predict(make_toy_screen({"score": {EVAL_PLATE: three}}), bundle)


def test_fidelity_follows_the_fixed_protocol(toy_screen, bundle) -> None:
    rows = predict(toy_screen, bundle, protocol_sites_per_plate=3, protocol_peak_photons=40.0)
    measured = ~np.isnan(rows[schema.PSNR_NOISY]).any(axis=1)
    assert list(np.flatnonzero(measured)) == [0, 1, 2]
    predictor = Predictor(
        bundle, toy_screen.transform_dir, PredictConfig(protocol_peak_photons=40.0)
    )
    shards = [s for s in toy_screen.manifest.shards if s.plate_id == EVAL_PLATE]
    plate = read_plate(toy_screen.examples_dir, toy_screen.manifest, shards)
    clean, noisy, denoised = predictor.protocol_images(plate, 2)
    by_name = {i.site_id: p for i, p in toy_screen.plates[EVAL_PLATE]}
    expected = by_name[plate.site_ids[2]].transpose(1, 2, 0)[4:20, 4:20]
    np.testing.assert_array_equal(clean[0], expected)
    np.testing.assert_allclose(rows[schema.PSNR_NOISY][2], psnr_db(clean, noisy)[0], rtol=1e-5)
    np.testing.assert_allclose(
        rows[schema.PSNR_DENOISED][2], psnr_db(clean, denoised)[0], rtol=1e-5
    )
    # Shot noise of 40 photons at 255, and read noise of 10 grey levels.
    variance = expected.mean() * 255 / 40 + 10.0**2
    assert (noisy - clean).var() == pytest.approx(variance, rel=0.15)
    assert np.isnan(
        predict(toy_screen, bundle, protocol_sites_per_plate=0)[schema.SSIM_NOISY]
    ).all()


def test_a_baseline_is_brought_into_the_order_of_the_classes(toy_screen, bundle) -> None:
    renamed = dataclasses.replace(bundle, classes=("31", "2", "old", "7"))
    rows = predict(toy_screen, bundle, baseline=(renamed, toy_screen.transform_dir))
    own = rows[schema.PROBABILITIES]
    expected = np.stack([own[:, 1], own[:, 3], np.zeros(len(own)), own[:, 0]], axis=1)
    np.testing.assert_array_equal(rows[schema.BASELINE_PROBABILITIES], expected)


def test_a_baseline_of_other_channels_or_size_is_left_out(toy_screen, bundle, caplog) -> None:
    """The screen may have changed since; the new model must not wait for the old one."""
    for change, reason in (
        ({"n_channels": 6}, "has 2 channels, but the model was trained on 6"),
        ({"image_size_px": 64}, "but the network sees 64 x 64 px"),
    ):
        model = dataclasses.replace(bundle.config.model, **change)
        old = dataclasses.replace(bundle, config=dataclasses.replace(bundle.config, model=model))
        rows = predict(toy_screen, bundle, baseline=(old, toy_screen.transform_dir))
        assert schema.BASELINE_PROBABILITIES not in rows and schema.PROBABILITIES in rows
        assert "no comparison with the latest blessed model" in caplog.text
        assert reason in caplog.text


def test_labels_are_the_models_even_if_the_graph_counts_otherwise(toy_screen, bundle) -> None:
    other = dataclasses.replace(bundle, classes=("7", "31", "2", "x"))
    rows = predict(toy_screen, other)
    for treatment, label in zip(rows[schema.TREATMENT], rows[schema.LABEL], strict=True):
        assert label == (other.classes.index(treatment) if treatment in other.classes else -1)


def test_top_k_is_cut_after_the_mean_over_a_wells_sites(toy_screen, bundle, tmp_path) -> None:
    folders = {k: str(tmp_path / str(k)) for k in (0, 1)}
    for k, folder in folders.items():
        config = PredictConfig(top_k=k, adapt_batch_norm=False, protocol_sites_per_plate=0)
        examples = toy_screen.examples_dir
        predict_examples(bundle, toy_screen.transform_dir, examples, folder, ["eval"], config)
    rows = read_rows(folders[0])
    whole, kept = rows[schema.PROBABILITIES], read_rows(folders[1])[schema.PROBABILITIES]
    named = set(zip(rows[schema.WELL_ID], whole.argmax(axis=1), strict=True))
    assert len(named) > len(set(rows[schema.WELL_ID]))  # the sites of some well disagree
    assert ((kept > 0).sum(axis=1) == 1).all()
    np.testing.assert_array_equal(kept.argmax(axis=1), whole.argmax(axis=1))
    np.testing.assert_array_equal(kept.max(axis=1), whole.max(axis=1))


def test_a_folder_of_examples_is_predicted_whole(toy_screen, bundle, tmp_path: Path) -> None:
    looks: list = []
    manifest = predict_examples(
        bundle,
        toy_screen.transform_dir,
        toy_screen.examples_dir,
        str(tmp_path),
        progress=looks.append,
    )
    assert manifest == read_manifest(str(tmp_path))
    assert [look.plate for look in looks] == [1, 2, 3, 4] and looks[-1].n_sites == 28 + 21 + 5 + 26
    rows = read_rows(str(tmp_path), ["eval"])
    levels, counts = np.unique(rows[schema.LEVEL].astype(str), return_counts=True)
    assert dict(zip(levels, counts, strict=True)) == {"site": 26, "well": 13}
    sites = predict(toy_screen, bundle, **dataclasses.asdict(bundle.config.predict))
    of_sites = rows[schema.LEVEL] == schema.LEVEL_SITE
    np.testing.assert_array_equal(rows[schema.PROBABILITIES][of_sites], sites[schema.PROBABILITIES])
    (entry,) = json.loads((tmp_path / GALLERY / "index.json").read_text())
    assert entry["experiment"] == "HUVEC-03" and entry["split"] == "eval"
    for name in ("clean", "noisy", "denoised"):
        png = tf.io.decode_png((tmp_path / GALLERY / entry[name]).read_bytes())
        assert png.shape == (16, 2 * 16, 1)
    with pytest.raises(PlatewiseError, match="no split 'tset'; it has: train, eval"):
        predict_examples(
            bundle, toy_screen.transform_dir, toy_screen.examples_dir, str(tmp_path), ["tset"]
        )


def test_the_same_plate_gives_the_same_bits_in_scoring(
    toy_screen, bundle, make_toy_screen: Callable, tmp_path: Path
) -> None:
    """Another pipeline: its own Examples, its own normaliser, no labels, other neighbours."""
    unlabelled = [
        (dataclasses.replace(identity, treatment=""), pixels)
        for identity, pixels in toy_screen.plates[EVAL_PLATE]
    ]
    scoring = make_toy_screen(
        {"score": {"HUVEC-09_4": toy_screen.plates["HUVEC-01_1"][:9], EVAL_PLATE: unlabelled}}
    )
    expected, found = predict(toy_screen, bundle), predict(scoring, bundle)
    assert set(found[schema.LABEL]) == {-1}
    for key in (schema.PROBABILITIES, schema.EMBEDDING, schema.PSNR_DENOISED):
        np.testing.assert_array_equal(found[key], expected[key])
    assert [name for name, _ in plates_of(scoring.manifest, "score")] == ["HUVEC-09_4", EVAL_PLATE]
