"""The six stains of one field of view, before the microscope and the camera."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from trainer.schema import N_CHANNELS
from trainer.simulation.cells import CellMap, map_cells, place_cells
from trainer.simulation.fields import blur, smooth_noise
from trainer.simulation.morphology import Phenotype

#: Sigma of the microscope's own blur in focus, um.
OPTICS_SIGMA_UM = 0.55
#: How strongly each stain follows the brightness of the whole cell.
BRIGHTNESS_SHARE_C = np.array([0.3, 1.0, 0.4, 0.9, 0.9, 0.5])


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
    stains_CHW = _rounded_cells(rng, shape.rounded_share, stains_CHW, len(centres), pixel_size_um)
    sigma_px = max(OPTICS_SIGMA_UM / pixel_size_um, 0.45)
    peak_C = np.multiply(shape.peak_C, phenotype.stain_C)
    image_CHW = np.empty_like(stains_CHW)
    for c, stain_HW in enumerate(stains_CHW):
        sharp = blur(stain_HW, sigma_px)
        # Light from above and below the focal plane.
        haze = blur(stain_HW, 9.0 / pixel_size_um)
        mixed = (1 - shape.haze) * sharp + shape.haze * haze
        image_CHW[c] = shape.background_C[c] + peak_C[c] * mixed
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
    """Pattern of each stain, about 1 where it is strong."""
    m = phenotype.morphology

    def noise(scale_um: float) -> np.ndarray:
        return smooth_noise(rng, size_px, max(scale_um / pixel_size_um, 0.5))

    body = _soft_step(1.0 - cells.radius_HW, 0.3)
    lamella = _soft_step(m.lamella_reach - cells.radius_HW, 0.4)
    nucleus = _soft_step(1.0 - cells.nucleus_HW, 0.09) * (cells.radius_HW < 3)
    outside = np.maximum(cells.nucleus_HW - 1, 0)
    shadow = 1 - m.nuclear_shadow * nucleus
    fine, middle, grain = noise(0.8), noise(1.8), noise(m.mito_scale_um)
    thickness = np.exp(m.thickness_log_sd * noise(m.thickness_scale_um))

    chromatin = np.maximum(1 + m.chromatin * (0.6 * fine + middle), 0.2)
    nucleoli = nucleus * _soft_step(middle - 1.1, 0.35)
    near = body * np.exp(-outside)
    w1 = nucleus * chromatin * (1 - 0.25 * nucleoli) + 0.07 * near + 0.05 * lamella

    thick = body * np.exp(-outside / np.float32(m.reticulum_reach))
    reticulum = thick * shadow * np.maximum(1 + m.reticulum_texture * (fine + 0.5 * middle), 0.1)
    puncta = near * (1 - nucleus) * np.maximum(grain - 1.6, 0)
    w2 = reticulum + 0.06 * lamella + m.vesicles * 1.5 * puncta
    w4 = reticulum + 0.06 * lamella + 0.08 * nucleus + m.nucleoli * 0.3 * nucleoli

    fibres = _fibres(rng, cells, m.fibre_period_um) * _soft_step(noise(6.0) + 0.3, 0.8)
    gap = np.minimum(cells.next_radius_HW, m.lamella_reach) - cells.radius_HW
    rim = np.exp(-((gap / 0.09) ** 2)) * (cells.radius_HW < m.lamella_reach - 0.1)
    edge = np.exp(-(((cells.radius_HW - 1.05) / 0.1) ** 2))
    cortex = np.maximum(rim, 0.5 * edge) * np.maximum(0.7 + 0.7 * noise(2.5), 0)
    w3 = lamella * (m.actin_base + m.actin_fibre * fibres) + m.actin_cortex * cortex
    w3 = w3 + 0.5 * thick

    filaments = np.exp(-((grain / 0.6) ** 2)) * np.maximum(1 + 0.4 * fine, 0)
    network = np.maximum(1 + m.mito_filament * (1.8 * filaments - 1), 0.05)
    w5 = body * np.exp(-outside / np.float32(m.mito_reach)) * shadow * network
    w5 = w5 + 0.05 * lamella + 0.3 * m.vesicles * puncta

    r_um = m.nucleus_radius_um
    stack_um2 = (cells.along_um_HW - 1.35 * r_um) ** 2 + (0.6 * cells.across_um_HW) ** 2
    golgi = np.exp(-stack_um2 / np.float32(2 * m.golgi_radius_um**2)) * (1 - nucleus)
    golgi = golgi * np.maximum(1 + 0.7 * middle, 0)
    w6 = lamella * (0.4 * m.actin_base + 0.2 * m.actin_fibre * fibres) + 0.3 * thick
    w6 = w6 + 0.3 * m.actin_cortex * cortex
    w6 = w6 + m.golgi_nucleus * nucleus * chromatin + 1.6 * m.golgi * golgi

    stains_CHW = np.stack([w1, w2, w3, w4, w5, w6]).astype(np.float32)
    stains_CHW[1:] *= thickness
    return stains_CHW * _cell_brightness(rng, m.cell_log_sd, cells, pixel_size_um)


def _cell_brightness(
    rng: np.random.Generator, log_sd: float, cells: CellMap, pixel_size_um: float
) -> np.ndarray:
    """Factor [C, H, W] of the owning cell: mostly its own, a little each stain's."""
    whole_n1 = rng.normal(0, log_sd, (cells.n_cells + 1, 1))
    log_nC = whole_n1 * BRIGHTNESS_SHARE_C + rng.normal(0, 0.06, (cells.n_cells + 1, N_CHANNELS))
    log_nC[-1] = 0  # nobody's pixels get the average
    factor_CHW = np.moveaxis(np.exp(log_nC).astype(np.float32)[cells.owner_HW], -1, 0).copy()
    # Neighbours overlap, thin margins most, so brightness does not jump from cell to cell.
    for c, overlap_um in enumerate((0.5, 1.2, 2.5, 1.2, 1.2, 2.5)):
        factor_CHW[c] = blur(factor_CHW[c], overlap_um / pixel_size_um)
    return factor_CHW


