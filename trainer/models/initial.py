"""Initial weights that follow from the seed alone."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import keras
from keras.src.random import seed_generator


@contextlib.contextmanager
def initial_draws(seed: int) -> Iterator[None]:
    """What is built inside draws its weights and dropout seeds from a source of its own.

    Keras seeds every initializer and dropout layer from Python's shared ``random``, from which
    background threads draw too: the delay before a request is tried again is one such draw. One
    between two layers gives other weights than the run with the same seed had. Keras has no
    argument for another source, so the module it reads is replaced for the while.

    Parameters
    ----------
    seed
        At least 1: under a global seed of 0 TensorFlow cannot shuffle by a seed that is a tensor,
        as the feed does.
    """
    keras.utils.set_random_seed(seed)
    shared = seed_generator.python_random
    seed_generator.python_random = random.Random(seed)
    try:
        yield
    finally:
        seed_generator.python_random = shared
