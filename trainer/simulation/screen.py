"""Simulates a screen and writes it in RxRx1's official layout.

::

    OUT/simulation.json                                    the configuration, written first
    OUT/images/<experiment>/Plate<n>/<well>_s<site>_w<channel>.png
    OUT/metadata.csv                                       written last: a screen with it is whole
"""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainer.errors import PlatewiseError
from trainer.schema import N_CHANNELS
from trainer.simulation.camera import expose, quantise, through_optics
from trainer.simulation.config import SimulationConfig
from trainer.simulation.effects import well_effects
from trainer.simulation.layout import COLUMNS, SiteRow, screen_rows
from trainer.simulation.morphology import well_phenotype
from trainer.simulation.render import render_site
from trainer.simulation.seeds import stream
from trainer.strict import ConfigError, to_mapping

TABLE_NAME = "metadata.csv"
CONFIG_NAME = "simulation.json"
IMAGES_NAME = "images"


@dataclass(frozen=True)
class SimulationSummary:
    """What was written."""

    table: Path
    n_experiments: int
    n_plates: int
    n_sites: int
    n_images: int


def simulate_screen(
    config: SimulationConfig,
    out_dir: str | os.PathLike[str],
    processes: int = 1,
    clean_dir: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> SimulationSummary:
    """Simulate ``config`` into ``out_dir``; the same pixels for any number of processes.

    Parameters
    ----------
    processes
        Worker processes, at least 1. More than one starts fresh interpreters, so a
        calling script needs the usual ``if __name__ == "__main__"``.
    clean_dir
        Where to write the same screen without the camera's noise (batch effects stay),
        rounded to 8 bits: the reference for a denoiser.
    overwrite
        Replace an earlier simulation. A folder that no simulation wrote is never touched.
    progress
        Called after each plate with the plates done and the plates in all.

    Raises
    ------
    PlatewiseError
        A folder that is not empty or cannot be written, or a worker that was killed.
    """
    if processes < 1:
        raise ConfigError(f"processes must be >= 1; got {processes}")
    folders = [Path(d).absolute() for d in (out_dir, clean_dir) if d is not None]
    if len(folders) == 2 and _nested(*folders):
        raise ConfigError(f"clean_dir and out_dir must not lie in each other; got {folders[1]}")
    for folder in folders:
        _check_folder(folder, overwrite)
    rows = screen_rows(config)
    plates = [list(g) for _, g in itertools.groupby(rows, lambda r: (r.experiment, r.plate))]
    try:
        for folder in folders:
            _prepare_folder(folder, config)
        out, clean = folders[0], folders[1] if len(folders) == 2 else None
        for done, _ in enumerate(_run(config, plates, out, clean, processes), start=1):
            if progress is not None:
                progress(done, len(plates))
        for folder in folders:
            _write_table(folder / TABLE_NAME, rows)
    except BrokenExecutor as error:
        raise PlatewiseError(
            f"a worker process of the simulation ended early ({processes} were asked for): "
            "memory may be short, try fewer; a script that asks for more than one needs the "
            'usual if __name__ == "__main__"'
        ) from error
    except OSError as error:
        raise PlatewiseError(
            f"cannot write the simulated screen: {error}; without {TABLE_NAME} the folder is "
            "not a screen yet, run again with overwrite"
        ) from error
    return SimulationSummary(
        table=folders[0] / TABLE_NAME,
        n_experiments=len({r.experiment for r in rows}),
        n_plates=len(plates),
        n_sites=len(rows),
        n_images=len(rows) * N_CHANNELS,
    )


def is_simulated(config: SimulationConfig, out_dir: str | os.PathLike[str]) -> bool:
    """Whether ``out_dir`` holds the whole screen of exactly this configuration."""
    folder = Path(out_dir)
    if not (folder / TABLE_NAME).is_file():
        return False
    with contextlib.suppress(OSError, ValueError):
        return bool(json.loads((folder / CONFIG_NAME).read_text()) == to_mapping(config))
    return False


def simulate_site(config: SimulationConfig, row: SiteRow) -> tuple[np.ndarray, np.ndarray]:
    """One site as ``(noisy_CHW, clean_CHW)``, float32 grey levels, neither rounded nor clipped."""
    effects = well_effects(config, row.experiment, row.plate, row.well)
    phenotype = well_phenotype(config, row.cell_type, row.sirna_id, row.well_id)
    rng = stream(config.seed, "site", row.site_id)
    image_CHW = render_site(
        rng, phenotype, effects.density, config.image_size_px, config.pixel_size_um
    )
    clean_CHW = through_optics(image_CHW, effects)
    camera = stream(config.seed, "camera", row.site_id)
    return expose(camera, clean_CHW, config), clean_CHW


def _nested(a: Path, b: Path) -> bool:
    a, b = a.resolve(), b.resolve()
    return a == b or a in b.parents or b in a.parents


def _check_folder(folder: Path, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise PlatewiseError(f"{folder} is a file; give a folder for the simulated screen")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not overwrite:
        raise PlatewiseError(
            f"{folder} is not empty; give another folder, or ask to overwrite the simulation in it"
        )
    if not (folder / CONFIG_NAME).is_file():
        raise PlatewiseError(
            f"{folder} holds no {CONFIG_NAME}, so no simulation wrote it and it is not "
            "overwritten; give another folder"
        )


def _prepare_folder(folder: Path, config: SimulationConfig) -> None:
    # The table goes first: whatever is half removed or half written has none.
    (folder / TABLE_NAME).unlink(missing_ok=True)
    if (folder / IMAGES_NAME).exists():
        shutil.rmtree(folder / IMAGES_NAME)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(to_mapping(config), indent=2)
    _write_atomically(folder / CONFIG_NAME, f"{text}\n".encode())


def _run(
    config: SimulationConfig,
    plates: list[list[SiteRow]],
    out: Path,
    clean: Path | None,
    processes: int,
) -> Iterator[None]:
    count = len(plates)
    jobs = (itertools.repeat(config), plates, itertools.repeat(out), itertools.repeat(clean))
    if processes == 1:
        yield from map(_write_plate, *jobs)
        return
    # Spawned, not forked: the caller may hold threads (TensorFlow's, Beam's).
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, count), mp_context=context) as pool:
        yield from pool.map(_write_plate, *jobs)


def _write_plate(
    config: SimulationConfig, rows: list[SiteRow], out: Path, clean: Path | None
) -> None:
    """Simulate and write the sites of one plate."""
    for folder in filter(None, (out, clean)):
        _plate_folder(folder, rows[0]).mkdir(parents=True, exist_ok=True)
    for row in rows:
        noisy_CHW, clean_CHW = simulate_site(config, row)
        _write_site(_plate_folder(out, row), row, noisy_CHW)
        if clean is not None:
            _write_site(_plate_folder(clean, row), row, clean_CHW)


def _plate_folder(folder: Path, row: SiteRow) -> Path:
    return folder / IMAGES_NAME / row.experiment / f"Plate{row.plate}"


def _write_site(folder: Path, row: SiteRow, image_CHW: np.ndarray) -> None:
    import imagecodecs

    for channel, grey_HW in enumerate(quantise(image_CHW), start=1):
        name = f"{row.well}_s{row.site}_w{channel}.png"
        (folder / name).write_bytes(imagecodecs.png_encode(grey_HW, level=6))


def _write_table(path: Path, rows: list[SiteRow]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(row.values for row in rows)
    _write_atomically(path, text.getvalue().encode())


def _write_atomically(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    part.replace(path)
