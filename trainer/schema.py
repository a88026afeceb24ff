"""The data contract in code: channels, feature keys, identifiers, axis letters.

Axis letters used in tensor names throughout the project: B minibatch, H height,
W width, C channel, K class, D embedding, P plate, Q grey-level bin. So
``image_BHWC`` is a minibatch of channels-last images.

*Experiment* is the batch of the biology. The bare word "batch" names nothing here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

#: RxRx1's six stains, w1 to w6, in the order in which every tensor holds them.
CHANNEL_NAMES = (
    "nuclei",
    "endoplasmic reticulum",
    "actin",
    "nucleoli and RNA",
    "mitochondria",
    "Golgi and membrane",
)
N_CHANNELS = len(CHANNEL_NAMES)

#: Number of grey levels of an 8-bit image: the length of axis Q.
GREY_LEVELS = 256

# Keys of one Example; a record is one site.
SITE_ID = "site_id"
WELL_ID = "well_id"
EXPERIMENT = "experiment"
PLATE_ID = "plate_id"
WELL = "well"
SITE = "site"
CELL_TYPE = "cell_type"
WELL_TYPE = "well_type"
TREATMENT = "treatment"
PIXELS = "pixels"
HISTOGRAM = "histogram"
HEIGHT = "height"
WIDTH = "width"

IDENTITY_KEYS = (SITE_ID, WELL_ID, EXPERIMENT, PLATE_ID, WELL, SITE, CELL_TYPE, WELL_TYPE)
BYTES_KEYS = (SITE_ID, WELL_ID, EXPERIMENT, PLATE_ID, WELL, CELL_TYPE, WELL_TYPE, TREATMENT, PIXELS)
INT_KEYS = (SITE, HEIGHT, WIDTH)

# Keys the Transform graph adds.
CENTER = "center"
SCALE = "scale"
PLATE_KNOWN = "plate_known"
LABEL = "label"
EXPERIMENT_INDEX = "experiment_index"
PLATE_INDEX = "plate_index"
CELL_TYPE_INDEX = "cell_type_index"

# Keys of one prediction row (site or well) beside the identity and LABEL.
LEVEL = "level"
LEVEL_SITE = "site"
LEVEL_WELL = "well"
PROBABILITIES = "probabilities"
#: The same rows read by the latest blessed model; absent where there is none.
BASELINE_PROBABILITIES = "baseline_probabilities"
EMBEDDING = "embedding"
#: The latest blessed model's embedding; only where a threshold compares with it.
BASELINE_EMBEDDING = "baseline_embedding"
PSNR_NOISY = "psnr_noisy_db"
PSNR_DENOISED = "psnr_denoised_db"
SSIM_NOISY = "ssim_noisy"
SSIM_DENOISED = "ssim_denoised"
N_SITES = "n_sites"

# Values of WELL_TYPE.
WELL_TREATMENT = "treatment"
WELL_POSITIVE = "positive_control"
WELL_NEGATIVE = "negative_control"

#: Label of a site whose treatment is unknown or is not one of the classes.
LABEL_UNKNOWN = -1

# Split names. Every pipeline trains on TRAIN and gates on EVAL.
SPLIT_TRAIN = "train"
SPLIT_EVAL = "eval"
#: Sites without labels (Kaggle's test table): predicted, never evaluated.
SPLIT_UNLABELLED = "unlabelled"
#: Held-out sites of *training* wells (WILDS): reported, never part of a gate.
SPLIT_IN_DISTRIBUTION = "id_test"
#: Further held-out experiments that no gate reads (WILDS).
SPLIT_TEST = "test"
#: The only split of a scoring run.
SPLIT_SCORE = "score"


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that orders the digits in a name by their number: ``a_2`` before ``a_10``."""
    runs = re.findall(r"[0-9]+|[^0-9]+", text)
    key = [(0, int(run), "") if run[0] in "0123456789" else (1, 0, run) for run in runs]
    return (*key, (-1, 0, text))  # the text itself, so that "1" and "01" keep one order


def plate_id(experiment: str, plate: int) -> str:
    """Global name of a plate, such as ``HUVEC-01_1``."""
    return f"{experiment}_{plate}"


def well_id(experiment: str, plate: int, well: str) -> str:
    """Global name of a well, such as ``HUVEC-01_1_B02``."""
    return f"{experiment}_{plate}_{well}"


def site_id(experiment: str, plate: int, well: str, site: int) -> str:
    """Global name of a site (one field of view), such as ``HUVEC-01_1_B02_1``."""
    return f"{experiment}_{plate}_{well}_{site}"


def raw_feature_spec(n_channels: int = N_CHANNELS) -> dict[str, tf.io.FixedLenFeature]:
    """Parsing specification of one Example, for ``tf.io.parse_example``.

    Parameters
    ----------
    n_channels
        Channels C of the screen; the histogram has C * 256 entries.
    """
    import tensorflow as tf

    spec = {key: tf.io.FixedLenFeature([], tf.string) for key in BYTES_KEYS}
    spec |= {key: tf.io.FixedLenFeature([], tf.int64) for key in INT_KEYS}
    spec[HISTOGRAM] = tf.io.FixedLenFeature([n_channels * GREY_LEVELS], tf.int64)
    return spec
