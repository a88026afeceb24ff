"""One typed configuration for every command, from TOML files and command-line flags.

This module is the only reader of configuration files and of the environment. Paths in a
configuration are relative to the current directory, like paths on the command line.

Importing it costs no TensorFlow and no TFX.
"""

from __future__ import annotations

import dataclasses
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

from components.batch_effect_evaluator.config import BatchEffectsConfig
from components.evaluator.config import EvaluationConfig
from components.leak_audit.config import LeakConfig
from components.plate_example_gen.config import QualityConfig, ScreenConfig, SplitConfig
from pipelines.flags import set_flag
from pipelines.vertex.config import VertexConfig
from trainer.config import NormalizerConfig, TrainerConfig
from trainer.presets import preset
from trainer.simulation.config import SimulationConfig
from trainer.strict import ConfigError, build, to_mapping

#: Configurations that ship with the package, by name.
SHIPPED = ("demo", "rxrx1", "wilds")
Preset = Literal["tiny", "base", "full"]
_PRESETS = get_args(Preset)


@dataclass(frozen=True)
class RunConfig:
    """Where a run lives: everything it writes is under ``root/name``."""

    #: Name of the run, and of its folder.
    name: str = "run"
    #: Folder that holds all runs.
    root: str = "runs"
    #: Reuse what an earlier run of the same name made from the same inputs, code and
    #: configuration.
    cache: bool = True

    def __post_init__(self) -> None:
        # What globbing and URIs would read as something else is kept out of every path.
        if not re.fullmatch(r"[\w.+=@ -]{1,200}", self.name) or set(self.name) <= set(". "):
            raise ConfigError(
                "name must be 1 to 200 letters, digits, spaces and characters of . _ - + = @, "
                f"and not only dots; got {self.name!r}"
            )

    @property
    def folder(self) -> str:
        """Folder of this run."""
        return os.path.join(self.root, self.name)


@dataclass(frozen=True)
class TrainingConfig(TrainerConfig):
    """The trainer's configuration: a preset, and what differs from it."""

    #: ``tiny`` (demo, CPU), ``base`` (224 px) or ``full`` (512 px); every other key of this
    #: section takes its default from the preset.
    preset: Preset = "base"
    #: Controls, positive and negative, are classes too, as in WILDS; else treatments alone.
    #: The gate and the page's accuracies are over treatment wells in either case.
    controls_as_classes: bool = False

    def trainer(self) -> TrainerConfig:
        """The trainer's own part: two presets that agree in every value are the same."""
        names = [f.name for f in dataclasses.fields(TrainerConfig)]
        return TrainerConfig(**{name: getattr(self, name) for name in names})


@dataclass(frozen=True)
class PushConfig:
    """Where a blessed model goes."""

    #: Folder of versions, one subfolder a push; empty: ``pushed`` in the run's folder.
    folder: str = ""


@dataclass(frozen=True)
class BeamConfig:
    """How Beam runs the data components on this machine."""

    #: Worker threads or processes; 0: one for each core, at most 8.
    workers: int = 0
    #: Processes cost 10 to 20 s to start; threads suffice, for decoding leaves the GIL.
    mode: Literal["multi_threading", "multi_processing"] = "multi_threading"
    #: Further Beam pipeline options, such as ``--temp_location=gs://bucket/tmp``.
    extra_args: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise ConfigError(f"workers must be >= 0 (0: one for each core); got {self.workers}")


@dataclass(frozen=True, kw_only=True)
class PlatewiseConfig:
    """Everything a command needs; each field is a section of the TOML file."""

    run: RunConfig = field(default_factory=RunConfig)
    screen: ScreenConfig
    splits: SplitConfig = field(default_factory=SplitConfig)
    quality: QualityConfig = field(default_factory=QualityConfig)
    leaks: LeakConfig = field(default_factory=LeakConfig)
    normalizer: NormalizerConfig = field(default_factory=NormalizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    batch_effects: BatchEffectsConfig = field(default_factory=BatchEffectsConfig)
    push: PushConfig = field(default_factory=PushConfig)
    beam: BeamConfig = field(default_factory=BeamConfig)
    simulation: SimulationConfig = field(default_factory=SimulationConfig)
    vertex: VertexConfig = field(default_factory=VertexConfig)

    def __post_init__(self) -> None:
        channels = len(self.screen.channel_names)
        if self.training.model.n_channels != channels:
            raise ConfigError(
                f"training.model.n_channels is {self.training.model.n_channels}, but "
                f"screen.channel_names names {channels} channels; leave n_channels out"
            )

    @property
    def push_folder(self) -> str:
        """Folder that receives a new version of the model when it is blessed."""
        return self.push.folder or os.path.join(self.run.folder, "pushed")


def from_mapping(mapping: Mapping[str, Any]) -> PlatewiseConfig:
    """Configuration from a nested mapping of plain values, the preset laid underneath.

    Raises
    ------
    ConfigError
        Unknown key (with the nearest known one), missing key or a value that does not fit.
    """
    sections = dict(mapping)
    training = sections.get("training", {})
    if isinstance(training, Mapping):
        below = _training_defaults(training.get("preset"), sections.get("screen"))
        sections["training"] = _overlay(below, training)
    return build(PlatewiseConfig, sections)


def _training_defaults(name: Any, screen: Any) -> dict[str, Any]:
    """What [training] holds where it says nothing: the preset, and the screen's channels."""
    values = to_mapping(preset(name if name in _PRESETS else TrainingConfig.preset))
    if isinstance(screen, Mapping) and isinstance(screen.get("channel_names"), list | tuple):
        values["model"]["n_channels"] = len(screen["channel_names"])
    return values


def load(
    file: str | Path | None = None,
    flags: Sequence[tuple[str, str]] = (),
    base: Mapping[str, Any] | None = None,
) -> PlatewiseConfig:
    """Configuration of a command.

    Parameters
    ----------
    file
        TOML file, or the name of a shipped one (``demo``, ``rxrx1``, ``wilds``); None: the
        defaults.
    flags
        Dotted keys with their values as text, in order; they win over the file.
    base
        Nested values underneath the file, section by section and key by key.

    Raises
    ------
    ConfigError
        The file cannot be read, or what :func:`from_mapping` raises.
    """
    mapping = _overlay(dict(base or {}), read_toml(file) if file is not None else {})
    for key, text in flags:
        set_flag(PlatewiseConfig, mapping, key, text)
    try:
        return from_mapping(mapping)
    except ConfigError as error:
        if file is None:
            raise
        raise ConfigError(f"{file}{' with its flags' if flags else ''}: {error}") from None


def read_toml(file: str | Path) -> dict[str, Any]:
    """Values of a TOML file, or of a shipped configuration given by name."""
    try:
        if str(file) in SHIPPED:
            return tomllib.loads(shipped_text(str(file)))
        with open(file, "rb") as stream:
            return tomllib.load(stream)
    except FileNotFoundError:
        raise ConfigError(
            f"no configuration file {file} (a path, or one of {', '.join(SHIPPED)})"
        ) from None
    except OSError as error:
        raise ConfigError(f"cannot read configuration {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not valid TOML: {error}") from None


def shipped_text(name: str) -> str:
    """Text of a configuration that ships with the package."""
    return resources.files("pipelines").joinpath(f"configs/{name}.toml").read_text("utf-8")


def _overlay(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, Mapping):
            value = _overlay(old, value)
        merged[key] = value
    return merged


def terminal_can_redraw() -> bool:
    """Whether ``TERM`` names a terminal that can redraw a line in place."""
    return os.environ.get("TERM", "dumb") != "dumb"
