"""A copy of a TIFF opens as the TIFF did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from trainer.errors import PlatewiseError
from trainer.image_files import read_grey, write_grey

RNG = np.random.default_rng(6)


def copied(folder: Path, pixels: np.ndarray, name: str = "a.tif", **how: Any) -> Path:
    """The copy of a TIFF written so."""
    tifffile.imwrite(folder / name, pixels, **how)
    image = read_grey(folder / name)
    np.testing.assert_array_equal(image.pixels, pixels)
    write_grey(folder / "copy" / name, image)
    np.testing.assert_array_equal(tifffile.imread(folder / "copy" / name), pixels)
    return folder / "copy" / name


def stack(*shape: int) -> np.ndarray:
    return RNG.integers(0, 60_000, (*shape, 16, 18)).astype(np.uint16)


@pytest.mark.parametrize("kind", [{}, {"imagej": True}, {"ome": True}])
@pytest.mark.parametrize("photometric", ["miniswhite", "minisblack"])
def test_white_stays_white(tmp_path: Path, photometric: str, kind: dict) -> None:
    with tifffile.TiffFile(copied(tmp_path, stack(), photometric=photometric, **kind)) as file:
        assert file.pages.first.photometric.name == photometric.upper()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_an_imagej_hyperstack_stays_one(tmp_path: Path, dtype: type) -> None:
    told = {"axes": "ZCYX", "spacing": 0.3, "unit": "um", "mode": "composite", "Info": "lens = 20x"}
    told |= {"Labels": list("abcdef"), "LUTs": [RNG.integers(0, 255, (3, 256), np.uint8)] * 2}
    pixels = (stack(3, 2) // 256).astype(dtype)
    path = copied(tmp_path, pixels, imagej=True, metadata=told, resolution=(3.1, 3.1))
    with tifffile.TiffFile(path) as file:
        assert file.is_imagej and file.series[0].axes == "ZCYX"
        found = file.imagej_metadata
        assert {key: found[key] for key in told if key not in ("axes", "LUTs")} == {
            key: value for key, value in told.items() if key not in ("axes", "LUTs")
        }
        np.testing.assert_array_equal(found["LUTs"], told["LUTs"])
        assert file.pages.first.resolution == pytest.approx((3.1, 3.1))


def test_an_ome_tiff_stays_one(tmp_path: Path) -> None:
    told = {
        "axes": "CYX",
        "Name": "B02 field 1",
        "PhysicalSizeX": 0.325,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": 0.65,
        "Channel": {"Name": ["DNA & ER", "Actin"]},
    }
    path = copied(tmp_path, stack(2), "a.ome.tif", ome=True, metadata=told)
    with tifffile.TiffFile(path) as file:
        assert file.is_ome and file.series[0].axes == "CYX"
        (image,) = (tifffile.xml2dict(file.ome_metadata)["OME"]["Image"],)
    assert image["Name"] == "B02 field 1"
    assert image["Pixels"]["PhysicalSizeX"] == 0.325
    assert image["Pixels"]["PhysicalSizeXUnit"] == "µm"
    assert image["Pixels"]["PhysicalSizeY"] == 0.65
    assert [c["Name"] for c in image["Pixels"]["Channel"]] == ["DNA & ER", "Actin"]


def test_a_microscopes_own_description_is_kept(tmp_path: Path) -> None:
    xml = '<MetaData><prop id="Exposure" value="250 ms"/> 20 µm</MetaData>'
    path = copied(tmp_path, stack(), description=xml.encode(), metadata=None)
    with tifffile.TiffFile(path) as file:
        assert file.pages.first.description == xml


def test_broken_ome_xml_is_a_description(tmp_path: Path) -> None:
    xml = '<?xml version="1.0"?><OME><Image></OME>'
    path = copied(tmp_path, stack(), description=xml, metadata=None)
    with tifffile.TiffFile(path) as file:
        assert file.pages.first.description == xml


def test_of_a_data_set_in_many_files_each_is_read_for_itself(tmp_path: Path) -> None:
    channels = stack(2)
    names = ["c0.ome.tif", "c1.ome.tif"]
    planes = "".join(
        f'<TiffData FirstC="{c}" IFD="0" PlaneCount="1"><UUID FileName="{name}">urn:uuid:'
        f"0000000{c}-0000-0000-0000-000000000000</UUID></TiffData>"
        for c, name in enumerate(names)
    )
    for c, name in enumerate(names):
        xml = (
            '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:0000000{c}-0000-0000-0000-000000000000"><Image ID="Image:0"><Pixels '
            'ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="18" SizeY="16" SizeC="2" '
            'SizeZ="1" SizeT="1"><Channel ID="Channel:0:0"/><Channel ID="Channel:0:1"/>'
            f"{planes}</Pixels></Image></OME>"
        )
        tifffile.imwrite(tmp_path / name, channels[c], description=xml, metadata=None)
    with tifffile.TiffFile(tmp_path / names[0]) as file:
        assert file.series[0].shape == (2, 16, 18)  # what makes this test worth its name
    for c, name in enumerate(names):
        image = read_grey(tmp_path / name)
        np.testing.assert_array_equal(image.pixels, channels[c])
        write_grey(tmp_path / "copy" / name, image)
        write_grey(tmp_path / "float" / name, image.with_pixels(image.pixels.astype(np.float32)))
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "copy" / names[0]), channels)
    # Their XML tells the dtype, which is another now.
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "float" / names[0]), channels[0])


def test_pages_of_several_series_are_refused(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "two.tif") as writer:
        writer.write(stack(), metadata=None)
        writer.write(stack(3), metadata=None)
        writer.write(RNG.integers(0, 9, (4, 4)).astype(np.uint16), metadata=None)
    with pytest.raises(PlatewiseError, match="one series of grey pages"):
        read_grey(tmp_path / "two.tif")
