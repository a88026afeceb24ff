"""Typical variation normalisation (TVN): controls of every experiment look alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainer.corrections.base import (
    FITTED,
    GLOBAL_ONLY,
    OWN,
    Correction,
    checked,
    same_dimensions,
    symmetric_power,
)

#: Added to the diagonal of an experiment's covariance (EFAAR).
RIDGE = 0.5
#: A spread over fewer controls is not one: they are centred and not scaled or rotated.
MIN_CONTROLS = 3
_RANK_TOLERANCE = 1e-10


@dataclass(frozen=True)
class _Alignment:
    """Of one experiment, in the global axes."""

    center_K: NDArray[np.float64]
    scale_K: NDArray[np.float64]
    turn_KK: NDArray[np.float64]


def _notes(controls: dict[str, int], n_axes: int) -> tuple[str, ...]:
    """What makes the alignment of some experiments a guess."""
    none = [name for name, n in controls.items() if n < MIN_CONTROLS]
    few = [n for n in controls.values() if MIN_CONTROLS <= n <= n_axes]
    notes = []
    if none:
        notes.append(
            f"{len(none)} of {len(controls)} experiments have fewer than {MIN_CONTROLS} controls "
            f"and take the spread of all: {', '.join(none[:5])}" + (", ..." if none[5:] else "")
        )
    if few:
        notes.append(
            f"{len(few)} of {len(controls)} experiments have no more controls ({min(few)} at "
            f"least) than there are axes ({n_axes}): their spread is a guess, and aligning by it "
            "can add batch effect"
        )
    return tuple(notes)


class TVN(Correction):
    """TVN as EFAAR defines it (Ando et al., 2017; Celik et al., 2024).

    1. Every dimension gets mean 0 and standard deviation 1 on the controls of all experiments.
    2. Principal axes of those controls; axes without variance are dropped.
    3. In each experiment, every axis gets mean 0 and standard deviation 1 on its controls.
    4. Each experiment is multiplied by (cov(its controls) + 0.5 I)^(-1/2).

    Steps 1 and 2 are kept from the fit. Steps 3 and 4 are kept for experiments of the fit; an
    unseen one is aligned by its own controls. With fewer than three controls it is centred on
    them and takes the spread of all controls; without any it gets steps 1 and 2 and the spread of
    all controls, and :meth:`sources` says so.
    """

    name = "tvn"

    def __init__(
        self,
        mean_D: NDArray[np.float64],
        scale_D: NDArray[np.float64],
        axes_DK: NDArray[np.float64],
        spread_K: NDArray[np.float64],
        alignments: dict[str, _Alignment],
        notes: tuple[str, ...] = (),
    ) -> None:
        self._mean, self._scale, self._axes, self._spread = mean_D, scale_D, axes_DK, spread_K
        self._alignments, self.notes = alignments, notes

    @classmethod
    def fit(
        cls, embedding_ND: ArrayLike, experiment_N: ArrayLike, control_N: ArrayLike | None = None
    ) -> TVN:
        """Scales, axes, and an alignment for every experiment with controls.

        Raises
        ------
        ValueError
            Fewer than three controls in all.
        """
        embedding, experiment, control = checked(embedding_ND, experiment_N, control_N)
        controls = embedding[control].astype(np.float64)
        if len(controls) < MIN_CONTROLS:
            raise ValueError(f"TVN needs {MIN_CONTROLS} controls or more; got {len(controls)}")
        mean, spread = controls.mean(axis=0), controls.std(axis=0)
        scale = np.where(spread > 0, spread, 1.0)
        standard = (controls - mean) / scale
        values, axes = np.linalg.eigh(standard.T @ standard / len(controls))
        kept = values > _RANK_TOLERANCE * max(float(values[-1]), 1e-300)
        if not kept.any():
            raise ValueError(f"the {len(controls)} controls are all the same: nothing to align on")
        fitted = cls(mean, scale, axes[:, kept][:, ::-1], np.sqrt(values[kept])[::-1], {})
        turned = fitted._turned(embedding)
        counts = {}
        for name in np.unique(experiment):
            own = turned[(experiment == name) & control]
            counts[str(name)] = len(own)
            if len(own):
                fitted._alignments[str(name)] = fitted._align(own)
        fitted.notes = _notes(counts, len(fitted._spread))
        return fitted

    def _turned(self, embedding_ND: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.asarray(((embedding_ND - self._mean) / self._scale) @ self._axes)

    def _align(self, controls_CK: NDArray[np.float64]) -> _Alignment:
        n_axes = len(self._spread)
        center = controls_CK.mean(axis=0) if len(controls_CK) else np.zeros(n_axes)
        if len(controls_CK) < MIN_CONTROLS:
            # All controls together have covariance 1 after scaling.
            return _Alignment(center, self._spread, np.eye(n_axes) / np.sqrt(1 + RIDGE))
        spread = controls_CK.std(axis=0)
        scale = np.where(spread > 1e-12 * self._spread, spread, self._spread)
        covariance = np.atleast_2d(np.cov((controls_CK - center) / scale, rowvar=False, ddof=1))
        return _Alignment(center, scale, symmetric_power(covariance + RIDGE * np.eye(n_axes), -0.5))

    def apply(
        self, embedding_ND: ArrayLike, experiment_N: ArrayLike, control_N: ArrayLike | None = None
    ) -> NDArray[np.floating]:
        """Turn into the controls' axes and align every experiment, [N, axes]."""
        embedding, experiment, control = checked(embedding_ND, experiment_N, control_N)
        same_dimensions(embedding, len(self._mean), self.name)
        corrected = np.empty((len(embedding), len(self._spread)), dtype=embedding.dtype)
        for name in np.unique(experiment):
            rows = experiment == name
            turned = self._turned(embedding[rows])
            alignment = self._alignments.get(str(name)) or self._align(turned[control[rows]])
            scaled = (turned - alignment.center_K) / alignment.scale_K
            corrected[rows] = scaled @ alignment.turn_KK
        return corrected

    def sources(
        self, experiment_N: ArrayLike, control_N: ArrayLike | None = None
    ) -> dict[str, str]:
        """Fitted, the experiment's own controls, or the global part alone."""
        experiment = np.asarray(experiment_N).astype(str)
        control = np.zeros(len(experiment), bool) if control_N is None else np.asarray(control_N)
        with_controls = set(experiment[control.astype(bool)].tolist())
        return {
            name: FITTED
            if name in self._alignments
            else OWN
            if name in with_controls
            else GLOBAL_ONLY
            for name in np.unique(experiment).tolist()
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Scales, axes and alignments."""
        found = [*self._alignments.values()]
        return {
            "mean": self._mean,
            "scale": self._scale,
            "axes": self._axes,
            "spread": self._spread,
            "experiment": np.array(list(self._alignments), dtype=np.str_),
            "center": np.array([a.center_K for a in found]),
            "experiment_scale": np.array([a.scale_K for a in found]),
            "turn": np.array([a.turn_KK for a in found]),
        }

    @classmethod
    def from_arrays(
        cls, arrays: dict[str, NDArray[Any]], settings: dict[str, Any], notes: tuple[str, ...]
    ) -> TVN:
        """The correction that was saved."""
        parts = zip(arrays["center"], arrays["experiment_scale"], arrays["turn"], strict=True)
        alignments = dict(
            zip(arrays["experiment"].tolist(), (_Alignment(*part) for part in parts), strict=True)
        )
        mean, scale, axes, spread = (arrays[n] for n in ("mean", "scale", "axes", "spread"))
        return cls(mean, scale, axes, spread, alignments, notes)
