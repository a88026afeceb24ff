"""A trained model in a folder: finding it, and knowing one from another."""

from __future__ import annotations

import hashlib
from pathlib import Path

from trainer.artifact import DESCRIPTION, TRANSFORM_IN_MODEL, read_description
from trainer.config import PredictConfig
from trainer.errors import PlatewiseError

#: Folder of versions in a run's folder, where the configuration names no other.
PUSHED = "pushed"

_SAVED_MODEL = "saved_model.pb"
#: Where a model artifact keeps its SavedModel (TFX's layout).
_IN_ARTIFACT = "Format-Serving"


def find_model(path: str) -> Path:
    """Folder of the SavedModel that a user means.

    Parameters
    ----------
    path
        A pushed version; a folder of versions, or of a run with its own ``pushed`` (the newest
        is taken); or a model artifact.

    Raises
    ------
    PlatewiseError
        There is no model of ours there; the message says what was looked for.
    """
    folder = Path(path)
    for candidate in (folder, folder / _IN_ARTIFACT):
        if (candidate / _SAVED_MODEL).is_file():
            return _checked(candidate)
    versions = [
        version
        for parent in (folder, folder / PUSHED)
        for version in (parent.iterdir() if parent.is_dir() else ())
        if version.name.isdigit() and (version / _SAVED_MODEL).is_file()
    ]
    if versions:
        return _checked(max(versions, key=lambda version: int(version.name)))
    what = (
        "there is no such folder"
        if not folder.is_dir()
        else f"it holds no {_SAVED_MODEL} (was no model blessed?)"
    )
    raise PlatewiseError(
        f"no model at {path}: {what}; give a run's folder with a blessed model, the folder "
        "that it pushed to, or one version in it"
    )


def find_denoiser(path: str) -> Path:
    """Folder of the denoiser that a user means: a model as above, one alone, or ``generic``.

    Raises
    ------
    PlatewiseError
        There is no model of ours there.
    """
    from trainer.denoise import GENERIC
    from trainer.denoising.saved import is_denoiser

    if path == "generic" and not Path(path).exists():
        return GENERIC
    return Path(path) if is_denoiser(path) else find_model(path)


def _checked(folder: Path) -> Path:
    if not (folder / TRANSFORM_IN_MODEL).is_dir():
        raise PlatewiseError(
            f"{folder} is a SavedModel but not one of Platewise: it has no {TRANSFORM_IN_MODEL}"
        )
    return folder


def predict_config_of(model: Path) -> PredictConfig:
    """How a model reads plates, as it was trained to."""
    return read_description(str(model / "platewise" / DESCRIPTION)).config.predict


def model_digest(model: Path) -> str:
    """Digest of a model's files, in which two models at the same place differ."""
    digest = hashlib.sha256()
    for path in sorted(model.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(model).as_posix()}\0".encode())
            with path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:16]
