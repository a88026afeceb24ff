"""What pycytominer and harmonypy make of the profiles of batch_effect_profiles.py.

Run in an environment of its own, as make_batch_effect_golden.py says:

    oracle/bin/python tests/oracles/make_corrections_golden.py

writes tests/oracles/corrections_golden.json with the versions that it came from.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
from pathlib import Path

import batch_effect_profiles
import harmonypy
import numpy as np
import pandas as pd
from pycytominer.operations import Spherize

DIMENSIONS, CONTROL, EVERY = 20, "treatment-00", 40


def sphered(features_ND: np.ndarray, control_N: np.ndarray) -> np.ndarray:
    """pycytominer's ZCA, fitted on the controls, without its epsilon."""
    operation = Spherize(method="ZCA", center=True, epsilon=0)
    operation.fit(pd.DataFrame(features_ND[control_N]))
    return np.asarray(operation.transform(pd.DataFrame(features_ND)))


def harmonised(features_ND: np.ndarray, experiment_N: np.ndarray) -> np.ndarray:
    """harmonypy's defaults."""
    meta = pd.DataFrame({"experiment": experiment_N})
    found = harmonypy.run_harmony(features_ND, meta, "experiment", random_state=0, verbose=False)
    corrected = np.asarray(found.Z_corr)
    return corrected if corrected.shape == features_ND.shape else corrected.T


def main() -> None:
    """Write the golden file."""
    profiles = batch_effect_profiles.screen(dimensions=DIMENSIONS)
    x, control = profiles.features_ND, profiles.label_N == CONTROL
    golden = {
        "provenance": {
            "script": "tests/oracles/make_corrections_golden.py",
            "python": platform.python_version(),
            **{p: importlib.metadata.version(p) for p in ("pycytominer", "harmonypy", "numpy")},
        },
        "dimensions": DIMENSIONS,
        "control": CONTROL,
        "every": EVERY,
        "sphering": sphered(x, control)[::EVERY].tolist(),
        "harmony": harmonised(x, profiles.experiment_N)[::EVERY].tolist(),
    }
    path = Path(__file__).with_name("corrections_golden.json")
    path.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
