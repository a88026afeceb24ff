"""Single images in files: PNG and TIFF of one channel, read strictly and written whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.errors import PlatewiseError
from trainer.tiff_metadata import MIN_IS_BLACK, MIN_IS_WHITE, tiff_metadata

if TYPE_CHECKING:
    from tifffile import TiffFile

PNG, TIFF = (".png",), (".tif", ".tiff")
SUFFIXES = (*PNG, *TIFF)


@dataclass(frozen=True, eq=False)
class GreyImage:
    """Pixels of a file, and what its copy must keep beside them."""

    #: uint8, uint16 or float32; [H, W], or [..., H, W] for a TIFF of several pages.
    pixels: np.ndarray
    #: What ``tifffile.imwrite`` is told, so that a TIFF's axes, size of a pixel and so on stay.
    keep: dict[str, Any] = field(default_factory=dict)

    def with_pixels(self, pixels: np.ndarray) -> GreyImage:
        """The same file with other pixels.

        A description that came with the file may tell its dtype, and goes where that changes.
        """
        keep = self.keep
        if pixels.dtype != self.pixels.dtype:
            keep = {key: value for key, value in keep.items() if key != "description"}
        return GreyImage(pixels, keep)


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
        if not any(series.is_multifile for series in file.series):
            return _grey_of(file, path)
    # Of a data set in many files, each file is read for itself.
    with tifffile.TiffFile(path, is_ome=False) as file:
        return _grey_of(file, path)


def _grey_of(file: TiffFile, path: Path) -> GreyImage:
    if len(file.series) != 1 or not file.series[0].axes.endswith("YX"):
        axes = ", ".join(series.axes for series in file.series)
        raise PlatewiseError(f"{path} has axes {axes}; one series of grey pages (...YX) is read")
    if int(file.pages.first.photometric) not in (MIN_IS_WHITE, MIN_IS_BLACK):
        raise PlatewiseError(f"{path} is in colour; grey images are read")
    return GreyImage(file.series[0].asarray(), tiff_metadata(file))


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
                software="Platewise",
                **{"compression": "zlib", "photometric": "minisblack"} | image.keep,
            )
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise PlatewiseError(f"cannot write {path}: {error.strerror or error}") from error
