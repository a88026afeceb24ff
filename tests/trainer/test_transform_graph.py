"""What the Transform step wrote, read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trainer.config import NormalizerConfig
from trainer.errors import PlatewiseError
from trainer.transform_graph import (
    TEXT_NAME,
    FittedNormaliser,
    read_classes,
    read_normaliser,
    read_normaliser_table,
)


def fitted() -> FittedNormaliser:
    rng = np.random.default_rng(3)
    return FittedNormaliser(
        config=NormalizerConfig(method="plate_controls", low_percentile=0.1),
        classes=("2", "10"),
        experiments=("HUVEC-01",),
        cell_types=("HUVEC",),
        plates=("HUVEC-01_1", "HUVEC-01_2"),
        center_PC=rng.uniform(0, 255, (2, 6)).astype(np.float32),
        scale_PC=rng.uniform(0.5, 90, (2, 6)).astype(np.float32),
        n_sites=(4, 7),
        n_control_wells=(1, 0),
    )


def test_text_gives_the_same_floats_back_bit_for_bit(tmp_path: Path) -> None:
    written = fitted()
    (tmp_path / TEXT_NAME).write_text(written.to_json())
    read = read_normaliser(str(tmp_path))
    assert read.config == written.config
    assert (read.plates, read.n_sites, read.n_control_wells) == (
        written.plates,
        written.n_sites,
        written.n_control_wells,
    )
    assert read.center_PC.tobytes() == written.center_PC.tobytes()
    assert read.scale_PC.tobytes() == written.scale_PC.tobytes()
    assert read_classes(str(tmp_path)) == ["2", "10"]
    assert read_classes(f"file://{tmp_path}") == ["2", "10"]  # through tf.io.gfile, as gs:// is
    center_C, scale_C = read_normaliser_table(str(tmp_path))["HUVEC-01_2"]
    np.testing.assert_array_equal(center_C, written.center_PC[1])
    np.testing.assert_array_equal(scale_C, written.scale_PC[1])


def test_a_screen_without_labels_has_no_classes(tmp_path: Path) -> None:
    import dataclasses

    (tmp_path / TEXT_NAME).write_text(dataclasses.replace(fitted(), classes=()).to_json())
    assert read_classes(str(tmp_path)) == []


@pytest.mark.parametrize("content", [None, "", '{"plates": []}'])
def test_what_is_not_a_transform_graph_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / TEXT_NAME).write_text(content)
    with pytest.raises(PlatewiseError, match=r"normaliser\.json .*run the Transform step again"):
        read_normaliser(str(tmp_path))
