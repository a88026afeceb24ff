"""The six stains of one field of view, before the microscope and the camera."""

from __future__ import annotations

import numpy as np

from trainer.simulation.cells import CellMap, map_cells, place_cells
from trainer.simulation.fields import blur, smooth_noise
from trainer.simulation.morphology import Phenotype

#: Sigma of the microscope's own blur in focus, um.
OPTICS_SIGMA_UM = 0.55


def render_site(
    rng: np.random.Generator,
    phenotype: Phenotype,
    density_factor: float,
    size_px: int,
    pixel_size_um: float,
) -> np.ndarray:
    """Noise-free image [C, H, W], grey levels >= 0, without any batch effect but density."""
    shape = phenotype.morphology
    centres = place_cells(
        rng, shape, shape.density_per_mm2 * density_factor, size_px * pixel_size_um
    )
    cells = map_cells(rng, shape, centres, size_px, pixel_size_um)
    stains_CHW = _stains(rng, phenotype, cells, size_px, pixel_size_um)
    stains_CHW = _rounded_cells(rng, shape.rounded_share, stains_CHW, centres, pixel_size_um)
    sigma_px = max(OPTICS_SIGMA_UM / pixel_size_um, 0.45)
    level_C = (np.subtract(shape.level_C, shape.background_C)) * phenotype.stain_C
    image_CHW = np.empty_like(stains_CHW)
    for c, stain_HW in enumerate(stains_CHW):
        sharp = blur(stain_HW, sigma_px)
        # Light from above and below the focal plane.
        haze = blur(stain_HW, 9.0 / pixel_size_um)
        image_CHW[c] = shape.background_C[c] + level_C[c] * (0.85 * sharp + 0.15 * haze)
    return image_CHW


def _soft_step(value: np.ndarray, width: float) -> np.ndarray:
    """1 where ``value`` is well above 0, 0 well below, smooth over ``width``."""
    return 0.5 + 0.5 * np.tanh(value / np.float32(width))


def _stains(
    rng: np.random.Generator,
    phenotype: Phenotype,
    cells: CellMap,
    size_px: int,
    pixel_size_um: float,
) -> np.ndarray:
    m = phenotype.morphology

    def noise(scale_um: float) -> np.ndarray:
        return smooth_noise(rng, size_px, max(scale_um / pixel_size_um, 0.5))

    # Brightness of each cell, per stain; nobody's pixels get the average.
    bright_nC = np.exp(rng.normal(0, 0.18, (cells.n_cells + 1, 6))).astype(np.float32)
    bright_nC *= np.exp(rng.normal(0, 0.15, (cells.n_cells + 1, 1))).astype(np.float32)
    bright_nC[-1] = 1
    own_CHW = np.moveaxis(bright_nC[cells.owner_HW], -1, 0)

    thickness = np.exp(m.thickness_log_sd * noise(m.thickness_scale_um)).astype(np.float32)
    body = _soft_step(1.0 - cells.radius_HW, 0.15)
    lamella = _soft_step(1.5 - cells.radius_HW, 0.35)
    nucleus = _soft_step(1.0 - cells.nucleus_HW, 0.09) * (cells.radius_HW < 3)
    outside = np.maximum(cells.nucleus_HW - 1, 0)
    fine, middle = noise(0.9), noise(1.8)
    grain = noise(m.mito_scale_um)

    chromatin = 1 + m.chromatin * (0.6 * fine + middle)
    nucleoli = nucleus * _soft_step(middle - 1.1, 0.35)
    w1 = nucleus * np.maximum(chromatin, 0.2) * (1 - 0.25 * nucleoli) + 0.03 * body

    perinuclear = body * np.exp(-outside / np.float32(m.reticulum_reach)) * (1 - 0.62 * nucleus)
    reticulum = perinuclear * np.maximum(1 + m.reticulum_texture * (fine + 0.6 * middle), 0.1)
    puncta = body * np.exp(-outside / 1.2) * (1 - nucleus) * np.maximum(grain - 1.6, 0)
    w2 = reticulum + 0.12 * lamella + m.vesicles * 1.5 * puncta

    w4 = reticulum + 0.10 * lamella + nucleus * 0.12 + m.nucleoli * 0.35 * nucleoli

    ridge = np.cos(2 * np.pi / m.fibre_period_um * cells.across_um_HW + 2.2 * noise(5.0))
    fibres = np.exp(2.5 * (ridge - 1)) * _soft_step(noise(5.0) - 0.1, 0.6)
    gap = np.minimum(cells.next_radius_HW, 1.6) - np.minimum(cells.radius_HW, 1.6)
    rim = np.exp(-((gap / 0.09) ** 2)) * (cells.radius_HW < 1.5)
    edge = np.exp(-(((cells.radius_HW - 1.05) / 0.1) ** 2))
    cortex = np.maximum(rim, edge * 0.7) * np.maximum(1 + 0.5 * noise(4.0), 0)
    w3 = lamella * (m.actin_base + m.actin_fibre * fibres) + m.actin_cortex * cortex

    filaments = np.exp(-((grain / 0.55) ** 2))
    network = np.maximum(1 + m.mito_filament * (1.8 * filaments - 1), 0.05)
    w5 = body * np.exp(-outside / np.float32(m.mito_reach)) * (1 - 0.75 * nucleus) * network
    w5 = w5 + 0.05 * lamella + 0.3 * m.vesicles * puncta

    r_um = m.nucleus_radius_um
    stack_um2 = (cells.along_um_HW - 1.35 * r_um) ** 2 + (0.6 * cells.across_um_HW) ** 2
    golgi = np.exp(-stack_um2 / np.float32(2 * m.golgi_radius_um**2)) * (1 - nucleus)
    golgi = golgi * np.maximum(1 + 0.7 * middle, 0)
    w6 = lamella * (0.55 + 0.2 * fibres) + 0.45 * cortex + 0.35 * reticulum
    w6 = w6 + m.golgi_nucleus * nucleus * chromatin + 2.2 * m.golgi * golgi

    stains = [w1, w2, w3, w4, w5, w6]
    out_CHW = np.stack(stains).astype(np.float32) * own_CHW
    out_CHW[1:] *= thickness
    return out_CHW


def _rounded_cells(
    rng: np.random.Generator,
    share: float,
    stains_CHW: np.ndarray,
    centres_um: np.ndarray,
    pixel_size_um: float,
) -> np.ndarray:
    """Adds dying, detached cells: small balls that are bright in every stain."""
    size_px = stains_CHW.shape[-1]
    count = rng.poisson(share * max(len(centres_um), 1))
    axis_um = (np.arange(size_px, dtype=np.float32) + 0.5) * np.float32(pixel_size_um)
    for _ in range(count):
        cy, cx = rng.uniform(0, size_px * pixel_size_um, 2)
        radius_um, peak = rng.uniform(1.5, 4.5), rng.uniform(1.5, 4.0)
        y, x = (axis_um - cy) / radius_um, (axis_um - cx) / radius_um
        ball = np.exp(-((y[:, None] ** 2 + x[None, :] ** 2) ** 2))
        stains_CHW += (peak * rng.uniform(0.3, 1.0, 6))[:, None, None].astype(np.float32) * ball
    return stains_CHW
