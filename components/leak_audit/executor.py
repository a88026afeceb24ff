"""Executor of PlateLeakAudit: an adapter of :mod:`trainer.leaks`."""

from __future__ import annotations

import json
import logging
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from components.leak_audit.config import LeakConfig
from components.leak_audit.files import (
    check_against_manifest,
    run_audit,
    sites_of_quality,
    write_audit,
)
from components.plate_example_gen.quality import read_quality
from trainer.errors import PlatewiseError
from trainer.manifest import read_manifest
from trainer.strict import build


class LeakError(PlatewiseError):
    """The screen's splits share what they must not."""


class PlateLeakAuditExecutor(base_executor.BaseExecutor):
    """Reads two small artifacts; no pixels."""

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Write ``leaks.json``.

        Raises
        ------
        LeakError
            A leak that the configuration does not let pass; both places are named.
        PlatewiseError
            Examples and quality artifact that do not belong together.
        """
        examples = artifact_utils.get_single_uri(input_dict["examples"])
        quality = read_quality(artifact_utils.get_single_uri(input_dict["quality"]))
        sites = sites_of_quality(quality)
        check_against_manifest(quality, read_manifest(examples))
        config = build(LeakConfig, json.loads(exec_properties["config"]))
        audit = run_audit(sites, quality.facts.get("plate_groups"), config)
        write_audit(audit, artifact_utils.get_single_uri(output_dict["leaks"]))
        for test in audit.tests:
            logging.getLogger(__name__).info("%s: %s: %s", test.outcome, test.key, test.text)
        if audit.failed:
            found = " ".join(test.text for test in audit.failed)
            raise LeakError(
                f"leak: {found} `platewise check` lists every one; to go on all the same, set "
                "leaks.on_leak or leaks.on_position to warn"
            )
