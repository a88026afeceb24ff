"""``platewise denoise`` from end to end, on folders of files."""

from __future__ import annotations

import json
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from pipelines.cli import main
from trainer.denoise import load_denoiser
from trainer.denoise_folder import RECORDS
from trainer.denoise_sites import sites
from trainer.denoiser_config import DenoiserFit
from trainer.denoising.saved import network, write_denoiser
from trainer.errors import PlatewiseError
from trainer.filters import apply
from trainer.filters.settings import MedianSettings


def grey(seed: int, shape: tuple[int, ...] = (24, 30), top: int = 255) -> np.ndarray:
    dtype = np.uint8 if top < 256 else np.uint16
    return np.random.default_rng(seed).integers(0, top + 1, shape).astype(dtype)


def write_png(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(imagecodecs.png_encode(pixels))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "in"
    write_png(root / "HUVEC-01/Plate1/B02_s1_w1.png", grey(1))
    write_png(root / "HUVEC-01/Plate1/B02_s1_w2.png", grey(2))
    (root / "deep/er").mkdir(parents=True)
    tifffile.imwrite(
        root / "deep/er/stack.tif",
        grey(3, (3, 20, 22), 60_000),
        resolution=(5.0, 5.0),
        resolutionunit=3,
        photometric="minisblack",
    )
    return root


def write_random_denoiser(folder: Path) -> None:
    fit = DenoiserFit(widths=(8, 12), patch_px=32)
    model = network(fit)
    rng = np.random.default_rng(8)
    for variable in model.trainable_variables:
        variable.assign(variable + 0.05 * rng.normal(size=variable.shape))
    write_denoiser(str(folder), fit, model, {})


def denoise(folder: Path, out: Path, *flags: str) -> int:
    return main(["denoise", str(folder), str(out), *flags])


def test_layout_dtype_and_scale_are_kept(folder: Path, tmp_path: Path, capfd) -> None:
    out = tmp_path / "out"
    assert denoise(folder, out, "--filter", "median", "--set", "size_px=5") == 0
    told = capfd.readouterr().out
    assert "3 images denoised (filter median)" in told
    assert "rounded" in told
    name = "HUVEC-01/Plate1/B02_s1_w1.png"
    written = imagecodecs.png_decode((out / name).read_bytes())
    expected = apply("median", grey(1)[..., None], MedianSettings(5))[..., 0]
    assert written.dtype == np.uint8
    np.testing.assert_array_equal(written, expected)
    stack = tifffile.imread(out / "deep/er/stack.tif")
    assert stack.dtype == np.uint16
    pages = grey(3, (3, 20, 22), 60_000)
    for page, source in zip(stack, pages, strict=True):
        by_hand = apply("median", source[..., None], MedianSettings(5))[..., 0]
        np.testing.assert_array_equal(page, by_hand)
    with tifffile.TiffFile(out / "deep/er/stack.tif") as file:
        assert file.pages[0].tags["XResolution"].value == (5, 1)
        assert int(file.pages[0].tags["ResolutionUnit"].value) == 3
    assert not list(out.rglob("*.part"))


def test_a_second_run_does_what_is_missing_or_changed(folder: Path, tmp_path: Path, capfd) -> None:
    out = tmp_path / "out"
    denoise(folder, out, "--filter", "median")
    first, second = (f"HUVEC-01/Plate1/B02_s1_w{c}.png" for c in (1, 2))
    times = {name: (out / name).stat().st_mtime_ns for name in (first, second)}
    write_png(folder / first, grey(9))
    with (out / RECORDS).open("a") as stream:
        stream.write('["half a li')
    capfd.readouterr()
    assert denoise(folder, out, "--filter", "median") == 0
    assert "1 images denoised (filter median), 2 were done already" in capfd.readouterr().out
    assert (out / second).stat().st_mtime_ns == times[second]
    assert (out / first).stat().st_mtime_ns != times[first]
    (out / second).write_bytes(b"cut short")
    denoise(folder, out, "--filter", "median")
    assert "1 images denoised" in capfd.readouterr().out
    denoise(folder, out, "--filter", "median", "--set", "size_px=5")
    assert "3 images denoised" in capfd.readouterr().out


def test_float_output_is_not_rounded(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert denoise(folder, out, "--filter", "gaussian", "--float") == 0
    written = tifffile.imread(out / "HUVEC-01/Plate1/B02_s1_w1.tif")
    assert written.dtype == np.float32
    expected = apply("gaussian", grey(1)[..., None])[..., 0]
    np.testing.assert_allclose(written, expected, atol=1e-3)
    assert not np.array_equal(written, np.round(written))


def test_white_is_the_cameras_largest_level(tmp_path: Path) -> None:
    root, out = tmp_path / "in", tmp_path / "out"
    root.mkdir()
    pixels = grey(4, (20, 20), 3000) + 500
    pixels[5:15:3, 5:15:3] = 4095
    tifffile.imwrite(root / "a.tif", pixels)
    assert denoise(root, out, "--filter", "switching-median", "--white", "4095") == 0
    mended = tifffile.imread(out / "a.tif")
    assert mended.max() < 4095
    kept = pixels != 4095
    np.testing.assert_array_equal(mended[kept], pixels[kept])


def test_what_cannot_be_read_is_told_and_the_rest_is_done(
    folder: Path, tmp_path: Path, capfd
) -> None:
    (folder / "cut.png").write_bytes((folder / "HUVEC-01/Plate1/B02_s1_w1.png").read_bytes()[:99])
    (folder / "jpeg.png").write_bytes(b"\xff\xd8\xff\xe0")
    write_png(folder / "colour.png", grey(1, (8, 8, 3)))
    tifffile.imwrite(folder / "rgb.tif", grey(1, (8, 8, 3)), photometric="rgb")
    out = tmp_path / "out"
    assert denoise(folder, out, "--filter", "median") == 1
    told = capfd.readouterr().out
    assert "3 images denoised" in told
    assert "4 left out" in told
    for words in ("cut.png cannot be read", "jpeg.png is no PNG", "colour.png is in colour"):
        assert words in told
    assert not (out / "cut.png").exists()


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--filter", "medain"], 2, "did you mean 'median'"),
        (["--filter", "median", "--set", "size=5"], 2, "did you mean size_px"),
        (["--filter", "median", "--set", "size_px=4"], 2, "must be odd"),
        (["--filter", "median", "--set", "size_px=big"], 2, "whole number"),
        (["--filter", "median", "--pattern", "x"], 2, "--pattern and --statistics are for"),
        (["--model", "nowhere"], 1, "no model at nowhere"),
        (["--model", "nowhere", "--set", "a=1"], 2, "--set belongs to filters"),
    ],
)
def test_wrong_options_are_refused(folder: Path, tmp_path: Path, capfd, flags, code, words):
    assert denoise(folder, tmp_path / "out", *flags) == code
    assert words in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_denoiser_trained_on_images_takes_each_file_by_itself(
    folder: Path, tmp_path: Path, capfd
) -> None:
    model = tmp_path / "model"
    write_random_denoiser(model)
    assert denoise(folder, tmp_path / "out", "--model", str(model)) == 0
    assert "3 images denoised" in capfd.readouterr().out
    ours = load_denoiser(model)
    expected = ours(grey(2)[..., None].astype(np.float32))[..., 0]
    made = imagecodecs.imread((tmp_path / "out/HUVEC-01/Plate1/B02_s1_w2.png").read_bytes())
    np.testing.assert_array_equal(made, np.clip(np.round(expected), 0, 255).astype(np.uint8))
    assert tifffile.imread(tmp_path / "out/deep/er/stack.tif").dtype == np.uint16
    assert np.abs(made.astype(float) - grey(2)).max() > 1
    assert denoise(folder, tmp_path / "out", "--model", str(model)) == 0
    assert "0 images denoised" in capfd.readouterr().out
    assert denoise(folder, tmp_path / "two", "--model", str(model), "--statistics", "image") == 1
    assert "denoises each file by itself" in capfd.readouterr().err


