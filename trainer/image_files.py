"""Single images in files: PNG and TIFF of one channel, read strictly and written whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from trainer.errors import PlatewiseError

PNG, TIFF = (".png",), (".tif", ".tiff")
SUFFIXES = (*PNG, *TIFF)


@dataclass(frozen=True, eq=False)
class GreyImage:
    """Pixels of a file, and what its copy must keep beside them."""

    #: uint8, uint16 or float32; [H, W], or [..., H, W] for a TIFF of several pages.
    pixels: np.ndarray
    #: TIFF tags that say how large a pixel is.
    keep: dict[str, Any] = field(default_factory=dict)


def read_grey(path: Path) -> GreyImage:
    """Read a PNG or TIFF of grey pixels.

    Raises
    ------
    PlatewiseError
        Not such a file, damaged, in colour, or of another dtype; the message names the file.
    """
    try:
        image = _read_png(path) if path.suffix.lower() in PNG else _read_tiff(path)
    except PlatewiseError:
        raise
    except Exception as error:
        raise PlatewiseError(f"{path} cannot be read ({error}); is it damaged?") from error
    if image.pixels.dtype not in (np.uint8, np.uint16, np.float32) or image.pixels.size == 0:
        raise PlatewiseError(
            f"{path} holds {image.pixels.dtype} pixels of shape {image.pixels.shape}; uint8, "
            "uint16 and float32 are read"
        )
    if not np.isfinite(image.pixels).all():
        raise PlatewiseError(f"{path} holds pixels that are not finite")
    return image


def _read_png(path: Path) -> GreyImage:
    import imagecodecs

    data = path.read_bytes()
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        raise PlatewiseError(f"{path} is no PNG, whatever its name says")
    pixels = imagecodecs.png_decode(data)
    if pixels.ndim != 2:
        raise PlatewiseError(f"{path} is in colour or has transparency; grey images are read")
    return GreyImage(pixels)


def _read_tiff(path: Path) -> GreyImage:
    import tifffile

    with tifffile.TiffFile(path) as file:
        if len(file.series) != 1 or not file.series[0].axes.endswith("YX"):
            axes = ", ".join(series.axes for series in file.series)
            raise PlatewiseError(
                f"{path} has axes {axes}; one series of grey pages (...YX) is read"
            )
        first = file.pages.first
        if int(first.photometric) not in (0, 1):  # white is 0, or black is 0
            raise PlatewiseError(f"{path} is in colour; grey images are read")
        pixels = file.series[0].asarray()
        tags = first.tags
        keep: dict[str, Any] = {}
        if "XResolution" in tags and "YResolution" in tags:
            x, y = tags["XResolution"].value, tags["YResolution"].value
            if x[1] and y[1]:
                keep["resolution"] = (x[0] / x[1], y[0] / y[1])
                if "ResolutionUnit" in tags:
                    keep["resolutionunit"] = int(tags["ResolutionUnit"].value)
    return GreyImage(pixels, keep)


def write_grey(path: Path, image: GreyImage) -> None:
    """Write a PNG or TIFF under a temporary name, then rename: no half file has the final name.

    Raises
    ------
    PlatewiseError
        It cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() in PNG:
            import imagecodecs

            part.write_bytes(imagecodecs.png_encode(image.pixels, level=6))
        else:
            import tifffile

            tifffile.imwrite(
                part,
                image.pixels,
                compression="zlib",
                photometric="minisblack",
                software="Platewise",
                **image.keep,
            )
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise PlatewiseError(f"cannot write {path}: {error.strerror or error}") from error
