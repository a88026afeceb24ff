"""Every dial of the simulated screen, with its unit and its default."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from trainer.strict import ConfigError

#: RxRx1's cell types; each has its own morphology in :mod:`trainer.simulation.morphology`.
CELL_TYPES = ("HUVEC", "RPE", "HEPG2", "U2OS")
#: Inner wells of a 384-well plate, rows B..O and columns 02..23, as RxRx1 uses them.
INNER_WELLS = 308


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


@dataclass(frozen=True)
class SimulationConfig:
    """One simulated screen. The defaults have the shape of a small RxRx1 at 512 px.

    A dial whose name ends in ``_sd`` or ``_log_sd`` is the standard deviation of an
    effect over experiments; ``plate_share`` of it is added anew for each plate.
    """

    seed: int = 0
    cell_types: tuple[str, ...] = CELL_TYPES
    experiments_per_cell_type: int = 3
    #: The last so many experiments of each cell type are ``test`` in the table.
    test_experiments_per_cell_type: int = 1
    plates_per_experiment: int = 4
    treatments: int = 1108
    #: Positive controls stand once on every plate.
    positive_controls: int = 30
    negative_controls_per_plate: int = 1
    sites_per_well: int = 2
    image_size_px: int = 512
    #: At 0.65 um a HUVEC nucleus has the 345 px of RxRx1's (146 um^2).
    pixel_size_um: float = 0.65

    #: Scale of every treatment's effect; 0 makes all wells untreated.
    biology_strength: float = 1.0
    #: Share of a treatment's effect that differs between cell types, 0..1.
    cell_type_specificity: float = 0.25
    #: Spread of the phenotype between wells of one treatment, in units of the
    #: spread between treatments at biology strength 1.
    well_variability: float = 0.3

    #: Scale of all batch effects below together; 0 makes experiments exchangeable.
    batch_strength: float = 1.0
    #: Standard deviation of a plate's own effect as a share of the experiment's.
    plate_share: float = 0.25
    #: Log standard deviation of the gain of each stain. RxRx1's experiment means of w1
    #: run from 2.1 to 37.9 grey levels, which is 0.6 to 0.7 for 51 experiments.
    stain_gain_log_sd: float = 0.6
    #: Standard deviation of the background of each stain, grey levels (never below 0).
    stain_offset_sd_grey_levels: float = 2.0
    #: Standard deviation of the relative brightness from the centre to a corner.
    illumination_gradient_sd: float = 0.25
    #: Standard deviation of the Gaussian blur's sigma (half normal), px.
    focus_blur_sd_px: float = 0.8
    #: Log standard deviation of the cell density.
    cell_density_log_sd: float = 0.25
    #: Standard deviation of the relative change of density and stain in the outermost
    #: wells; it decays by a factor e over two wells inwards.
    plate_edge_sd: float = 0.2

    #: Variance of the shot noise per grey level of signal, grey levels.
    shot_noise_grey_levels: float = 0.01
    #: Standard deviation of the camera's read noise, grey levels.
    read_noise_sd_grey_levels: float = 0.2

    def __post_init__(self) -> None:
        self._check_design()
        self._check_dials()

    def _check_design(self) -> None:
        unknown = [name for name in self.cell_types if name not in CELL_TYPES]
        _require(not unknown, f"cell_types: unknown {unknown}; known are {', '.join(CELL_TYPES)}")
        _require(bool(self.cell_types), "cell_types must name at least one cell type")
        _require(
            len(set(self.cell_types)) == len(self.cell_types),
            f"cell_types names a cell type twice: {', '.join(self.cell_types)}",
        )
        for name in ("experiments_per_cell_type", "plates_per_experiment", "sites_per_well"):
            _require(getattr(self, name) >= 1, f"{name} must be >= 1; got {getattr(self, name)}")
        for name in ("seed", "positive_controls", "negative_controls_per_plate"):
            _require(getattr(self, name) >= 0, f"{name} must be >= 0; got {getattr(self, name)}")
        _require(
            0 <= self.test_experiments_per_cell_type < self.experiments_per_cell_type,
            "test_experiments_per_cell_type must lie in 0.."
            f"{self.experiments_per_cell_type - 1} (one experiment at least must train); "
            f"got {self.test_experiments_per_cell_type}",
        )
        _require(
            self.treatments >= self.plates_per_experiment,
            f"treatments must be >= plates_per_experiment ({self.plates_per_experiment}), "
            f"one a plate at least; got {self.treatments}",
        )
        _require(
            self.wells_per_plate <= INNER_WELLS,
            f"a plate would need {self.wells_per_plate} wells and has {INNER_WELLS}: lower "
            "treatments, positive_controls or negative_controls_per_plate",
        )
        _require(
            16 <= self.image_size_px <= 4096,
            f"image_size_px must lie in 16..4096; got {self.image_size_px}",
        )
        _require(
            0.1 <= self.pixel_size_um <= 10,
            f"pixel_size_um must lie in 0.1..10; got {self.pixel_size_um}",
        )

    def _check_dials(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float):
                _require(
                    0 <= value < float("inf"),
                    f"{field.name} must be finite and >= 0 (0 switches it off); got {value}",
                )
        _require(
            self.cell_type_specificity <= 1,
            f"cell_type_specificity must lie in 0..1; got {self.cell_type_specificity}",
        )

    @property
    def wells_per_plate(self) -> int:
        """Wells that the fullest plate needs."""
        group = -(-self.treatments // self.plates_per_experiment)
        return group + self.positive_controls + self.negative_controls_per_plate


def demo_config(**changes: Any) -> SimulationConfig:
    """The screen of the demo: small enough to simulate and to learn from on two cores."""
    values: dict[str, Any] = {
        "experiments_per_cell_type": 4,
        "treatments": 24,
        "positive_controls": 2,
        "image_size_px": 64,
        "pixel_size_um": 1.6,
        "biology_strength": 1.5,
        "well_variability": 0.2,
        # The same defocus in um as at 512 px would be a third of a pixel here.
        "focus_blur_sd_px": 0.4,
    }
    return SimulationConfig(**{**values, **changes})


def tiny_config(**changes: Any) -> SimulationConfig:
    """The smallest screen with every part in it, for tests."""
    values: dict[str, Any] = {
        "cell_types": ("HUVEC", "U2OS"),
        "treatments": 8,
        "positive_controls": 1,
        "image_size_px": 32,
        "pixel_size_um": 2.0,
        "biology_strength": 1.5,
    }
    return SimulationConfig(**{**values, **changes})
