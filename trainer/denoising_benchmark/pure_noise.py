"""Does a denoiser paint one channel's structure into another that holds nothing but noise?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainer.denoising_benchmark.evaluate import Denoise, Field
from trainer.denoising_benchmark.gates import GateResult, channel_name
from trainer.denoising_benchmark.summary import paired_bootstrap

MAX_CORRELATION = 0.1
_MEAN_GREY_LEVEL, _SIGMA_GREY_LEVELS = 60.0, 25.0


def pure_noise_gate(
    denoise: Denoise, fields: Sequence[Field], seed: int = 0, draws: int = 8
) -> GateResult:
    """Correlation between a channel of pure noise, denoised, and the true other channels.

    Every channel in turn is replaced by Gaussian noise (mean 60, sigma 25 grey levels); the
    others get noise of the same sigma. What is left of noise after smoothing is a few broad hills,
    and those lie like another channel's cells by chance: a blur of 9 px, which looks at one channel
    alone, has an r of 0.17 on fields of 256 px. Such an r has either sign, so r is averaged over
    draws of the noise (0.05 for the blur); what is copied is there in all of them.

    Parameters
    ----------
    draws
        Draws of the noise for each field and channel.

    Returns
    -------
    The gate for the channel with the largest mean absolute correlation (Pearson's r averaged over
    draws, the worst of the other channels in each field).

    Raises
    ------
    ValueError
        Fields of a single channel.
    """
    n_channels = fields[0].clean_HWC.shape[-1]
    if n_channels < 2:
        raise ValueError("a field of one channel has no other channel to correlate with")
    worst_FC = np.zeros((len(fields), n_channels))
    for f, field in enumerate(fields):
        rng = np.random.default_rng([seed, f])
        for channel in range(n_channels):
            target_HWC = field.clean_HWC.copy()
            target_HWC[..., channel] = _MEAN_GREY_LEVEL
            others = np.delete(field.clean_HWC, channel, axis=-1)
            correlation_DO = np.zeros((draws, n_channels - 1))
            for row_O in correlation_DO:
                noise_HWC = rng.normal(0, _SIGMA_GREY_LEVELS, target_HWC.shape)
                noisy_HWC = (target_HWC + noise_HWC).astype(np.float32)
                found = denoise(noisy_HWC[None])[0, ..., channel]
                row_O[:] = [_correlation(found, others[..., c]) for c in range(n_channels - 1)]
            worst_FC[f, channel] = np.abs(correlation_DO.mean(axis=0)).max()
    mean_C = worst_FC.mean(axis=0)
    worst = int(mean_C.argmax())
    interval = paired_bootstrap(worst_FC[:, worst])
    return GateResult(
        "pure noise in one channel",
        "correlation with others",
        float(mean_C[worst]),
        interval.low,
        interval.high,
        MAX_CORRELATION,
        "",
        channel_name(worst),
        sense=-1,
    )


def _correlation(a_HW: np.ndarray, b_HW: np.ndarray) -> float:
    """Pearson's r; 0 where either does not vary."""
    if a_HW.std() < 1e-9 or b_HW.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(a_HW.ravel(), b_HW.ravel())[0, 1])
