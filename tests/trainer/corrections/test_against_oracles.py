"""Against pycytominer and harmonypy (tests/oracles/make_corrections_golden.py)."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from trainer.corrections import fit_correction

ORACLES = Path(__file__).parents[2] / "oracles"
GOLDEN = json.loads((ORACLES / "corrections_golden.json").read_text())


@pytest.fixture
def profiles(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ORACLES))
    monkeypatch.delitem(sys.modules, "batch_effect_profiles", raising=False)
    import batch_effect_profiles

    return batch_effect_profiles.screen(dimensions=GOLDEN["dimensions"])


def test_sphering_is_pycytominers_zca(profiles) -> None:
    control = profiles.label_N == GOLDEN["control"]
    fitted = fit_correction("sphering", profiles.features_ND, profiles.experiment_N, control)
    ours = fitted.apply(profiles.features_ND, profiles.experiment_N, control)
    np.testing.assert_allclose(ours[:: GOLDEN["every"]], GOLDEN["sphering"], atol=1e-9)


@pytest.mark.skipif(
    importlib.util.find_spec("harmonypy") is None,
    reason="harmonypy is GPL and does not come with Platewise; pip install harmonypy",
)
def test_harmony_is_harmonypys(profiles) -> None:
    fitted = fit_correction("harmony", profiles.features_ND, profiles.experiment_N)
    ours = fitted.apply(profiles.features_ND, profiles.experiment_N)
    np.testing.assert_allclose(ours[:: GOLDEN["every"]], GOLDEN["harmony"], atol=1e-4)
