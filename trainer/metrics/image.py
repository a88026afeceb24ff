"""Image fidelity, each channel by itself, so that a weak stain cannot hide behind a strong one."""

from __future__ import annotations

import numpy as np

# The constants of Wang et al., "Image quality assessment: from error visibility to structural
# similarity", IEEE TIP 2004, and the square window that scikit-image takes by default.
_K1, _K2 = 0.01, 0.03
_WINDOW_PX = 7


def psnr_db(
    reference_BHWC: np.ndarray, image_BHWC: np.ndarray, data_range: float = 255.0
) -> np.ndarray:
    """Peak signal-to-noise ratio. Higher is better; infinite where the images are equal.

    Parameters
    ----------
    reference_BHWC, image_BHWC
        Clean and tested images, grey levels.
    data_range
        Grey levels from the darkest to the brightest possible pixel.

    Returns
    -------
    numpy.ndarray
        float64 [B, C], dB.

    Raises
    ------
    ValueError
        Shapes differ.
    """
    reference, image = _pair(reference_BHWC, image_BHWC)
    squared_error_BC = np.square(reference - image).mean(axis=(1, 2))
    with np.errstate(divide="ignore"):
        return 10.0 * np.log10(data_range**2 / squared_error_BC)


def ssim(
    reference_BHWC: np.ndarray, image_BHWC: np.ndarray, data_range: float = 255.0
) -> np.ndarray:
    """Mean structural similarity over 7 x 7 windows: at most 1, which means equal images.

    Parameters and errors as in :func:`psnr_db`; images smaller than 7 px are refused too.

    Returns
    -------
    numpy.ndarray
        float64 [B, C].
    """
    reference, image = _pair(reference_BHWC, image_BHWC)
    if min(reference.shape[1:3]) < _WINDOW_PX:
        raise ValueError(
            f"SSIM needs at least {_WINDOW_PX} x {_WINDOW_PX} px, got {reference.shape[1:3]}"
        )
    mean_x, mean_y = _window_mean(reference), _window_mean(image)
    unbias = _WINDOW_PX**2 / (_WINDOW_PX**2 - 1)
    variance_x = unbias * (_window_mean(reference * reference) - mean_x * mean_x)
    variance_y = unbias * (_window_mean(image * image) - mean_y * mean_y)
    covariance = unbias * (_window_mean(reference * image) - mean_x * mean_y)
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return (luminance * structure).mean(axis=(1, 2))


def scale_invariant_psnr_db(reference_BHWC: np.ndarray, image_BHWC: np.ndarray) -> np.ndarray:
    """PSNR after the best gain and offset, over the reference's own range. Higher is better.

    Says how much of the structure is there where a method may shift or stretch intensities
    (Weigert et al., "Content-aware image restoration", Nature Methods 2018). The error of the
    best straight line is var(reference) * (1 - r^2), so nothing is fitted in a loop.

    Parameters
    ----------
    reference_BHWC, image_BHWC
        Clean and tested images, any linear unit.

    Returns
    -------
    numpy.ndarray
        float64 [B, C], dB; NaN where the reference is constant.

    Raises
    ------
    ValueError
        Shapes differ.
    """
    reference, image = _pair(reference_BHWC, image_BHWC)
    range_BC = reference.max(axis=(1, 2)) - reference.min(axis=(1, 2))
    reference = reference - reference.mean(axis=(1, 2), keepdims=True)
    image = image - image.mean(axis=(1, 2), keepdims=True)
    power_BC = np.square(image).mean(axis=(1, 2))
    covariance_BC = (reference * image).mean(axis=(1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        gain_BC = np.where(power_BC > 0, covariance_BC / power_BC, 0.0)
        residual = reference - gain_BC[:, None, None, :] * image
        return 10.0 * np.log10(range_BC**2 / np.square(residual).mean(axis=(1, 2)))


def mean_bias_grey_levels(reference_BHWC: np.ndarray, image_BHWC: np.ndarray) -> np.ndarray:
    """Mean intensity of the image minus the reference's, float64 [B, C]; 0 is best."""
    reference, image = _pair(reference_BHWC, image_BHWC)
    return (image - reference).mean(axis=(1, 2))


def _pair(reference_BHWC: np.ndarray, image_BHWC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if reference_BHWC.shape != image_BHWC.shape or reference_BHWC.ndim != 4:
        raise ValueError(
            "reference and image must both be [B, H, W, C]; "
            f"got shapes {reference_BHWC.shape} and {image_BHWC.shape}"
        )
    # float64 before subtracting: uint8 would wrap around.
    return np.asarray(reference_BHWC, np.float64), np.asarray(image_BHWC, np.float64)


def _window_mean(image_BHWC: np.ndarray) -> np.ndarray:
    """Mean over every whole 7 x 7 window; each axis loses 6 px."""
    for axis in (1, 2):
        total = np.cumsum(image_BHWC, axis=axis)
        total = np.insert(total, 0, 0.0, axis=axis)
        n_windows = image_BHWC.shape[axis] - _WINDOW_PX + 1
        last = np.take(total, np.arange(_WINDOW_PX, _WINDOW_PX + n_windows), axis=axis)
        image_BHWC = (last - np.take(total, np.arange(n_windows), axis=axis)) / _WINDOW_PX
    return image_BHWC
