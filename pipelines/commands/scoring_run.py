"""One run of the scoring pipeline."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from components.plate_example_gen.storage import require_folder
from pipelines.commands.training_run import announce, lines_on, refuse_other_kind, run_pipeline
from pipelines.config import PlatewiseConfig, load
from pipelines.logs import Terminal
from trainer.strict import ConfigError

if TYPE_CHECKING:
    from tfx.orchestration.pipeline import Pipeline

#: Sections that scoring reads; the rest comes with the model.
_READ = ("run", "screen", "quality", "batch_effects", "beam")
_PREDICT = "training.predict."


def configuration(
    file: str | None, flags: Sequence[tuple[str, str]], screen: str, out: str | None
) -> PlatewiseConfig:
    """Configuration of a scoring run: its folder is never the one a file names for training."""
    if out is None:
        name = os.path.basename(os.path.normpath(screen))
        folder = [("run.name", f"score-{name}"), *flags]
    else:
        root, name = os.path.split(os.path.normpath(out))
        if name in ("", ".", ".."):
            root, name = os.path.split(Path(out).resolve())
        folder = [*flags, ("run.root", root or "."), ("run.name", name)]
    return load(file, [*folder, ("screen.root", screen)])


def refuse_unread(flags: Sequence[tuple[str, str]]) -> None:
    """Refuse a flag that scoring would ignore, for the model brings what it says.

    Raises
    ------
    ConfigError
        Naming the first such flag.
    """
    for key, _ in flags:
        if key.split(".")[0] not in _READ and not key.startswith(_PREDICT):
            raise ConfigError(
                f"predict does not read --{key}: the model brings its own; what it reads is in "
                f"[{'], ['.join(_READ)}] and {_PREDICT}*"
            )


def as_trained(
    config: PlatewiseConfig, model: Path, flags: Sequence[tuple[str, str]]
) -> PlatewiseConfig:
    """The configuration with the model's own way of reading plates, flags laid over it."""
    from pipelines.model_folder import predict_config_of

    given = [key.removeprefix(_PREDICT) for key, _ in flags if key.startswith(_PREDICT)]
    values = {key: getattr(config.training.predict, key) for key in given}
    predict = dataclasses.replace(predict_config_of(model), **values)
    return dataclasses.replace(
        config, training=dataclasses.replace(config.training, predict=predict)
    )


def run_scoring(
    config: PlatewiseConfig, model: str, terminal: Terminal, flags: Sequence[tuple[str, str]] = ()
) -> int:
    """Score a screen and say where the results lie; returns the exit code."""
    from pipelines.model_folder import find_model, model_digest

    run_dir, say = Path(config.run.folder), lines_on(terminal)
    require_folder(config.screen.root)
    found = find_model(model)
    config = as_trained(config, found, flags)
    refuse_other_kind(run_dir, "scoring")
    announce(config, terminal, f"model   {found}")

    def make() -> Pipeline:
        from pipelines.scoring import create_pipeline

        return create_pipeline(
            config, str(found), model_digest(found), predict=config.training.predict
        )

    record = run_pipeline("scoring", make, config, run_dir, terminal)
    from pipelines.commands.page import tell_page, write_page

    tell_page(write_page(record, run_dir), run_dir, say)
    for path in sorted([*run_dir.glob("predictions*.*"), *run_dir.glob("submission.csv")]):
        say(f"        {path}")
    return 0
