"""Features on one scale, and a word where one outweighs the others."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from pipelines.profiles.scaling import scale_note, standardized
from pipelines.profiles.table import Profiles
from trainer.errors import PlatewiseError


def _profiles(features_ND: NDArray[np.floating]) -> Profiles:
    name_N = np.full(len(features_ND), "a")
    names = tuple(f"f{i}" for i in range(features_ND.shape[1]))
    control_N = np.zeros(len(features_ND), bool)
    return Profiles("wells.csv", features_ND, names, name_N, name_N, control_N, notes=("first",))


def _features(n_features: int = 10) -> NDArray[np.float64]:
    return np.random.default_rng(0).normal(3, 1, size=(50, n_features))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_standardized_as_scikit_learn_does(dtype: type[np.floating]) -> None:
    features = (_features(300) * np.logspace(-6, 6, 300)).astype(dtype)
    found = standardized(_profiles(features))
    expected = StandardScaler().fit_transform(features.astype(np.float64))
    assert found.features_ND.dtype == dtype
    assert found.features_ND == pytest.approx(expected, abs=1e-6)
    assert found.notes == ("first", "features standardized over all 50 rows (--standardize)")


def test_constant_features_are_left_out_and_said() -> None:
    features = _features()
    features[:, [2, 5]] = 0.1  # whose mean over 50 rows is not 0.1 to the last digit
    found = standardized(_profiles(features))
    assert found.feature_names == ("f0", "f1", "f3", "f4", "f6", "f7", "f8", "f9")
    assert found.features_ND.shape == (50, 8)
    assert found.notes[-1] == "2 constant features left out, the first 'f2'"
    with pytest.raises(PlatewiseError, match="no feature varies"):
        standardized(_profiles(np.full((50, 3), 0.1)))


def test_one_feature_with_half_of_the_variance_is_named() -> None:
    features = _features()
    features[:, 4] *= 1e6
    note = scale_note(_profiles(features))
    assert note is not None and note.startswith("feature 'f4' alone holds 100.0 % of the total")
    assert "--standardize" in note
    assert scale_note(standardized(_profiles(features))) is None
    assert scale_note(_profiles(_features())) is None


@pytest.mark.parametrize(("share", "said"), [(0.45, False), (0.55, True)])
def test_half_is_where_it_is_said(share: float, said: bool) -> None:
    features = StandardScaler().fit_transform(_features(11))
    features[:, 0] *= np.sqrt(10 * share / (1 - share))
    note = scale_note(_profiles(features))
    assert (note is not None) == said
    assert not said or "holds 55.0 %" in str(note)


def test_a_few_of_very_many_features_are_said_too() -> None:
    features = StandardScaler().fit_transform(_features(400))
    features[:, [7, 9, 11]] *= [3000, 2000, 2900]
    assert str(scale_note(_profiles(features))).startswith("2 of 400 features hold over half")
    assert scale_note(_profiles(features[:, :100])) is None  # 2 of 100 may be


def test_nothing_is_said_of_one_feature_or_of_none_that_varies() -> None:
    assert scale_note(_profiles(_features(1))) is None
    assert scale_note(_profiles(np.ones((50, 4)))) is None
    assert scale_note(_profiles(_features(4) * 1e200)) is None  # whose squares are infinite
