"""What scib-metrics, copairs and scikit-learn say about the profiles of batch_effect_profiles.py.

Run in an environment of its own (they do not live beside TFX):

    uv venv --python 3.11 oracle
    uv pip install -p oracle "scib-metrics==0.5.*" "copairs==0.5.*" scikit-learn \\
        harmonypy pycytominer
    oracle/bin/python tests/oracles/make_batch_effect_golden.py

writes tests/oracles/batch_effect_golden.json with the versions that it came from.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import tempfile
import warnings
from pathlib import Path
from typing import Any

import batch_effect_profiles
import numpy as np
import pandas as pd
import scib_metrics
from copairs import map as copairs_map
from copairs.replicating import correlation_test
from scib_metrics.nearest_neighbors import NeighborsResults, jax_approx_min_k
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

PACKAGES = ("scib-metrics", "copairs", "scikit-learn", "harmonypy", "pycytominer", "numpy", "jax")
N_PERMUTATIONS, SEED = 2000, 0


def neighbors_of(features: np.ndarray, k: int) -> NeighborsResults:
    """Exact neighbours, the row itself among them."""
    k = min(k, len(features))
    # kneighbors() without a query leaves the row out: put it first.
    distance, index = NearestNeighbors(n_neighbors=k - 1).fit(features).kneighbors()
    rows = np.arange(len(features))[:, None]
    return NeighborsResults(
        indices=np.hstack([rows, index]),
        distances=np.hstack([np.zeros((len(features), 1)), distance]),
    )


def scib(profiles: batch_effect_profiles.WellProfiles) -> dict[str, Any]:
    """scib-metrics' values, with the neighbour numbers of its Benchmarker."""
    x, label, experiment = profiles.features_ND, profiles.label_N, profiles.experiment_N
    n = len(x)
    near = {k: neighbors_of(x, k) for k in (15, 50, 90) if k <= n}
    near[90] = near.get(90) or neighbors_of(x, n)
    near[50] = near.get(50) or neighbors_of(x, n)
    values = {
        "label_asw": scib_metrics.silhouette_label(x, label),
        "batch_asw": scib_metrics.silhouette_batch(x, label, experiment),
        "kbet": scib_metrics.kbet(near[50], experiment)[0],
        "ilisi": scib_metrics.ilisi_knn(near[90], experiment),
        "clisi": scib_metrics.clisi_knn(near[90], label),
        "graph_connectivity": scib_metrics.graph_connectivity(near[15], label),
        "pcr": scib_metrics.utils.principal_component_regression(x, experiment, categorical=True),
    }
    if n > 90:  # its own search, which is exact on a CPU
        own = {k: jax_approx_min_k(x.astype(np.float32), k) for k in (15, 50, 90)}
        values |= {
            "kbet_own_search": scib_metrics.kbet(own[50], experiment)[0],
            "ilisi_own_search": scib_metrics.ilisi_knn(own[90], experiment),
            "clisi_own_search": scib_metrics.clisi_knn(own[90], label),
            "graph_connectivity_own_search": scib_metrics.graph_connectivity(own[15], label),
        }
    return {name: float(value) for name, value in values.items()} | {
        "silhouette_samples": scib_metrics.utils.silhouette_samples(x, label).tolist(),
        "lisi_experiment": scib_metrics.lisi_knn(near[90], experiment).tolist(),
    }


def copairs(profiles: batch_effect_profiles.WellProfiles) -> dict[str, Any]:
    """copairs' average precision, mAP with p-values, and replicate correlation."""
    meta = pd.DataFrame({"label": profiles.label_N, "experiment": profiles.experiment_N})
    found = copairs_map.average_precision(
        meta,
        profiles.features_ND,
        pos_sameby=["label"],
        pos_diffby=["experiment"],
        neg_sameby=[],
        neg_diffby=["label"],
        progress_bar=False,
    )
    with tempfile.TemporaryDirectory() as cache:  # its default cache would remember other seeds
        scores = copairs_map.mean_average_precision(
            found,
            ["label"],
            null_size=N_PERMUTATIONS,
            threshold=0.05,
            seed=SEED,
            progress_bar=False,
            cache_dir=cache,
        )
    usable = found["n_pos_pairs"] > 0
    test = correlation_test(
        profiles.features_ND, meta, ["label"], ["experiment"], n_samples=1000, progress_bar=False
    )
    return {
        "average_precision": [
            float(v) if ok else None
            for v, ok in zip(found["average_precision"], usable, strict=True)
        ],
        "n_positives": found["n_pos_pairs"].astype(int).tolist(),
        "n_pairs": found["n_total_pairs"].astype(int).tolist(),
        "label": scores["label"].tolist(),
        "mean_average_precision": scores["mean_average_precision"].tolist(),
        "p_value": scores["p_value"].tolist(),
        "corrected_p_value": scores["corrected_p_value"].tolist(),
        "median_correlation": {str(k): float(v) for k, v in test.corr_df["median"].items()},
        "threshold": float(np.percentile(test.null_dist, 95)),
    }


def sklearn_probe(profiles: batch_effect_profiles.WellProfiles) -> dict[str, Any]:
    """A logistic regression on even rows, and what it says of odd ones."""
    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=1.0, tol=1e-8, max_iter=20_000)
    ).fit(profiles.features_ND[::2], profiles.experiment_N[::2])
    odd = profiles.features_ND[1::2]
    return {
        "predicted": model.predict(odd).tolist(),
        "probability": model.predict_proba(odd)[:40].round(9).tolist(),
        "classes": model.classes_.tolist(),
    }


def main() -> None:
    """Write the golden values."""
    warnings.simplefilter("ignore")
    golden: dict[str, Any] = {
        "made_by": "tests/oracles/make_batch_effect_golden.py",
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "n_permutations": N_PERMUTATIONS,
        "seed": SEED,
    }
    for name, make in batch_effect_profiles.PROFILES.items():
        profiles = make()
        golden[name] = {"scib": scib(profiles), "copairs": copairs(profiles)}
    golden["screen"]["sklearn"] = sklearn_probe(batch_effect_profiles.screen())
    path = Path(__file__).with_name("batch_effect_golden.json")
    path.write_text(json.dumps(golden, indent=None, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
