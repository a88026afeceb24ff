"""Batch effects of a plate and of a well: drawn first, scaled by the dials afterwards.

Because the draws do not depend on the dials, the same screen can be simulated with and
without an effect and compared site by site.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainer.schema import N_CHANNELS, plate_id
from trainer.simulation.config import SimulationConfig
from trainer.simulation.layout import wells_from_edge
from trainer.simulation.seeds import stream

#: Draws are cut here, standard deviations: keeps experiments visible and unsaturated.
CUT = 1.8


@dataclass(frozen=True)
class WellEffects:
    """What the batch does to the sites of one well; the neutral value is in brackets."""

    #: Factor of each stain (1).
    gain_C: np.ndarray
    #: Background added to each stain, grey levels (0).
    offset_C: np.ndarray
    #: Relative change of brightness from the centre to the right and lower border (0).
    gradient_xy: tuple[float, float]
    #: Relative change of brightness from the centre to a corner, by the radius squared (0).
    vignetting: float
    #: Sigma of the defocus, px (0).
    blur_sigma_px: float
    #: Factor of the cell density (1).
    density: float


def well_effects(config: SimulationConfig, experiment: str, plate: int, well: str) -> WellEffects:
    """Effects of the experiment, plus the plate's smaller part, plus the well's place."""
    draw = _plate_draws(config, experiment, plate)
    strength = config.batch_strength
    edge = strength * config.plate_edge_sd * draw[0] * np.exp(-wells_from_edge(well) / 2)
    shade = strength * config.illumination_gradient_sd * draw[1:4]
    log_density = strength * config.cell_density_log_sd * draw[5]
    gain_C = np.exp(strength * config.stain_gain_log_sd * draw[6 : 6 + N_CHANNELS])
    offset_C = strength * config.stain_offset_sd_grey_levels * np.abs(draw[6 + N_CHANNELS :])
    return WellEffects(
        gain_C=gain_C * np.exp(edge),
        offset_C=offset_C,
        gradient_xy=(float(shade[0]), float(shade[1])),
        vignetting=float(shade[2]),
        blur_sigma_px=float(strength * config.focus_blur_sd_px * abs(draw[4])),
        density=float(np.exp(log_density + edge)),
    )


def _plate_draws(config: SimulationConfig, experiment: str, plate: int) -> np.ndarray:
    """Standard normal draws of the experiment plus the plate's share of its own."""
    count = 6 + 2 * N_CHANNELS
    of_experiment = stream(config.seed, "experiment", experiment).standard_normal(count)
    of_plate = stream(config.seed, "plate", plate_id(experiment, plate)).standard_normal(count)
    return np.clip(of_experiment, -CUT, CUT) + config.plate_share * np.clip(of_plate, -CUT, CUT)
