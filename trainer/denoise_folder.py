"""A folder of images in, the same folder denoised out: same names, dtype and grey-level scale.

What is finished is written down in ``denoise-records.jsonl`` in the output folder: the digests of
what went in, of how it was denoised and of what came out. A file whose three digests still
hold is skipped by a later run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from trainer.errors import PlatewiseError
from trainer.image_files import SUFFIXES, GreyImage, read_grey, write_grey
from trainer.schema import GREY_LEVELS, natural_key

RECORDS = "denoise-records.jsonl"


@dataclass(frozen=True)
class Unit:
    """Files that are denoised together: one image, or the channels of a site."""

    name: str
    #: Relative to the input folder, in the order of the channels.
    paths: tuple[Path, ...]


#: Denoises the images of a unit, grey levels 0..255 float32 [H, W, C] in and out.
Denoise = Callable[[Unit, np.ndarray], np.ndarray]


@dataclass(eq=False)
class Outcome:
    """What a run did, in files."""

    written: int = 0
    skipped: int = 0
    #: What could not be denoised, and why.
    failures: list[str] = field(default_factory=list)
    #: Largest share of a file's pixels that left its range and were clipped, and the file.
    clipped_share: float = 0.0
    clipped_path: str = ""


def image_files(folder: Path) -> list[Path]:
    """Paths of the PNGs and TIFFs under a folder, relative to it, in natural order.

    Raises
    ------
    PlatewiseError
        No folder, or none in it.
    """
    if not folder.is_dir():
        raise PlatewiseError(f"no folder {folder}; give the folder that holds the images")
    found = [
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]
    if not found:
        raise PlatewiseError(f"no image ({', '.join(SUFFIXES)}) under {folder}")
    return sorted(found, key=lambda path: natural_key(path.as_posix()))


def check_folders(source: Path, target: Path) -> None:
    """Refuse an output folder that is the input folder, or lies in it, or holds it."""
    a, b = source.resolve(), target.resolve()
    if a == b or a in b.parents or b in a.parents:
        raise PlatewiseError(f"{target} and {source} lie in each other; give another folder OUT")
    if target.exists() and not target.is_dir():
        raise PlatewiseError(f"{target} is a file; give a folder for the denoised images")


def denoise_units(
    source: Path,
    target: Path,
    units: Sequence[Unit],
    denoise: Denoise,
    method: str,
    *,
    white_grey_level: float = 0.0,
    as_float: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> Outcome:
    """Denoise units one after another; a unit that cannot be denoised is told and left out.

    Parameters
    ----------
    method
        Names filter, settings or model and all that the result depends on beside the pixels.
    white_grey_level
        Level of the files that becomes 255 for the filter (4095 for a 12-bit camera); 0 takes the
        largest of the dtype. Results are brought back to the files' own levels.
    as_float
        Write float32 TIFFs, neither rounded nor clipped.
    progress
        Called before each unit with the units done, the units in all and the unit's name.
    """
    outcome = Outcome()
    how = _digest(json.dumps([method, white_grey_level, as_float]).encode())
    records = _read_records(target / RECORDS)
    _end_last_line(target / RECORDS)
    for number, unit in enumerate(units):
        if progress is not None:
            progress(number, len(units), unit.name)
        try:
            _denoise_unit(
                source, target, unit, denoise, how, white_grey_level, as_float, records, outcome
            )
        except (PlatewiseError, OSError) as error:
            outcome.failures.append(str(error))
    return outcome


def _denoise_unit(
    source: Path,
    target: Path,
    unit: Unit,
    denoise: Denoise,
    how: str,
    white_grey_level: float,
    as_float: bool,
    records: dict[str, list[str]],
    outcome: Outcome,
) -> None:
    digests = [_digest((source / path).read_bytes()) for path in unit.paths]
    together = _digest("".join(digests).encode())
    outputs = [target / (path.with_suffix(".tif") if as_float else path) for path in unit.paths]
    keys = [path.relative_to(target).as_posix() for path in outputs]
    if all(_is_done(records.get(k), together, how, o) for k, o in zip(keys, outputs, strict=True)):
        outcome.skipped += len(outputs)
        return
    images = [read_grey(source / path) for path in unit.paths]
    shapes = {(image.pixels.shape, image.pixels.dtype) for image in images}
    if len(shapes) > 1:
        told = ", ".join(f"{dtype} {shape}" for shape, dtype in shapes)
        raise PlatewiseError(f"the channels of {unit.name} differ: {told}")
    scale = _grey_levels_a_step(images[0].pixels.dtype, white_grey_level)
    stack = np.stack([image.pixels for image in images], axis=-1).astype(np.float32) * scale
    denoised = np.stack([denoise(unit, page) for page in _pages(stack)]).reshape(stack.shape)
    for c, (image, output, key) in enumerate(zip(images, outputs, keys, strict=True)):
        levels = denoised[..., c] / scale
        pixels = levels.astype(np.float32) if as_float else _as_stored(levels, image, key, outcome)
        write_grey(output, image.with_pixels(pixels))
        record = [together, how, _digest(output.read_bytes())]
        records[key] = record
        with (target / RECORDS).open("a") as stream:
            stream.write(json.dumps([key, *record]) + "\n")
        outcome.written += 1


def _pages(stack: np.ndarray) -> Iterator[np.ndarray]:
    """The images [H, W, C] of a stack [..., H, W, C]."""
    yield from stack.reshape(-1, *stack.shape[-3:])


def _grey_levels_a_step(dtype: np.dtype, white_grey_level: float) -> np.float32:
    """Grey levels of 0..255 that one level of the file makes."""
    largest = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else GREY_LEVELS - 1
    return np.float32((GREY_LEVELS - 1) / (white_grey_level or largest))


def _as_stored(levels: np.ndarray, image: GreyImage, key: str, outcome: Outcome) -> np.ndarray:
    """Rounded and clipped to the dtype of the file; counts what was clipped."""
    dtype = image.pixels.dtype
    if not np.issubdtype(dtype, np.integer):
        return levels.astype(dtype)
    rounded = np.round(levels)
    largest = np.iinfo(dtype).max
    share = float(np.mean((rounded < 0) | (rounded > largest)))
    if share > outcome.clipped_share:
        outcome.clipped_share, outcome.clipped_path = share, key
    stored: np.ndarray = np.clip(rounded, 0, largest).astype(dtype)
    return stored


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def _is_done(record: list[str] | None, together: str, how: str, output: Path) -> bool:
    if record is None or record[:2] != [together, how] or not output.is_file():
        return False
    return _digest(output.read_bytes()) == record[2]


def _read_records(path: Path) -> dict[str, list[str]]:
    """Key -> digests; a line that a killed run left half written counts for nothing."""
    records: dict[str, list[str]] = {}
    if not path.is_file():
        return records
    for line in path.read_text().splitlines():
        try:
            row: Any = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(row, list) and len(row) == 4:
            records[row[0]] = row[1:]
    return records


def _end_last_line(path: Path) -> None:
    """What a killed run left half written must not swallow the next record."""
    if path.is_file() and not path.read_bytes().endswith(b"\n"):
        with path.open("a") as stream:
            stream.write("\n")


def single_files(paths: Sequence[Path]) -> list[Unit]:
    """Each image by itself."""
    return [Unit(path.as_posix(), (path,)) for path in paths]


def check_outputs(units: Sequence[Unit], as_float: bool) -> None:
    """Refuse two inputs that would become one float32 TIFF."""
    if not as_float:
        return
    seen: dict[Path, Path] = {}
    for path in (path for unit in units for path in unit.paths):
        output = path.with_suffix(".tif")
        if output in seen:
            raise PlatewiseError(f"{seen[output]} and {path} would both become {output}")
        seen[output] = path
