"""Where cells lie, and for every pixel which cell it belongs to and where in that cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainer.simulation.fields import smooth_noise
from trainer.simulation.morphology import Morphology

#: A cell may claim pixels up to this much past its thin margin, in its own radii.
REACH_PAST_LAMELLA = 0.6
_FAR = np.float32(9.0)


@dataclass(frozen=True)
class CellMap:
    """Per pixel: coordinates inside the cell that owns it. All arrays are [H, W]."""

    #: Cell-normalised radius: 1 at the outline, more outside.
    radius_HW: np.ndarray
    #: The same for the nearest other cell, for borders between cells.
    next_radius_HW: np.ndarray
    #: Nucleus-normalised radius: 1 at the nuclear envelope.
    nucleus_HW: np.ndarray
    #: Coordinates along and across the cell's long axis, um from the nucleus.
    along_um_HW: np.ndarray
    across_um_HW: np.ndarray
    #: Index of the owning cell; the last index, n, is nobody.
    owner_HW: np.ndarray
    n_cells: int


def place_cells(
    rng: np.random.Generator, morphology: Morphology, density_per_mm2: float, field_um: float
) -> np.ndarray:
    """Centres [n, 2] (y, x) in um, some outside the field so that cells cross its border.

    Candidates are thinned by a slow field (colonies) and kept a distance apart.
    """
    margin_um = 0.75 * morphology.lamella_reach * morphology.cell_radius_um
    side_um = field_um + 2 * margin_um
    wanted = rng.poisson(density_per_mm2 * 1e-6 * side_um**2)
    candidates = rng.uniform(0, side_um, (6 * wanted + 8, 2))
    waves = rng.standard_normal((4, 2)) / 60  # colonies of some 60 um
    phases = rng.uniform(0, 2 * np.pi, 4)
    slow = np.cos(2 * np.pi * candidates @ waves.T + phases).sum(axis=1)
    keep = np.exp(morphology.clustering * (slow - 2))
    candidates = candidates[rng.uniform(size=len(candidates)) < np.minimum(keep * 2, 1)]
    apart_um = 2.05 * morphology.nucleus_radius_um
    apart_um = min(apart_um, 0.75 / max(density_per_mm2 * 1e-6, 1e-9) ** 0.5)
    centres: list[np.ndarray] = []
    for point in candidates:
        if len(centres) == wanted:
            break
        if centres:
            gap = np.asarray(centres) - point
            if (gap * gap).sum(axis=1).min() < apart_um**2:
                continue
        centres.append(point)
    return np.asarray(centres, dtype=np.float64).reshape(-1, 2) - margin_um


def map_cells(
    rng: np.random.Generator,
    morphology: Morphology,
    centres_um: np.ndarray,
    size_px: int,
    pixel_size_um: float,
) -> CellMap:
    """Give each pixel to the cell whose normalised ellipse it is deepest in."""
    shape = (size_px, size_px)
    axis_um = (np.arange(size_px, dtype=np.float32) + 0.5) * np.float32(pixel_size_um)
    # Bending space once bends every outline, at no cost per cell.
    ruffle_px = 0.45 * morphology.cell_radius_um / pixel_size_um
    y_um = axis_um[:, None] + morphology.ruffle_um * smooth_noise(rng, size_px, ruffle_px)
    x_um = axis_um[None, :] + morphology.ruffle_um * smooth_noise(rng, size_px, ruffle_px)
    n = len(centres_um)
    maps = {k: np.full(shape, _FAR) for k in ("radius", "next", "nucleus", "along", "across")}
    owner = np.full(shape, n, dtype=np.int32)
    swarm = rng.uniform(0, np.pi)  # neighbours share a direction, loosely
    angle = swarm + rng.normal(0, 0.7, n)
    size = np.exp(rng.normal(0, 0.15, n))
    nucleus_size = np.exp(rng.normal(0, 0.1, n))
    stretch = np.sqrt(1 + (morphology.cell_aspect - 1) * rng.gamma(4, 0.25, n))
    nucleus_stretch = np.sqrt(1 + (morphology.nucleus_aspect - 1) * rng.gamma(4, 0.25, n))
    reach = morphology.lamella_reach + REACH_PAST_LAMELLA
    reach_px = reach * morphology.cell_radius_um * size * stretch / pixel_size_um
    for i, (cy, cx) in enumerate(centres_um):
        rows = _window(cy / pixel_size_um, reach_px[i], size_px)
        columns = _window(cx / pixel_size_um, reach_px[i], size_px)
        if rows.start >= rows.stop or columns.start >= columns.stop:
            continue
        at = (rows, columns)
        dy, dx = y_um[at] - np.float32(cy), x_um[at] - np.float32(cx)
        cos, sin = np.float32(np.cos(angle[i])), np.float32(np.sin(angle[i]))
        along, across = dx * cos + dy * sin, dy * cos - dx * sin
        a_um = morphology.cell_radius_um * size[i] * stretch[i]
        b_um = morphology.cell_radius_um * size[i] / stretch[i]
        radius = np.hypot(along / np.float32(a_um), across / np.float32(b_um))
        old, second = maps["radius"][at], maps["next"][at]
        won = radius < old
        maps["next"][at] = np.where(won, old, np.minimum(second, radius))
        r_um = morphology.nucleus_radius_um * nucleus_size[i]
        nucleus = np.hypot(
            along / np.float32(r_um * nucleus_stretch[i]),
            across * np.float32(nucleus_stretch[i] / r_um),
        )
        for name, value in (("nucleus", nucleus), ("along", along), ("across", across)):
            np.copyto(maps[name][at], value, where=won)
        np.copyto(owner[at], i, where=won)
        np.copyto(old, radius, where=won)
    return CellMap(
        maps["radius"], maps["next"], maps["nucleus"], maps["along"], maps["across"], owner, n
    )


def _window(centre_px: float, reach_px: float, size_px: int) -> slice:
    return slice(max(0, int(centre_px - reach_px)), min(size_px, int(centre_px + reach_px) + 2))
