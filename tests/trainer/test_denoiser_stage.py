"""The stage in which the denoiser trains alone, and the joint stage after it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trainer import step
from trainer.bundle import load_bundle
from trainer.denoising.saved import GENERIC, read_denoiser, write_denoiser
from trainer.errors import PlatewiseError
from trainer.identity import run_digest
from trainer.loop import TrainingDiverged
from trainer.manifest import read_manifest
from trainer.neighbour_pairs import neighbour_pair
from trainer.strict import ConfigError
from trainer.train import TrainResult, train
from trainer.transform_graph import read_normaliser

STAGED = {"denoiser_stage": {"epochs": 1}, "loop": {"epochs": 1}}


class StopTestError(Exception):
    """What interrupts a run in these tests."""


def run(screen, folder: Path, progress=None, **overrides) -> TrainResult:
    places = str(folder / "checkpoints"), str(folder / "out")
    config = screen.config(**overrides)
    return train(screen.examples_dir, screen.transform_dir, config, *places, progress)


@pytest.fixture(scope="module")
def staged(toy_screen, tmp_path_factory) -> TrainResult:
    return run(toy_screen, tmp_path_factory.mktemp("staged"), **STAGED)


def test_each_stage_has_its_own_loss(staged) -> None:
    alone, joint = staged.trained.history
    assert "denoiser_stage" in alone
    assert not {"classification", "accuracy"} & set(alone)
    assert "denoiser_stage" not in joint
    assert joint["classification"] > 0
    assert staged.trained.n_steps == 2 * alone["step"]


@pytest.mark.thorough
@pytest.mark.parametrize("steps_done", [5, 11])
def test_interrupted_in_either_stage_it_ends_the_same(
    staged, toy_screen, tmp_path, steps_done: int
) -> None:
    often = STAGED | {"loop": {"epochs": 1, "checkpoint_every_steps": 2, "log_every_s": 0.0}}

    def stop(progress) -> None:
        if progress.step >= steps_done:
            raise StopTestError

    with pytest.raises(StopTestError):
        run(toy_screen, tmp_path, stop, **often)
    result = run(toy_screen, tmp_path, **often)
    assert 0 < result.resumed_at_step < result.trained.n_steps
    ours, whole = (load_bundle(x.out_dir).model.get_weights() for x in (result, staged))
    for a, b in zip(ours, whole, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.thorough
def test_the_stage_leaves_the_classifier_alone(toy_screen, tmp_path) -> None:
    """With no learning rate left for the joint stage, only the denoiser has moved."""
    still = {"peak_learning_rate": 1e-30, "weight_decay": 0.0}
    result = run(toy_screen, tmp_path / "one", **STAGED, optimizer=still)
    other = STAGED | {"denoiser_stage": {"epochs": 2}}
    longer = run(toy_screen, tmp_path / "two", **other, optimizer=still)
    models = [load_bundle(x.out_dir).model for x in (result, longer)]
    for part, same in (("classifier", True), ("denoiser", False)):
        a, b = (model.get_layer(part).trainable_variables for model in models)
        equal = [np.allclose(x, y, atol=1e-7) for x, y in zip(a, b, strict=True)]
        assert all(equal) if same else not any(equal[:2])


@pytest.mark.thorough
def test_the_joint_stage_starts_with_steps_of_its_learning_rate(toy_screen, tmp_path) -> None:
    """Adam's averages start anew: left uncorrected, these would be 1.6 times as long."""
    plain = {"warmup_share": 0.0, "final_learning_rate_share": 1.0, "weight_decay": 0.0}
    stages = STAGED | {"denoiser_stage": {"epochs": 12}}
    still, moved = (
        run(toy_screen, tmp_path / f"{r}", **stages, optimizer=plain | {"peak_learning_rate": r})
        for r in (1e-30, 1e-5)
    )
    before, after = (
        load_bundle(x.out_dir).model.get_layer("classifier").trainable_variables
        for x in (still, moved)
    )
    n_steps = moved.trained.n_steps / 13
    farthest = max(np.abs(x - y).max() for x, y in zip(before, after, strict=True))
    assert 0.8 < farthest / (n_steps * 1e-5) < 1.2


