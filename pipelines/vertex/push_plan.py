"""Where a blessed model would go, read out of a compiled pipeline's pusher."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields

from components.registry.config import RegistryConfig
from pipelines.vertex.steps import Step
from trainer.strict import build


def read_push(steps: Sequence[Step]) -> tuple[str, RegistryConfig] | None:
    """Folder and registry of the step that pushes; None where nothing is pushed."""
    known = {field.name for field in fields(RegistryConfig)}
    for step in steps:
        for text in step.parameters.values():
            if isinstance(text, str) and text.startswith("{") and '"model_id"' in text:
                value = json.loads(text)
                if set(value) <= known:
                    return str(step.parameters.get("folder", "")), build(RegistryConfig, value)
    return None
