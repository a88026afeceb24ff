"""LeakAudit as a TFX component: after ingest, before anything is learnt."""

from __future__ import annotations

import json

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.artifacts import LeakAudit, QualityControl
from components.leak_audit.config import LeakConfig
from components.leak_audit.executor import PlateLeakAuditExecutor
from trainer.strict import to_mapping


class PlateLeakAuditSpec(component_spec.ComponentSpec):
    """What the audit looks at."""

    PARAMETERS = {  # noqa: RUF012 - TFX reads a plain dict
        "config": component_spec.ExecutionParameter(type=str),
        "code_digest": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "quality": component_spec.ChannelParameter(type=QualityControl),
    }
    OUTPUTS = {  # noqa: RUF012
        "leaks": component_spec.ChannelParameter(type=LeakAudit),
    }


class PlateLeakAudit(base_component.BaseComponent):
    """Writes ``leaks.json``; fails where a leak is found; output ``leaks``.

    No pixels are read: ingest took their digests while it had them decoded.

    Parameters
    ----------
    examples
        Their manifest is held against what the quality artifact lists.
    quality
        Sites with their splits, rows and digests.
    config
        How strict it is.
    code_digest
        Digest of the code this step depends on; a new one makes it run again.
    """

    SPEC_CLASS = PlateLeakAuditSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(PlateLeakAuditExecutor)

    def __init__(
        self,
        examples: types.BaseChannel,
        quality: types.BaseChannel,
        config: LeakConfig | None = None,
        code_digest: str = "",
    ) -> None:
        spec = PlateLeakAuditSpec(
            examples=examples,
            quality=quality,
            config=json.dumps(to_mapping(config or LeakConfig()), sort_keys=True),
            code_digest=code_digest,
            leaks=types.Channel(type=LeakAudit),
        )
        super().__init__(spec=spec)
