"""Which model a new one is compared with."""

from __future__ import annotations

import ml_metadata as mlmd
from tfx import types
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import (
    LatestBlessedModelStrategy,
)

MODEL_KEY = "model"
BLESSING_KEY = "model_blessing"
CANDIDATE_KEY = "candidate"


class LatestOtherBlessedModelStrategy(LatestBlessedModelStrategy):
    """The latest blessed model that is not the candidate itself.

    TFX's own strategy resolves, in a run where nothing changed, to the very model that the
    first run blessed: a new input for prediction and evaluation, which then run again in vain
    to compare a model with itself.

    Channels: ``model`` and ``model_blessing`` of all runs, ``candidate`` of this one.
    """

    def resolve_artifacts(
        self, store: mlmd.MetadataStore, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]] | None:
        candidates = {artifact.id for artifact in input_dict[CANDIDATE_KEY]}
        others = [model for model in input_dict[MODEL_KEY] if model.id not in candidates]
        resolved = super().resolve_artifacts(
            store, {MODEL_KEY: others, BLESSING_KEY: list(input_dict[BLESSING_KEY])}
        )
        return {CANDIDATE_KEY: [], **(resolved or {})}