def _fibres(rng: np.random.Generator, cells: CellMap, period_um: float) -> np.ndarray:
    """Stress fibres [H, W], 0..about 2: irregular strands along each cell's long axis."""
    side = 128
    sheet = ndimage.gaussian_filter(
        rng.standard_normal((side, side), dtype=np.float32), (1.0, 1.0), mode="wrap"
    )
    sheet /= sheet.std()
    shift = rng.uniform(0, side, cells.n_cells + 1).astype(np.float32)[cells.owner_HW]
    # Strands are some ten times as long as they are apart.
    at = np.stack(
        [
            cells.across_um_HW * np.float32(3.5 / period_um) + shift,
            cells.along_um_HW * np.float32(0.3 / period_um) + shift,
        ]
    )
    strands = ndimage.map_coordinates(sheet, at, order=1, mode="grid-wrap")
    return np.exp(0.9 * strands) / 1.5


def _rounded_cells(
    rng: np.random.Generator,
    share: float,
    stains_CHW: np.ndarray,
    n_cells: int,
    pixel_size_um: float,
) -> np.ndarray:
    """Adds dying, detached cells and their debris: balls that are bright in every stain."""
    size_px = stains_CHW.shape[-1]
    axis_um = (np.arange(size_px, dtype=np.float32) + 0.5) * np.float32(pixel_size_um)
    for _ in range(rng.poisson(share * max(n_cells, 1))):
        cy, cx = rng.uniform(0, size_px * pixel_size_um, 2)
        radius_um, peak = rng.uniform(1.5, 6.0), rng.uniform(1.0, 4.0)
        y, x = (axis_um - cy) / radius_um, (axis_um - cx) / radius_um
        ball = np.exp(-((y[:, None] ** 2 + x[None, :] ** 2) ** 2))
        peak_C = peak * rng.uniform(0.5, 1.2, N_CHANNELS) * (0.5, 1, 0.6, 1, 1.5, 0.6)
        stains_CHW += peak_C[:, None, None].astype(np.float32) * ball
    return stains_CHW
