"""What a copy of a TIFF must keep beside its pixels: axes, size of a pixel, names of channels.

Everything is in terms of tifffile's ``imwrite``, so that a copy opens in the same programs and
in the same way: an ImageJ hyperstack stays one, an OME-TIFF too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

if TYPE_CHECKING:
    from tifffile import TiffFile

MIN_IS_WHITE, MIN_IS_BLACK = 0, 1
#: What tifffile works out anew from the pixels.
_IMAGEJ_DERIVED = ("ImageJ", "images", "channels", "slices", "frames", "hyperstack", "axes")
_OME_SIZES = ("PhysicalSizeX", "PhysicalSizeY", "PhysicalSizeZ", "TimeIncrement")


def tiff_metadata(file: TiffFile) -> dict[str, Any]:
    """Arguments of ``tifffile.imwrite`` that make a copy of a TIFF of one series like it.

    Of OME-XML the axes, the name of the image, sizes of a pixel, time between frames and names of
    channels are kept. A description that is none of these formats' is kept as it is.
    """
    first = file.pages.first
    white = int(first.photometric) == MIN_IS_WHITE
    keep: dict[str, Any] = {"photometric": "miniswhite" if white else "minisblack"}
    keep |= _resolution(first.tags)
    # As what it was read: XML that says OME may be broken, and the pages be read without it.
    kind, axes = file.series[0].kind, file.series[0].axes
    if kind == "imagej":
        known = file.imagej_metadata or {}
        more = {key: value for key, value in known.items() if key not in _IMAGEJ_DERIVED}
        # ImageJ reads its hyperstacks uncompressed alone.
        return keep | {"imagej": True, "compression": None, "metadata": {"axes": axes} | more}
    if kind == "ome":
        return keep | {"ome": True, "metadata": {"axes": axes} | _ome(file.ome_metadata or "")}
    if first.description and kind != "shaped":
        keep |= {"description": first.description.encode(), "metadata": None}
    return keep


def _resolution(tags: Any) -> dict[str, Any]:
    if "XResolution" not in tags or "YResolution" not in tags:
        return {}
    x, y = tags["XResolution"].value, tags["YResolution"].value
    if not (x[1] and y[1]):
        return {}
    keep: dict[str, Any] = {"resolution": (x[0] / x[1], y[0] / y[1])}
    if "ResolutionUnit" in tags:
        keep["resolutionunit"] = int(tags["ResolutionUnit"].value)
    return keep


def _ome(xml: str) -> dict[str, Any]:
    """What ``imwrite`` takes of the first image of an OME-XML."""
    image = ElementTree.fromstring(xml).find("{*}Image")
    pixels = None if image is None else image.find("{*}Pixels")
    if image is None or pixels is None:
        return {}
    keep: dict[str, Any] = {"Name": image.get("Name")} if image.get("Name") else {}
    for size in _OME_SIZES:
        if size in pixels.attrib:
            keep[size] = float(pixels.attrib[size])
            if f"{size}Unit" in pixels.attrib:
                keep[f"{size}Unit"] = pixels.attrib[f"{size}Unit"]
    names = [channel.get("Name") for channel in pixels.findall("{*}Channel")]
    if names and all(names):
        keep["Channel"] = {"Name": names}
    return keep
