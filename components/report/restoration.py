"""The denoiser under its fixed noise: PSNR and SSIM per channel, with the gain's interval."""

from __future__ import annotations

import numpy as np

from components.report.data import ChannelRestoration
from components.report.scores import Rows, of_level
from trainer import schema
from trainer.metrics.intervals import cluster_bootstrap

_KEYS = (schema.PSNR_NOISY, schema.PSNR_DENOISED, schema.SSIM_NOISY, schema.SSIM_DENOISED)


def restoration(
    rows: Rows, channel_names: tuple[str, ...]
) -> tuple[tuple[ChannelRestoration, ...], int]:
    """Per channel means over the measured held-out sites, and the number of plates.

    The interval of the gain resamples whole plates. Where no held-out site was measured,
    the measured sites of all splits are taken.
    """
    if schema.PSNR_DENOISED not in rows:
        return (), 0
    measured = of_level(rows, schema.LEVEL_SITE)
    measured = measured[measured[schema.PSNR_DENOISED].map(len) > 0]
    held_out = measured[measured["split"] == schema.SPLIT_EVAL]
    measured = held_out if len(held_out) else measured
    if not len(measured):
        return (), 0
    plates = measured[schema.PLATE_ID].to_numpy()
    table = {
        key: np.stack([np.asarray(v, dtype=np.float64) for v in measured[key]]) for key in _KEYS
    }
    gain_NC = table[schema.PSNR_DENOISED] - table[schema.PSNR_NOISY]
    n_plates = len(set(plates))
    channels = []
    for c in range(gain_NC.shape[1]):
        low, high = _gain_interval(gain_NC[:, c], plates) if n_plates > 1 else (None, None)
        means = {key: float(values[:, c].mean()) for key, values in table.items()}
        channels.append(
            ChannelRestoration(
                channel=channel_names[c] if c < len(channel_names) else f"channel {c + 1}",
                n_sites=len(measured),
                psnr_noisy_db=means[schema.PSNR_NOISY],
                psnr_denoised_db=means[schema.PSNR_DENOISED],
                gain_low_db=low,
                gain_high_db=high,
                ssim_noisy=means[schema.SSIM_NOISY],
                ssim_denoised=means[schema.SSIM_DENOISED],
            )
        )
    return tuple(channels), n_plates


def _gain_interval(gain_N: np.ndarray, plate_N: np.ndarray) -> tuple[float, float]:
    return cluster_bootstrap(lambda rows: float(gain_N[rows].mean()), plate_N)
