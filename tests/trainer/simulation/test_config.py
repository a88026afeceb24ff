from __future__ import annotations

import subprocess
import sys

import pytest

import trainer.simulation
from trainer.simulation import SimulationConfig, demo_config, tiny_config
from trainer.strict import ConfigError, build, to_mapping


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cell_types": ("HeLa",)}, "unknown.*HeLa.*HUVEC"),
        ({"cell_types": ()}, "at least one"),
        ({"cell_types": ("RPE", "RPE")}, "twice"),
        ({"experiments_per_cell_type": 0}, "experiments_per_cell_type must be >= 1; got 0"),
        ({"test_experiments_per_cell_type": 3}, "must lie in 0..2.*got 3"),
        ({"treatments": 3}, "one a plate.*got 3"),
        ({"treatments": 1200}, "would need 331 wells and has 308"),
        ({"image_size_px": 8}, "16..4096; got 8"),
        ({"pixel_size_um": 0.0}, "0.1..10"),
        ({"biology_strength": -1.0}, "biology_strength must be finite and >= 0.*-1.0"),
        ({"batch_strength": float("nan")}, "batch_strength must be finite"),
        ({"stain_gain_log_sd": float("inf")}, "stain_gain_log_sd must be finite"),
        ({"cell_type_specificity": 1.5}, "0..1; got 1.5"),
        ({"seed": -1}, "seed must be >= 0"),
        ({"positive_controls": -1}, "positive_controls must be >= 0"),
    ],
)
def test_refuses_impossible_screens(change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SimulationConfig(**change)


@pytest.mark.parametrize("config", [SimulationConfig(), demo_config(), tiny_config()])
def test_survives_the_trip_through_a_configuration_file(config: SimulationConfig) -> None:
    assert build(SimulationConfig, to_mapping(config)) == config


def test_the_default_screen_has_the_shape_of_rxrx1() -> None:
    config = SimulationConfig()

    assert config.wells_per_plate == 308
    assert (config.treatments, config.positive_controls) == (1108, 30)


def test_factories_take_changes() -> None:
    assert demo_config(biology_strength=0.0).biology_strength == 0
    assert tiny_config(seed=7).seed == 7


def test_configuring_a_screen_does_not_load_numpy() -> None:
    code = (
        "import sys; from trainer.simulation import SimulationConfig; SimulationConfig();"
        "assert 'numpy' not in sys.modules; from trainer.simulation import simulate_screen;"
        "assert 'numpy' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_package_has_no_other_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'simulate'"):
        trainer.simulation.simulate  # noqa: B018
