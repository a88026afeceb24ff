"""What cells look like: one morphology a cell type, and what a treatment does to it.

Lengths are in um, so that a screen can be rendered at any pixel size. Intensities are
grey levels of an average experiment without batch effects.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from trainer.schema import N_CHANNELS
from trainer.simulation.config import SimulationConfig
from trainer.simulation.seeds import stream


@dataclass(frozen=True)
class Morphology:
    """Average look of one kind of cell under the six stains."""

    density_per_mm2: float
    #: 0 spreads cells evenly; 1 and more gathers them in colonies.
    clustering: float
    nucleus_radius_um: float
    nucleus_aspect: float
    cell_radius_um: float
    cell_aspect: float
    #: Amplitude of the irregularity of outlines, um.
    ruffle_um: float
    #: Relative contrast of the chromatin's texture.
    chromatin: float
    #: Brightness of nucleoli in the RNA stain, relative to the cytoplasm.
    nucleoli: float
    #: Decay of the reticulum away from the nucleus, in nuclear radii.
    reticulum_reach: float
    reticulum_texture: float
    actin_base: float
    actin_fibre: float
    actin_cortex: float
    fibre_period_um: float
    mito_reach: float
    mito_filament: float
    mito_scale_um: float
    golgi: float
    golgi_radius_um: float
    #: Nuclear signal in the Golgi and membrane channel.
    golgi_nucleus: float
    #: Brightness of small vesicles around the nucleus.
    vesicles: float
    #: Log standard deviation and length of slow changes in thickness and staining.
    thickness_log_sd: float
    thickness_scale_um: float
    #: How far thin cell margins (actin, membrane) reach, in cell radii.
    lamella_reach: float
    #: How much darker the cytoplasmic stains are where the nucleus is, 0..1.
    nuclear_shadow: float
    #: Log standard deviation of the brightness of whole cells.
    cell_log_sd: float
    #: Share of the light that comes from outside the focal plane.
    haze: float
    #: Share of rounded, very bright cells.
    rounded_share: float
    #: Grey levels of each channel where its pattern is 1, and of its background.
    peak_C: tuple[float, ...]
    background_C: tuple[float, ...]


MORPHOLOGIES = {
    "HUVEC": Morphology(
        density_per_mm2=900,
        clustering=0.5,
        nucleus_radius_um=7.0,
        nucleus_aspect=1.45,
        cell_radius_um=16,
        cell_aspect=1.5,
        ruffle_um=2.0,
        chromatin=0.16,
        nucleoli=0.9,
        reticulum_reach=1.0,
        reticulum_texture=0.24,
        actin_base=1.0,
        actin_fibre=0.6,
        actin_cortex=0.9,
        fibre_period_um=2.4,
        mito_reach=0.9,
        mito_filament=0.7,
        mito_scale_um=1.0,
        golgi=0.6,
        golgi_radius_um=2.2,
        golgi_nucleus=1.6,
        vesicles=0.4,
        thickness_log_sd=0.18,
        thickness_scale_um=14,
        lamella_reach=2.4,
        nuclear_shadow=0.72,
        cell_log_sd=0.42,
        haze=0.12,
        rounded_share=0.03,
        peak_C=(19.8, 43, 5.08, 24.4, 6.27, 11.4),
        background_C=(0.9, 6.5, 3.5, 3.7, 0.7, 5.5),
    ),
    "RPE": Morphology(
        density_per_mm2=800,
        clustering=0.3,
        nucleus_radius_um=7.4,
        nucleus_aspect=1.2,
        cell_radius_um=23,
        cell_aspect=1.15,
        ruffle_um=1.6,
        chromatin=0.12,
        nucleoli=1.4,
        reticulum_reach=1.4,
        reticulum_texture=0.22,
        actin_base=0.5,
        actin_fibre=0.5,
        actin_cortex=1.6,
        fibre_period_um=3.8,
        mito_reach=1.1,
        mito_filament=0.7,
        mito_scale_um=1.1,
        golgi=1.3,
        golgi_radius_um=2.8,
        golgi_nucleus=0.5,
        vesicles=0.3,
        thickness_log_sd=0.15,
        thickness_scale_um=22,
        lamella_reach=1.7,
        nuclear_shadow=0.62,
        cell_log_sd=0.3,
        haze=0.15,
        rounded_share=0.01,
        peak_C=(26.7, 20.8, 6.14, 15.9, 15.4, 10.8),
        background_C=(1.0, 3.5, 2.5, 2.5, 1.0, 2.8),
    ),
    "HEPG2": Morphology(
        density_per_mm2=1400,
        clustering=0.6,
        nucleus_radius_um=5.6,
        nucleus_aspect=1.2,
        cell_radius_um=14,
        cell_aspect=1.15,
        ruffle_um=1.3,
        chromatin=0.14,
        nucleoli=0.9,
        reticulum_reach=3.2,
        reticulum_texture=0.2,
        actin_base=0.8,
        actin_fibre=0.15,
        actin_cortex=0.45,
        fibre_period_um=3.0,
        mito_reach=3.4,
        mito_filament=0.25,
        mito_scale_um=1.2,
        golgi=0.25,
        golgi_radius_um=1.8,
        golgi_nucleus=0.2,
        vesicles=0.5,
        thickness_log_sd=0.3,
        thickness_scale_um=30,
        lamella_reach=2.0,
        nuclear_shadow=0.6,
        cell_log_sd=0.3,
        haze=0.35,
        rounded_share=0.02,
        peak_C=(35.6, 41.5, 14.2, 26, 55.7, 24),
        background_C=(0.9, 3.5, 3.5, 2.5, 3.5, 2.5),
    ),
    "U2OS": Morphology(
        density_per_mm2=620,
        clustering=0.8,
        nucleus_radius_um=7.8,
        nucleus_aspect=1.25,
        cell_radius_um=20,
        cell_aspect=1.35,
        ruffle_um=3.2,
        chromatin=0.2,
        nucleoli=2.0,
        reticulum_reach=1.1,
        reticulum_texture=0.28,
        actin_base=0.6,
        actin_fibre=1.5,
        actin_cortex=0.9,
        fibre_period_um=4.2,
        mito_reach=1.2,
        mito_filament=0.8,
        mito_scale_um=1.0,
        golgi=1.0,
        golgi_radius_um=3.2,
        golgi_nucleus=0.3,
        vesicles=0.6,
        thickness_log_sd=0.15,
        thickness_scale_um=18,
        lamella_reach=1.6,
        nuclear_shadow=0.68,
        cell_log_sd=0.35,
        haze=0.12,
        rounded_share=0.03,
        peak_C=(26.2, 25.2, 3.72, 18.1, 18.6, 9.11),
        background_C=(1.0, 2.5, 2.0, 2.0, 1.0, 2.0),
    ),
}

#: Traits that a treatment moves, and the log standard deviation over treatments at
#: biology strength 1. Aspects are moved through their excess over 1.
TRAIT_LOG_SD = {
    "density_per_mm2": 0.15,
    "nucleus_radius_um": 0.13,
    "nucleus_aspect": 0.4,
    "cell_radius_um": 0.15,
    "cell_aspect": 0.5,
    "chromatin": 0.5,
    "nucleoli": 0.6,
    "reticulum_reach": 0.35,
    "reticulum_texture": 0.4,
    "actin_fibre": 0.6,
    "actin_cortex": 0.6,
    "fibre_period_um": 0.25,
    "mito_reach": 0.35,
    "mito_filament": 0.5,
    "mito_scale_um": 0.25,
    "golgi": 0.6,
    "golgi_radius_um": 0.3,
    "golgi_nucleus": 0.5,
    "vesicles": 0.7,
}
#: Log standard deviation over treatments of each stain's brightness relative to the
#: others: staining follows what the cell makes.
STAIN_LOG_SD = 0.22


@dataclass(frozen=True)
class Phenotype:
    """The cells of one well: their morphology, and a factor for each stain."""

    morphology: Morphology
    stain_C: np.ndarray


def well_phenotype(
    config: SimulationConfig, cell_type: str, sirna_id: int, well_id: str
) -> Phenotype:
    """Morphology of a cell type under a treatment, with the well's own variation.

    A treatment's direction is the same for all cell types but for a share
    ``cell_type_specificity``; the untreated have no direction at all.
    """
    effect = config.biology_strength * treatment_direction(config, cell_type, sirna_id)
    own = stream(config.seed, "well", well_id).standard_normal(effect.shape)
    return _apply(MORPHOLOGIES[cell_type], effect + config.well_variability * own)


def treatment_direction(config: SimulationConfig, cell_type: str, sirna_id: int) -> np.ndarray:
    """Move of each trait, then of each stain, in standard deviations over treatments."""
    count = len(TRAIT_LOG_SD) + N_CHANNELS
    if sirna_id >= config.treatments + config.positive_controls:
        return np.zeros(count)
    shared = stream(config.seed, "treatment", sirna_id).standard_normal(count)
    own = stream(config.seed, "treatment", sirna_id, cell_type).standard_normal(count)
    share = config.cell_type_specificity
    return np.sqrt(1 - share) * shared + np.sqrt(share) * own


def _apply(morphology: Morphology, effect: np.ndarray) -> Phenotype:
    # Beyond three standard deviations a trait would leave what cells can look like.
    effect = np.clip(effect, -3, 3)
    changed = {}
    for move, (name, log_sd) in zip(effect, TRAIT_LOG_SD.items(), strict=False):
        factor, value = float(np.exp(log_sd * move)), getattr(morphology, name)
        changed[name] = 1 + (value - 1) * factor if name.endswith("aspect") else value * factor
    stain_C = np.exp(STAIN_LOG_SD * effect[len(TRAIT_LOG_SD) :])
    return Phenotype(dataclasses.replace(morphology, **changed), stain_C)