def test_a_stage_learns_from_noisy_images(toy_screen, tmp_path, monkeypatch) -> None:
    """It is given halves of the noisy images, and no noise is added to them."""
    pairs = []

    def remembered(raw_BHWC, seed):
        pairs.append([tuple(x.shape) for x in (raw_BHWC, *neighbour_pair(raw_BHWC, seed))])
        return neighbour_pair(raw_BHWC, seed)

    monkeypatch.setattr(step, "neighbour_pair", remembered)
    still, moved = (
        run(
            toy_screen,
            tmp_path / f"{rate}",
            loop={"epochs": 1},
            denoiser_stage={"epochs": 2, "target": "neighbours", "peak_learning_rate": rate},
            loss={"reconstruction": 0.0},
        ).trained.history
        for rate in (1e-30, 5e-3)
    )
    assert np.isfinite([epoch["loss"] for epoch in moved]).all()
    # The same minibatches: what an epoch's noise adds to the loss, it adds to both.
    assert moved[1]["denoiser_stage"] < still[1]["denoiser_stage"] - 0.02
    assert "reconstruction" not in moved[2]
    (raw, *halves), *_ = pairs
    assert halves == [(raw[0], raw[1] // 2, raw[2] // 2, raw[3])] * 2


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        ("log_mse", {"denoiser_stage": {"loss": "charbonnier"}}),
        ("multiple of 16", {"model": {"image_size_px": 24, "denoiser_widths": [8, 12, 16]}}),
        ("resize_px = 0", {"model": {"resize_px": 64}}),
        ("reconstruction = 0", {"loss": {"reconstruction": 1.0}}),
        ("epochs = 0", {"denoiser_stage": {"epochs": 0}}),
        ("nothing to train", {"model": {"denoiser": False}}),
    ],
)
def test_what_does_not_go_with_noisy_targets(toy_screen, words: str, changes: dict) -> None:
    whole = {"denoiser_stage": {"epochs": 1, "target": "neighbours"}, "loss": {"reconstruction": 0}}
    for section, values in changes.items():
        whole[section] = whole.get(section, {}) | values
    with pytest.raises(ConfigError, match=words):
        toy_screen.config(**whole)


LIKE_GENERIC = {"denoiser_widths": [32, 64, 96], "denoiser_design": {
    "mode": "channelwise", "front": "noise_scaled"}}  # fmt: skip


def test_training_starts_from_a_denoiser(toy_screen, tmp_path) -> None:
    """With nothing that moves it, the denoiser that ships is still there at the end."""
    result = run(
        toy_screen,
        tmp_path,
        denoiser_stage={"start": "generic"},
        loop={"epochs": 1},
        loss={"reconstruction": 0.0},
        optimizer={"weight_decay": 0.0},
        model=LIKE_GENERIC | {"task_gradient_share": 0.0},
    )
    kept = load_bundle(result.out_dir).model.get_layer("denoiser").get_weights()
    for ours, theirs in zip(kept, read_denoiser(str(GENERIC))[0].get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_what_training_cannot_start_from_is_named(toy_screen, tmp_path) -> None:
    for start, words in (("generic", r"widths = \[32, 64, 96\]"), (str(tmp_path), "no denoiser")):
        with pytest.raises(PlatewiseError, match=words):
            run(toy_screen, tmp_path, denoiser_stage={"start": start})


def test_other_weights_to_start_from_are_another_run(toy_screen, tmp_path) -> None:
    shards = read_manifest(toy_screen.examples_dir).of_split("train")
    normaliser = read_normaliser(toy_screen.transform_dir)
    config = toy_screen.config(denoiser_stage={"start": str(tmp_path)}, model=LIKE_GENERIC)
    seen = set()
    for scale in (1.0, 2.0):
        network, fit = read_denoiser(str(GENERIC))
        network.set_weights([scale * weight for weight in network.get_weights()])
        write_denoiser(str(tmp_path), fit, network, {})
        seen.add(run_digest(config, shards, normaliser))
    assert len(seen) == 2


def test_a_diverging_stage_stops(toy_screen, tmp_path) -> None:
    wild = {"epochs": 1, "peak_learning_rate": 1e30}
    with pytest.raises(TrainingDiverged, match="denoiser_stage"):
        run(toy_screen, tmp_path, denoiser_stage=wild)


def test_a_stage_without_a_denoiser_is_refused(toy_screen) -> None:
    with pytest.raises(ConfigError, match=r"denoiser_stage\.epochs"):
        toy_screen.config(denoiser_stage={"epochs": 1}, model={"denoiser": False})
