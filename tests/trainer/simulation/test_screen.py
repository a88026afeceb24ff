from __future__ import annotations

import csv
import hashlib
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainer.errors import PlatewiseError
from trainer.simulation import is_simulated, simulate_screen, tiny_config
from trainer.simulation.layout import COLUMNS, screen_rows
from trainer.simulation.screen import simulate_site
from trainer.strict import ConfigError

SMALL = tiny_config(cell_types=("HUVEC",), experiments_per_cell_type=2)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("screen") / "out"
    simulate_screen(SMALL, folder, clean_dir=folder.with_name("clean"))
    return folder


def test_layout_is_the_official_one(screen: Path) -> None:
    with open(screen / "metadata.csv", newline="") as file:
        rows = list(csv.DictReader(file))

    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 2 * 4 * (2 + 1 + 1) * 2
    expected = {
        f"images/{r['experiment']}/Plate{r['plate']}/{r['well']}_s{r['site']}_w{w}.png"
        for r in rows
        for w in range(1, 7)
    }
    assert {str(p.relative_to(screen)) for p in screen.rglob("*.png")} == expected
    for name in sorted(expected)[::7]:
        with Image.open(screen / name) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "L", (32, 32))
            assert np.asarray(image).std() > 0


def test_summary_counts_what_was_written(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    config = tiny_config(cell_types=("RPE",), experiments_per_cell_type=2, treatments=4)

    summary = simulate_screen(config, tmp_path / "s", progress=lambda *c: calls.append(c))

    assert (summary.n_experiments, summary.n_plates, summary.n_sites) == (2, 8, 48)
    assert summary.n_images == len(list((tmp_path / "s").rglob("*.png"))) == 288
    assert calls == [(i, 8) for i in range(1, 9)]


def test_pixels_do_not_depend_on_the_number_of_processes(screen: Path, tmp_path: Path) -> None:
    simulate_screen(SMALL, tmp_path / "two", processes=2, clean_dir=tmp_path / "clean")

    assert digests(tmp_path / "two") == digests(screen)
    assert digests(tmp_path / "clean") == digests(screen.with_name("clean"))


def test_a_site_does_not_depend_on_the_rest_of_the_screen() -> None:
    row = screen_rows(SMALL)[5]
    alone, _ = simulate_site(SMALL, row)
    for other in screen_rows(SMALL)[:5]:
        simulate_site(SMALL, other)
    again, _ = simulate_site(SMALL, row)

    np.testing.assert_array_equal(alone, again)


def test_another_seed_is_another_screen(screen: Path, tmp_path: Path) -> None:
    simulate_screen(
        tiny_config(cell_types=("HUVEC",), experiments_per_cell_type=2, seed=1), tmp_path / "s"
    )

    same = set(digests(tmp_path / "s").values()) & set(digests(screen).values())
    assert not same


def test_the_clean_image_is_the_noisy_one_without_noise() -> None:
    config = tiny_config(image_size_px=128, read_noise_sd_grey_levels=2.0)
    noisy_CHW, clean_CHW = simulate_site(config, screen_rows(config)[0])
    noise_CHW = noisy_CHW - clean_CHW

    variance_C = noise_CHW.var(axis=(1, 2))
    expected_C = 4.0 + config.shot_noise_grey_levels * clean_CHW.mean(axis=(1, 2))
    np.testing.assert_allclose(variance_C, expected_C, rtol=0.06)
    assert np.abs(noise_CHW.mean(axis=(1, 2))).max() < 0.1


def test_noise_dials_at_zero_leave_no_noise() -> None:
    config = tiny_config(read_noise_sd_grey_levels=0.0, shot_noise_grey_levels=0.0)
    noisy_CHW, clean_CHW = simulate_site(config, screen_rows(config)[0])

    np.testing.assert_array_equal(noisy_CHW, clean_CHW)


def test_refuses_a_folder_that_is_not_empty(screen: Path, tmp_path: Path) -> None:
    before = digests(screen)
    with pytest.raises(PlatewiseError, match="is not empty"):
        simulate_screen(SMALL, screen)
    assert digests(screen) == before

    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(PlatewiseError, match=r"no simulation\.json"):
        simulate_screen(SMALL, tmp_path, overwrite=True)
    assert (tmp_path / "mine.txt").read_text() == "precious"

    with pytest.raises(PlatewiseError, match="is a file"):
        simulate_screen(SMALL, tmp_path / "mine.txt")
    with pytest.raises(PlatewiseError, match="is not empty"):
        simulate_screen(SMALL, tmp_path / "new", clean_dir=screen)
    assert not (tmp_path / "new").exists()


def test_overwrites_an_earlier_simulation_whole(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    big = tiny_config(cell_types=("HUVEC",), experiments_per_cell_type=3, treatments=4)
    small = tiny_config(cell_types=("HUVEC",), experiments_per_cell_type=2, treatments=4)
    simulate_screen(big, folder)
    assert is_simulated(big, folder) and not is_simulated(small, folder)

    simulate_screen(small, folder, overwrite=True)

    assert is_simulated(small, folder) and not is_simulated(big, folder)
    assert not (folder / "images" / "HUVEC-03").exists()


def test_a_screen_cut_short_is_not_a_screen(tmp_path: Path) -> None:
    class StoppedError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        simulate_screen(SMALL, tmp_path / "s", progress=stop)

    assert list((tmp_path / "s").rglob("*.png"))
    assert not (tmp_path / "s" / "metadata.csv").exists()
    assert not is_simulated(SMALL, tmp_path / "s")
    simulate_screen(SMALL, tmp_path / "s", overwrite=True)
    assert is_simulated(SMALL, tmp_path / "s")


def test_a_killed_worker_is_a_readable_error(tmp_path: Path) -> None:
    def kill_workers(done: int, total: int) -> None:
        for worker in multiprocessing.active_children():
            worker.kill()

    config = tiny_config(image_size_px=128)
    with pytest.raises(PlatewiseError, match=r"worker process .* ended early"):
        simulate_screen(config, tmp_path / "s", processes=2, progress=kill_workers)
    assert not (tmp_path / "s" / "metadata.csv").exists()


def test_refuses_impossible_arguments(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="processes must be >= 1; got 0"):
        simulate_screen(SMALL, tmp_path / "s", processes=0)
    with pytest.raises(ConfigError, match="must not lie in each other"):
        simulate_screen(SMALL, tmp_path / "s", clean_dir=tmp_path / "s" / "clean")


def test_a_folder_that_cannot_be_written_is_a_readable_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PlatewiseError, match="cannot write the simulated screen"):
        simulate_screen(SMALL, tmp_path / "file" / "inside")