def test_the_generic_denoiser_comes_with_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    clean = 60 + 40 * np.sin(np.arange(64) / 9)[:, None] * np.cos(np.arange(96) / 7)
    noisy = np.clip(np.round(clean + 15 * rng.normal(size=clean.shape)), 0, 255)
    write_png(tmp_path / "in/a.png", noisy.astype(np.uint8))
    assert denoise(tmp_path / "in", tmp_path / "out", "--model", "generic") == 0
    made = imagecodecs.imread((tmp_path / "out/a.png").read_bytes()).astype(float)
    gain_db = 10 * np.log10(np.square(noisy - clean).mean() / np.square(made - clean).mean())
    assert gain_db > 8


def test_folders_that_lie_in_each_other_or_are_missing(folder: Path, tmp_path: Path, capfd):
    assert denoise(folder, folder / "out") == 1
    assert "lie in each other" in capfd.readouterr().err
    assert denoise(tmp_path / "none", tmp_path / "out") == 1
    assert "no folder" in capfd.readouterr().err
    (tmp_path / "empty").mkdir()
    assert denoise(tmp_path / "empty", tmp_path / "out") == 1
    assert "no image" in capfd.readouterr().err


def test_settings_are_listed(capfd) -> None:
    assert main(["denoise", "in", "out", "--filter", "lof", "--list-settings"]) == 0
    assert "--set threshold=2.0" in capfd.readouterr().out


def test_two_files_that_would_become_one(tmp_path: Path, capfd) -> None:
    write_png(tmp_path / "in/a.png", grey(1))
    tifffile.imwrite(tmp_path / "in/a.tif", grey(1))
    assert denoise(tmp_path / "in", tmp_path / "out", "--filter", "median", "--float") == 1
    assert "would both become a.tif" in capfd.readouterr().err


def test_records_say_what_was_made_how(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    denoise(folder, out, "--filter", "identity")
    rows = [json.loads(line) for line in (out / RECORDS).read_text().splitlines()]
    assert {row[0] for row in rows} == {
        path.relative_to(folder).as_posix() for path in folder.rglob("*.*") if path.is_file()
    }


def test_sites_are_grouped_by_their_names() -> None:
    names = ["p/B02_s1_w1.png", "p/B02_s1_w2.png", "p/B02_s2_w1.png", "q/B02_s1_w10.png"]
    names += ["q/B02_s1_w2.png", "q/notes.png"]
    units, left_out = sites([Path(name) for name in names], 2)
    assert [unit.name for unit in units] == ["p/B02_s1", "q/B02_s1"]
    assert [path.name for path in units[1].paths] == ["B02_s1_w2.png", "B02_s1_w10.png"]
    assert len(left_out) == 2
    with pytest.raises(PlatewiseError, match="no site with all 6 channels"):
        sites([Path(name) for name in names], 6)
    custom, _ = sites(
        [Path("d/ch1-A.tif"), Path("d/ch2-A.tif")], 2, r"ch(?P<channel>\d)-(?P<site>.*)"
    )
    assert custom[0].name == "d/A.tif"
    with pytest.raises(ValueError, match="groups"):
        sites([Path("a")], 2, "x")
