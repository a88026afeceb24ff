"""Training a denoiser on images alone: it learns, resumes, reads folders, says what is wrong."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from scipy import ndimage

from trainer.config import NoiseConfig
from trainer.denoise import GENERIC, load_denoiser
from trainer.denoiser_config import DenoiserFit
from trainer.denoising.command import main
from trainer.denoising.fit import fit
from trainer.denoising.pool import folder_pool, generic_pool
from trainer.denoising.saved import read_denoiser, write_denoiser
from trainer.errors import PlatewiseError
from trainer.strict import ConfigError

REPOSITORY = Path(__file__).resolve().parents[3]

SMALL = DenoiserFit(
    widths=(8, 12),
    steps=12,
    minibatch_patches=8,
    patch_px=32,
    pool_patch_px=40,
    pool_patches=16,
    peak_learning_rate=3e-3,
)


def smooth(n: int, side_px: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(n, side_px, side_px))
    blurred = ndimage.gaussian_filter(noise, (0, 3, 3))
    return np.clip(60 + 300 * blurred, 0, 255).astype(np.float32)


class StopTestError(Exception):
    """What interrupts a run in these tests."""


def cut_and_whole(folder: Path) -> None:
    """Write the weights of an interrupted and of an undisturbed run into ``folder``."""
    pool = smooth(16, 40)
    config = dataclasses.replace(SMALL, steps=60, checkpoint_every_s=1e-6)
    whole = fit(pool, config, str(folder / "whole"))

    def stop(step: int, *_) -> None:
        raise StopTestError

    with pytest.raises(StopTestError):  # told after 50 steps
        fit(pool, config, str(folder / "cut"), stop)
    seen: list[int] = []
    again = fit(pool, config, str(folder / "cut"), lambda step, *_: seen.append(step))
    assert seen == [60]
    for name, model in (("whole", whole), ("again", again)):
        np.savez(folder / f"{name}.npz", *model.get_weights())


@pytest.mark.thorough
def test_a_killed_run_goes_on_and_ends_the_same(tmp_path) -> None:
    # oneDNN sums the gradient of a convolution's kernel in an order that depends on which of its
    # threads comes first: with it, two undisturbed runs differ in the last bit now and then. It
    # can be left out only before TensorFlow is loaded.
    environment = os.environ | {"TF_ENABLE_ONEDNN_OPTS": "0"}
    subprocess.run(
        [sys.executable, __file__, str(tmp_path)], env=environment, cwd=REPOSITORY, check=True
    )
    with np.load(tmp_path / "whole.npz") as whole, np.load(tmp_path / "again.npz") as again:
        assert len(whole.files) == len(again.files) > 10
        for name in whole.files:
            np.testing.assert_array_equal(again[name], whole[name])


@pytest.mark.slow
def test_it_learns_to_denoise_what_it_has_not_seen(tmp_path) -> None:
    only_read = NoiseConfig(
        shot_share=0, impulse_share=0, read_sigma_low_grey_levels=15, quantise_share=0
    )
    config = dataclasses.replace(SMALL, steps=150, noise=only_read)
    rng = np.random.default_rng(3)
    pool = smooth(16, 40)
    write_denoiser(str(tmp_path / "out"), config, fit(pool, config, str(tmp_path)), {})
    clean = smooth(1, 96, seed=9)[0, ..., None]
    noisy = clean + 20 * rng.normal(size=clean.shape)
    denoised = load_denoiser(tmp_path / "out")(noisy)
    gain_db = 10 * np.log10(np.square(noisy - clean).mean() / np.square(denoised - clean).mean())
    assert gain_db > 9


@pytest.mark.slow
def test_it_learns_from_noisy_images_alone(tmp_path) -> None:
    rng = np.random.default_rng(3)
    pool = smooth(16, 40)
    pool = (pool + 20 * rng.normal(size=pool.shape)).astype(np.float32)
    config = dataclasses.replace(SMALL, steps=150, target="neighbours", log_gain_low=0.0)
    config = dataclasses.replace(config, log_gain_high=0.0)
    write_denoiser(str(tmp_path / "out"), config, fit(pool, config, str(tmp_path)), {})
    clean = smooth(1, 96, seed=9)[0, ..., None]
    noisy = clean + 20 * rng.normal(size=clean.shape)
    denoised = load_denoiser(tmp_path / "out")(noisy)
    gain_db = 10 * np.log10(np.square(noisy - clean).mean() / np.square(denoised - clean).mean())
    assert gain_db > 7


def test_it_goes_on_from_another_denoiser(tmp_path, capsys) -> None:
    for i, image in enumerate(smooth(3, 48)):
        (tmp_path / "images").mkdir(exist_ok=True)
        content = imagecodecs.tiff_encode(image.astype(np.uint8))
        (tmp_path / "images" / f"{i}.tif").write_bytes(content)
    still = ["steps=1", "peak_learning_rate=1e-30", "patch_px=32", "pool_patch_px=32"]
    words = [word for setting in still for word in ("--set", setting)]
    images = ["--images", str(tmp_path / "images"), "--set", "target=neighbours"]
    assert main([*images, "--start", "generic", "--out", str(tmp_path / "out"), *words]) == 0
    generic, tuned = (read_denoiser(str(f))[0] for f in (GENERIC, tmp_path / "out"))
    for a, b in zip(generic.get_weights(), tuned.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-4)
    for arguments, expected in (
        (
            [*images, "--start", "generic", *words, "--set", "widths=[8, 12]"],
            "another architecture",
        ),
        ([*images, "--start", str(tmp_path)], "holds no denoiser"),
        (["--set", "target=neighbours"], "give --images"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(["--out", str(tmp_path / "x"), *arguments])
        assert stopped.value.code == 1
        assert expected in capsys.readouterr().err


def test_the_command_trains_on_a_folder(tmp_path, capsys) -> None:
    for i, image in enumerate(smooth(3, 48)):
        (tmp_path / "images" / "deep").mkdir(parents=True, exist_ok=True)
        path = tmp_path / "images" / "deep" / f"{i}.png"
        path.write_bytes(imagecodecs.png_encode(image.astype(np.uint8)))
    out = tmp_path / "out"
    sets = [f"--set={key}={json.dumps(value)}" for key, value in {
        "widths": [8, 12], "steps": 2, "minibatch_patches": 2, "patch_px": 32,
        "pool_patch_px": 40, "pool_patches": 7, "noise.impulse_share": 0,
    }.items()]  # fmt: skip
    assert main(["--images", str(tmp_path / "images"), "--out", str(out), *sets]) == 0
    assert str(out) in capsys.readouterr().out
    described = json.loads((out / "denoiser.json").read_text())
    assert described["fit"]["noise"]["impulse_share"] == 0
    assert described["fit"]["noise"]["read_share"] == DenoiserFit().noise.read_share
    assert described["notes"]["patches"] == 7
    image = smooth(2, 45)
    assert load_denoiser(out)(image).shape == (2, 45, 45)


def test_pools_are_grey_levels_and_follow_from_the_seed(tmp_path) -> None:
    config = dataclasses.replace(SMALL, pool_patches=10)
    pool = generic_pool(config)
    assert pool.shape == (10, 40, 40)
    assert pool.min() >= 0 and pool.max() <= 255 and pool.std() > 1
    assert np.isfinite(pool).all()
    np.testing.assert_array_equal(pool, generic_pool(config))
    assert not np.array_equal(pool, generic_pool(dataclasses.replace(config, seed=1)))


def test_unusable_folders_are_named(tmp_path) -> None:
    with pytest.raises(PlatewiseError, match="holds no image"):
        folder_pool(tmp_path, SMALL)
    path = tmp_path / "a.png"
    for image, words in (
        (np.zeros((50, 50), np.uint16), "uint16"),
        (np.zeros((50, 50, 3), np.uint8), r"\(50, 50, 3\)"),
        (np.zeros((20, 50), np.uint8), "at most 20"),
    ):
        path.write_bytes(imagecodecs.png_encode(image))
        with pytest.raises(PlatewiseError, match=rf"a\.png.*{words}"):
            folder_pool(tmp_path, SMALL)
    path.write_bytes(b"no image")
    with pytest.raises(PlatewiseError, match="cannot read"):
        folder_pool(tmp_path, SMALL)


def test_a_damaged_denoiser_is_refused(tmp_path) -> None:
    model = fit(smooth(4, 40), dataclasses.replace(SMALL, steps=1), str(tmp_path / "c"))
    write_denoiser(str(tmp_path / "d"), SMALL, model, {})
    read, config = read_denoiser(str(tmp_path / "d"))
    assert config == SMALL
    for a, b in zip(read.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=6e-4, atol=1e-7)
    weights = Path(tmp_path / "d" / "denoiser.npz")
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(PlatewiseError, match="cannot load a denoiser"):
        read_denoiser(str(tmp_path / "d"))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"patch_px": 50}, "multiple of 8"),
        ({"pool_patch_px": 32}, "at least patch_px"),
        ({"steps": 0}, "steps"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        DenoiserFit(**fields)


if __name__ == "__main__":
    cut_and_whole(Path(sys.argv[1]))
