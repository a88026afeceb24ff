"""An experiment as a file: arms that differ in a few keys of the configuration.

TOML and not Python: an experiment is a configuration, is checked as strictly as any other, and
runs no code by being read. What it cannot say needs a key of the configuration first.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from pipelines.config import PlatewiseConfig, load
from trainer.corrections import CORRECTION_NAMES
from trainer.simulation.config import demo_config
from trainer.strict import ConfigError, build, to_mapping


@dataclass(frozen=True)
class Arm:
    """One way of doing it."""

    name: str
    #: Sections of the configuration, over those of the experiment.
    set: Mapping[str, Any] = field(default_factory=dict)
    #: Correction after the network, such as ``tvn``; empty: none.
    correction: str = ""
    #: Dials of [simulation] of the screen that is predicted, where it is another one than the
    #: screen trained on: the same sites seen by a noisier camera, say.
    predict_on: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """A set of arms; the first is what the others are compared with."""

    purpose: str
    #: About how long three seeds take on two idle cores, minutes; 0: not measured.
    minutes: float
    expected: str
    arms: tuple[Arm, ...]
    #: Sections of the configuration that hold for every arm, over the demo's screen and preset.
    set: Mapping[str, Any] = field(default_factory=dict)
    #: Every seed has a simulated screen of its own; else seeds differ in training alone.
    vary_screen: bool = True
    name: str = ""

    def __post_init__(self) -> None:
        names = [arm.name for arm in self.arms]
        if not names:
            raise ConfigError("an experiment needs at least one [[arms]]")
        if len(set(names)) < len(names) or not all(names):
            raise ConfigError(f"arms need names that differ; got {', '.join(names)}")
        for name in names:
            if not re.fullmatch(r"[\w.+-][\w.+ -]{0,80}", name):  # names files and --arms too
                raise ConfigError(
                    "an arm's name is letters, digits, spaces and . _ + -, at most 81 of them; "
                    f"got {name!r}"
                )


def known() -> list[str]:
    """Names of the experiments that ship."""
    folder = resources.files("trainer").joinpath("experiments")
    return sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml"))


def read_experiment(name: str) -> Experiment:
    """An experiment that ships, or the TOML file of one.

    Raises
    ------
    ConfigError
        There is none, or a key does not fit; the nearest known one is named.
    """
    if name in known():
        text = resources.files("trainer").joinpath(f"experiments/{name}.toml").read_text("utf-8")
    elif name.endswith(".toml"):
        try:
            text = Path(name).read_text("utf-8")
        except OSError as error:
            raise ConfigError(f"cannot read experiment {name}: {error.strerror}") from None
    else:
        raise ConfigError(
            f"no experiment {name!r}; there are {', '.join(known())} (platewise sweep --list), or "
            "give a TOML file"
        )
    try:
        plain = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name} is not valid TOML: {error}") from None
    experiment = _experiment(plain, Path(name).stem)
    for arm in experiment.arms:
        configuration(experiment, arm, 0)
        configuration(experiment, arm, 0, predicted=True)
    return experiment


def _experiment(plain: dict[str, Any], name: str) -> Experiment:
    arms = plain.pop("arms", [])
    if not isinstance(arms, list) or not all(isinstance(arm, dict) for arm in arms):
        raise ConfigError(f"experiment {name}: arms must be tables, each under [[arms]]")
    head: dict[str, Any] = _with_tables(_Head, plain, ("set",), f"experiment {name}: ")
    return Experiment(
        **head,
        name=name,
        arms=tuple(
            Arm(**_with_tables(_ArmHead, arm, ("set", "predict_on"), f"experiment {name}: arms."))
            for arm in arms
        ),
    )


def _with_tables(
    cls: type, plain: Mapping[str, Any], tables: tuple[str, ...], where: str
) -> dict[str, Any]:
    """Fields of ``cls``, strictly checked, and free tables beside them."""
    free = {key: plain.get(key, {}) for key in tables}
    for key, value in free.items():
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where}{key} must be a table, got {value!r}")
    head: Any = build(cls, {k: v for k, v in plain.items() if k not in tables}, where)
    return {f.name: getattr(head, f.name) for f in dataclasses.fields(head)} | free


@dataclass(frozen=True)
class _Head:
    """What stands above the arms in a file."""

    purpose: str
    minutes: float
    expected: str
    vary_screen: bool = True


@dataclass(frozen=True)
class _ArmHead:
    """What an arm holds beside its tables."""

    name: str
    correction: str = ""


def configuration(
    experiment: Experiment, arm: Arm, seed: int, *, predicted: bool = False
) -> PlatewiseConfig:
    """Configuration of one arm with one seed; whoever runs it says where the screen lies.

    ``predicted`` gives that of the screen that is predicted, where it is another one.

    Raises
    ------
    ConfigError
        A key or a value that does not fit, with the arm's name.
    """
    base: dict[str, Any] = {
        "simulation": to_mapping(demo_config(seed=seed if experiment.vary_screen else 0)),
        "screen": {"root": "screen"},
        "training": {"preset": "tiny", "loop": {"seed": seed}},
    }
    over = [experiment.set, arm.set]
    if predicted:
        over.append({"simulation": arm.predict_on})
    try:
        if arm.correction not in ("", *CORRECTION_NAMES):
            raise ConfigError(
                f"correction must be one of {', '.join(CORRECTION_NAMES)}; got {arm.correction!r}"
            )
        return load(base=functools.reduce(_laid_over, over, base))
    except ConfigError as error:
        raise ConfigError(f"experiment {experiment.name}, arm {arm.name}: {error}") from None


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            value = _laid_over(old, value)
        merged[key] = value
    return merged
