"""Reading a Transform graph where tensorflow_transform is not installed.

The graph is a SavedModel under ``transform_fn``. What was fitted also lies beside it as text,
``normaliser.json``, so that a report or a trainer reads the class names without running it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer import schema
from trainer.config import NormalizerConfig
from trainer.errors import PlatewiseError
from trainer.strict import build

SAVED_MODEL = "transform_fn"
TEXT_NAME = "normaliser.json"

#: What the graph computes with; the other raw features are accepted and ignored.
NEEDED_KEYS = (
    schema.EXPERIMENT,
    schema.PLATE_ID,
    schema.CELL_TYPE,
    schema.WELL_TYPE,
    schema.TREATMENT,
    schema.HISTOGRAM,
)


@dataclass(frozen=True, eq=False)
class FittedNormaliser:
    """What the Transform step learnt from a screen."""

    config: NormalizerConfig
    #: Position of a name is the index that the graph gives it.
    classes: tuple[str, ...]
    experiments: tuple[str, ...]
    cell_types: tuple[str, ...]
    plates: tuple[str, ...]
    #: Grey levels, float32 [P, C], rows in the order of ``plates``.
    center_PC: np.ndarray
    scale_PC: np.ndarray
    n_sites: tuple[int, ...]
    n_control_wells: tuple[int, ...]

    def to_json(self) -> str:
        """Text that :meth:`from_json` turns into the same values, bit for bit."""
        import dataclasses

        plain = dataclasses.asdict(self)
        # A float32 written through float64 has an exact decimal form.
        plain["center_PC"] = self.center_PC.astype(np.float64).tolist()
        plain["scale_PC"] = self.scale_PC.astype(np.float64).tolist()
        return json.dumps(plain, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> FittedNormaliser:
        """Inverse of :meth:`to_json`."""
        plain: dict[str, Any] = json.loads(text)
        plain["config"] = build(NormalizerConfig, plain["config"], "normalizer.")
        n_plates = len(plain["plates"])
        for key, value in plain.items():
            if key in ("center_PC", "scale_PC"):
                plain[key] = np.asarray(value, np.float32).reshape(n_plates, -1)
            elif isinstance(value, list):
                plain[key] = tuple(value)
        return cls(**plain)


def read_normaliser(transform_dir: str) -> FittedNormaliser:
    """Read what was fitted, without TensorFlow for a local folder.

    Raises
    ------
    PlatewiseError
        The folder holds no Transform graph of ours.
    """
    path = f"{str(transform_dir).rstrip('/')}/{TEXT_NAME}"
    try:
        if "://" in path:
            import tensorflow as tf

            with tf.io.gfile.GFile(path) as stream:
                text = stream.read()
        else:
            with open(path) as stream:
                text = stream.read()
        return FittedNormaliser.from_json(text)
    except Exception as error:
        raise PlatewiseError(
            f"cannot read {path} ({type(error).__name__}: {error}): not a finished Transform "
            "graph of Platewise; run the Transform step again"
        ) from error


def read_classes(transform_dir: str) -> list[str]:
    """Class names; the position of a name is its label."""
    return list(read_normaliser(transform_dir).classes)


def read_normaliser_table(transform_dir: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Plate -> (center, scale), float32 [C] in grey levels."""
    fitted = read_normaliser(transform_dir)
    rows = zip(fitted.plates, fitted.center_PC, fitted.scale_PC, strict=True)
    return {plate: (center_C, scale_C) for plate, center_C, scale_C in rows}


def load_transform(transform_dir: str) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """The Transform graph as a function, usable eagerly and inside tf.data or tf.function.

    It takes raw features with a leading axis B, as ``tf.io.parse_example`` gives them for
    :func:`trainer.schema.raw_feature_spec`; those outside :data:`NEEDED_KEYS` may be left out
    (pixels need not travel through the graph). It returns, per row, the keys of
    :mod:`trainer.schema`: center and scale float32 [B, C], plate_known, label and the three
    indices int64 [B].

    Raises
    ------
    PlatewiseError
        While calling: a needed feature is missing.
    """
    import tensorflow as tf

    loaded = tf.saved_model.load(f"{str(transform_dir).rstrip('/')}/{SAVED_MODEL}")
    function = loaded.transform_fn
    specs: dict[str, tf.TensorSpec] = function.structured_input_signature[0][0]

    def transform(features: Mapping[str, Any]) -> dict[str, Any]:
        missing = [key for key in NEEDED_KEYS if key in specs and key not in features]
        if missing:
            raise PlatewiseError(
                f"the Transform graph needs the features {', '.join(NEEDED_KEYS)}; "
                f"{', '.join(missing)} is missing"
            )
        n_rows = tf.shape(features[schema.PLATE_ID])[0]

        def given(key: str, spec: tf.TensorSpec) -> tf.Tensor:
            if key in features:
                return tf.cast(features[key], spec.dtype)
            return tf.zeros([n_rows, *spec.shape[1:]], spec.dtype)

        return dict(function({key: given(key, spec) for key, spec in specs.items()}))

    transform.keep_alive = loaded  # type: ignore[attr-defined]  # the graph dies with its loader
    return transform
