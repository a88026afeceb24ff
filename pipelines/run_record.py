"""``run.json``: what the last run in a folder did, and where its artifacts lie.

Written after every run, finished or failed, so that the report can be made again without
running anything and without TFX's database. Paths under the run's folder are relative to it:
the folder can be moved.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.report.data import ComponentRun, Kind, RunFacts
from pipelines.config import PlatewiseConfig
from pipelines.outcome import RunResult
from trainer.errors import PlatewiseError
from trainer.strict import to_mapping

RECORD_NAME = "run.json"


@dataclass(frozen=True)
class RunRecord:
    """One run: facts for the report, artifacts, and the configuration."""

    kind: Kind
    facts: RunFacts
    #: Component -> output -> folder, absolute.
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)


def record_of(
    kind: Kind, result: RunResult, config: PlatewiseConfig, started: str, total_s: float
) -> RunRecord:
    """The record of a run; ``started`` is local time, ISO 8601."""
    components = tuple(
        ComponentRun(
            node, outcome.seconds, "failed" if outcome.state == "started" else outcome.state
        )
        for node, outcome in result.nodes.items()
    )
    outputs = {
        node: {key: uris[0] for key, uris in outcome.outputs.items() if len(uris) == 1}
        for node, outcome in result.nodes.items()
    }
    facts = RunFacts(name=config.run.name, started=started, total_s=total_s, components=components)
    return RunRecord(kind, facts, outputs, to_mapping(config))


def write_record(run_dir: Path, record: RunRecord) -> None:
    """Write ``run.json`` in one step."""
    base = run_dir.absolute()
    outputs = {
        node: {key: _relative(uri, base) for key, uri in by_key.items()}
        for node, by_key in record.outputs.items()
    }
    plain = {
        "kind": record.kind,
        "facts": to_mapping(record.facts),
        "outputs": outputs,
        "config": record.config,
    }
    temporary = run_dir / f".{RECORD_NAME}.tmp"
    temporary.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    temporary.replace(run_dir / RECORD_NAME)


def read_record(run_dir: Path) -> RunRecord:
    """Read ``run.json``.

    Raises
    ------
    PlatewiseError
        There is none, or it is damaged.
    """
    path = run_dir / RECORD_NAME
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        facts = dict(plain["facts"])
        facts["components"] = tuple(ComponentRun(**c) for c in facts["components"])
        base = run_dir.absolute()
        outputs = {
            node: {key: os.path.join(base, uri) for key, uri in by_key.items()}
            for node, by_key in plain["outputs"].items()
        }
        return RunRecord(plain["kind"], RunFacts(**facts), outputs, plain["config"])
    except FileNotFoundError:
        raise PlatewiseError(
            f"{run_dir} has no {RECORD_NAME}, so no run of this version ended there; "
            "give the folder of a run, such as runs/demo"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise PlatewiseError(
            f"{path} is damaged ({type(error).__name__}: {error}); run the pipeline again, "
            "which takes what is finished from its cache"
        ) from None


def _relative(uri: str, base: Path) -> str:
    path = Path(uri)
    return str(path.relative_to(base)) if path.is_relative_to(base) else uri
