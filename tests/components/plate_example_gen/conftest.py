"""Small screens, written with NumPy and Pillow alone."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

OFFICIAL = [
    "site_id",
    "well_id",
    "cell_type",
    "dataset",
    "experiment",
    "plate",
    "well",
    "site",
    "well_type",
    "sirna",
    "sirna_id",
]


def png_bytes(grey_HW: np.ndarray) -> bytes:
    """A PNG as Pillow writes it."""
    stream = io.BytesIO()
    Image.fromarray(grey_HW).save(stream, "png")
    return stream.getvalue()


@dataclass
class SmallScreen:
    """A screen whose rows and files a test changes before it is read."""

    root: Path
    rows: list[dict[str, str]] = field(default_factory=list)
    images: dict[str, np.ndarray] = field(default_factory=dict)

    def paths(self, site_id: str) -> list[Path]:
        """PNGs of one site, in the order of the channels."""
        experiment, plate, well, site = site_id.rsplit("_", 3)
        folder = self.root / "images" / experiment / f"Plate{plate}"
        return [folder / f"{well}_s{site}_w{c}.png" for c in range(1, 7)]

    def row(self, site_id: str) -> dict[str, str]:
        """Table row of one site."""
        return next(row for row in self.rows if row["site_id"] == site_id)

    def write_table(self) -> None:
        """Write ``metadata.csv`` from the rows."""
        with open(self.root / "metadata.csv", "w", newline="") as stream:
            writer = csv.DictWriter(stream, OFFICIAL)
            writer.writeheader()
            writer.writerows(self.rows)


#: Experiment -> cell type, dataset.
EXPERIMENTS = {
    "HUVEC-01": ("HUVEC", "train"),
    "HUVEC-02": ("HUVEC", "train"),
    "RPE-01": ("RPE", "train"),
    "RPE-02": ("RPE", "train"),
    "HUVEC-17": ("HUVEC", "test"),
    "RPE-09": ("RPE", "test"),
}
WELLS = {"B02": "EMPTY", "B03": "s1", "B04": "s2", "C03": "s10"}


def build(root: Path, plates: int = 1, size_px: int = 24, files: bool = True) -> SmallScreen:
    """Official layout: six experiments, four wells a plate, two sites a well."""
    rng = np.random.default_rng(7)
    screen = SmallScreen(root)
    for experiment, (cell_type, dataset) in EXPERIMENTS.items():
        for plate in range(1, plates + 1):
            for well, sirna in WELLS.items():
                for site in (1, 2):
                    well_id = f"{experiment}_{plate}_{well}"
                    kind = "negative_control" if sirna == "EMPTY" else "treatment"
                    values = [f"{well_id}_{site}", well_id, cell_type, dataset, experiment]
                    values += [str(plate), well, str(site), kind, sirna, "0"]
                    screen.rows.append(dict(zip(OFFICIAL, values, strict=True)))
                    if not files:
                        continue
                    image_CHW = rng.integers(0, 200, (6, size_px, size_px), dtype=np.uint8)
                    screen.images[values[0]] = image_CHW
                    paths = screen.paths(values[0])
                    paths[0].parent.mkdir(parents=True, exist_ok=True)
                    for path, channel_HW in zip(paths, image_CHW, strict=True):
                        path.write_bytes(png_bytes(channel_HW))
    root.mkdir(parents=True, exist_ok=True)
    screen.write_table()
    return screen


@pytest.fixture
def small_screen(tmp_path) -> SmallScreen:
    """A whole screen of 48 sites that a test may harm."""
    return build(tmp_path / "screen")


@pytest.fixture
def tables_only(tmp_path) -> SmallScreen:
    """The same without any image, for tests of tables."""
    return build(tmp_path / "screen", files=False)


@pytest.fixture
def build_screen():
    """The builder itself, for other sizes."""
    return build


@pytest.fixture(scope="session")
def build_screen_once():
    """The builder for fixtures that outlive one test."""
    return build


@pytest.fixture
def to_png():
    """Encodes [H, W] as Pillow does."""
    return png_bytes
