"""Initial weights: the seed's alone, whatever else draws from Python's random."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
from collections.abc import Iterator

import keras
import numpy as np
import pytest

from trainer.config import ModelConfig
from trainer.models import build_model, initial_draws

CONFIG = ModelConfig(
    image_size_px=16, denoiser_widths=(8, 8), tiny_widths=(8, 16), embedding_dim=8, dropout=0.1
)


@pytest.fixture
def meddled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every layer that is made costs the shared source a draw."""
    make = keras.layers.Layer.__init__

    def make_and_draw(self, *args: object, **kwargs: object) -> None:
        random.random()
        make(self, *args, **kwargs)

    monkeypatch.setattr(keras.layers.Layer, "__init__", make_and_draw)


@contextlib.contextmanager
def shared_draws(seed: int) -> Iterator[None]:
    """What Keras offers by itself."""
    keras.utils.set_random_seed(seed)
    yield


def built(draws, seed: int = 5) -> list[np.ndarray]:
    with draws(seed):
        model = build_model(CONFIG, 4)
    return [np.array(variable) for variable in model.variables]


def same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    """What Keras gives in a process of its own: threads that other tests left draw in this one."""
    file = tmp_path_factory.mktemp("undisturbed") / "weights.npz"
    subprocess.run([sys.executable, __file__, file], check=True)
    with np.load(file) as weights:
        return list(weights.values())


def test_a_seed_gives_what_keras_gives_for_it_undisturbed(undisturbed) -> None:
    assert same(built(initial_draws), undisturbed)
    assert not same(built(initial_draws, seed=6), undisturbed)


@pytest.mark.usefixtures("meddled")
def test_draws_of_others_change_nothing(undisturbed) -> None:
    assert not same(built(shared_draws), undisturbed)  # what is guarded against is real
    assert same(built(initial_draws), undisturbed)


def test_the_shared_source_is_put_back() -> None:
    from keras.src.random import seed_generator

    with pytest.raises(RuntimeError), initial_draws(1):
        raise RuntimeError
    assert seed_generator.python_random is random


if __name__ == "__main__":
    np.savez(sys.argv[1], *built(shared_draws))
