"""Procedural pictures of what fluorescence microscopes see: threads, spots, blobs, meshes, haze.

A denoiser that is to work on any stain must not learn the simulated cells by heart. These
pictures resemble no specimen; they mix the shapes that occur in all of them, at all scales.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage, spatial

#: Largest grey level of an 8-bit image.
_MAX_GREY_LEVEL = 255.0


def texture_grey(rng: np.random.Generator, size_px: int) -> np.ndarray:
    """One noise-free picture, float32 grey levels [H, W] within 0..255.

    One to three kinds of shape, thinned out over parts of the picture, seen through an optical
    blur of 0.6 to 2 px, over a background of its own.
    """
    image_HW = np.zeros((size_px, size_px), np.float32)
    for kind in rng.choice(len(_KINDS), size=rng.integers(1, 4)):
        shape_HW = _KINDS[kind](rng, size_px)
        shape_HW /= np.percentile(shape_HW, 99.5) + 1e-6
        if rng.random() < 0.5:
            shape_HW *= _soft_mask(rng, size_px)
        image_HW += np.float32(rng.uniform(0.2, 1.0)) * shape_HW
    image_HW = ndimage.gaussian_filter(image_HW, rng.choice([0.6, 0.8, 1.0, 1.3, 2.0]))
    image_HW /= max(float(np.percentile(image_HW, 99.9)), 1e-6)
    # Most pictures of a screen use a small part of the range.
    peak = _log_uniform(rng, 12.0, 300.0)
    background = rng.choice([0.0, rng.uniform(0, 6), rng.uniform(0, 40)])
    return np.clip(background + peak * image_HW, 0, _MAX_GREY_LEVEL).astype(np.float32)


def _threads(rng: np.random.Generator, size_px: int) -> np.ndarray:
    """Bent threads, as of actin or microtubules; some pictures have them in parallel."""
    image_HW = np.zeros((size_px, size_px), np.float32)
    n, length_px = int(_log_uniform(rng, 4, 150)), int(size_px * rng.uniform(0.3, 1.5))
    bend = _log_uniform(rng, 0.003, 0.12)
    spread = rng.choice([0.15, 0.6, np.pi])
    angle_n1 = rng.uniform(0, np.pi) + rng.uniform(-spread, spread, (n, 1))
    turn_nt = ndimage.gaussian_filter1d(rng.standard_normal((n, 2 * length_px)), 4.0, axis=1)
    angle_nt = angle_n1 + np.cumsum(bend * 3.0 * turn_nt, axis=1)
    start_n2 = rng.uniform(-0.2, 1.2, (n, 2)) * size_px
    y_nt = start_n2[:, :1] + np.cumsum(0.5 * np.sin(angle_nt), axis=1)
    x_nt = start_n2[:, 1:] + np.cumsum(0.5 * np.cos(angle_nt), axis=1)
    weight_nt = np.broadcast_to(np.exp(rng.normal(0, 0.6, (n, 1))), y_nt.shape)
    _splat(image_HW, y_nt.ravel(), x_nt.ravel(), weight_nt.ravel())
    return ndimage.gaussian_filter(image_HW, _log_uniform(rng, 0.4, 3.0))


def _spots(rng: np.random.Generator, size_px: int) -> np.ndarray:
    """Points of light: vesicles, puncta, debris."""
    image_HW = np.zeros((size_px, size_px), np.float32)
    n = int(_log_uniform(rng, 5, 0.08 * size_px**2))
    y_n, x_n = rng.uniform(0, size_px, (2, n))
    _splat(image_HW, y_n, x_n, np.exp(rng.normal(0, rng.uniform(0.2, 1.2), n)))
    return ndimage.gaussian_filter(image_HW, _log_uniform(rng, 0.5, 4.0))


def _blobs(rng: np.random.Generator, size_px: int) -> np.ndarray:
    """Bodies with an edge and a texture inside: nuclei, cells, droplets."""
    body_HW = _soft_mask(rng, size_px, _log_uniform(rng, 2.0, 25.0), sharp=True)
    grain_HW = _smooth(rng, size_px, _log_uniform(rng, 0.7, 5.0))
    return body_HW * np.maximum(1 + rng.uniform(0, 0.5) * grain_HW, 0)


def _mesh(rng: np.random.Generator, size_px: int) -> np.ndarray:
    """Walls between cells: membranes, junctions."""
    n = int(_log_uniform(rng, 8, 400))
    tree = spatial.cKDTree(rng.uniform(-0.1, 1.1, (n, 2)) * size_px)
    grid = np.moveaxis(np.mgrid[:size_px, :size_px], 0, -1).reshape(-1, 2)
    # Shaken positions bend the walls.
    shake = np.stack([_smooth(rng, size_px, 6.0).ravel() for _ in range(2)], -1)
    nearest = tree.query(grid + rng.uniform(0, 2.5) * shake, k=2)[0]
    gap_HW = (nearest[:, 1] - nearest[:, 0]).reshape(size_px, size_px)
    wall_HW = np.exp(-((gap_HW / _log_uniform(rng, 0.8, 4.0)) ** 2))
    return (wall_HW * np.maximum(1 + 0.4 * _smooth(rng, size_px, 4.0), 0)).astype(np.float32)


def _network(rng: np.random.Generator, size_px: int) -> np.ndarray:
    """Crossing ridges, as of mitochondria or a reticulum: level sets of smooth noise."""
    field_HW = _smooth(rng, size_px, _log_uniform(rng, 1.2, 6.0))
    width = rng.uniform(0.15, 0.6)
    return np.exp(-((field_HW / width) ** 2)).astype(np.float32)


def _clouds(rng: np.random.Generator, size_px: int) -> np.ndarray:
    """Light at all scales at once, as in tissue and out of focus."""
    scales = [_log_uniform(rng, 0.8, 30.0) for _ in range(3)]
    field_HW = sum(_smooth(rng, size_px, s) * np.float32(rng.uniform(0.1, 0.7)) for s in scales)
    return np.exp(field_HW).astype(np.float32)


_KINDS: tuple[Callable[[np.random.Generator, int], np.ndarray], ...] = (
    _threads,
    _spots,
    _blobs,
    _mesh,
    _network,
    _clouds,
)


def _soft_mask(
    rng: np.random.Generator, size_px: int, scale_px: float = 0.0, sharp: bool = False
) -> np.ndarray:
    """Islands of 1 in 0."""
    field_HW = _smooth(rng, size_px, scale_px or size_px / 8)
    steepness = _log_uniform(rng, 3.0, 30.0) if sharp else 3.0
    return 0.5 + 0.5 * np.tanh(steepness * (field_HW - np.float32(rng.uniform(-0.5, 1.0))))


def _smooth(rng: np.random.Generator, size_px: int, scale_px: float) -> np.ndarray:
    """Blurred Gaussian noise of mean 0 and unit variance; float32."""
    field_HW = rng.standard_normal((size_px, size_px), dtype=np.float32)
    field_HW = ndimage.gaussian_filter(field_HW, scale_px, mode="wrap", truncate=3.0)
    field_HW -= field_HW.mean()  # of a wide blur little else is left, and divided it overflows
    return field_HW / (field_HW.std() + np.float32(1e-6))


def _splat(image_HW: np.ndarray, y_n: np.ndarray, x_n: np.ndarray, weight_n: np.ndarray) -> None:
    """Add points to an image, each shared by the four pixels around it."""
    y0, x0 = np.floor(y_n).astype(int), np.floor(x_n).astype(int)
    for dy in (0, 1):
        for dx in (0, 1):
            share_n = np.abs(1 - dy - (y_n - y0)) * np.abs(1 - dx - (x_n - x0)) * weight_n
            y, x = y0 + dy, x0 + dx
            inside = (y >= 0) & (y < image_HW.shape[0]) & (x >= 0) & (x < image_HW.shape[1])
            np.add.at(image_HW, (y[inside], x[inside]), share_n[inside].astype(np.float32))


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
