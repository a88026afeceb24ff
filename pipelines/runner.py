"""TFX's runner with our loop. Imports TFX: only what runs a pipeline imports this.

What TFX's LocalDagRunner leaves open is closed here: dead executions cancelled, damaged artifacts
not served from the cache, a component that did not run is an error, and a failure is one message.
"""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ml_metadata import proto
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.portable import launcher, runtime_parameter_utils

from pipelines.failures import root_cause
from pipelines.outcome import ComponentFailed, NodeEvent, NodeOutcome, OnEvent, RunResult, State
from pipelines.recovery import PUSHED_DESTINATION, cancel_dead_executions, distrust_damaged
from pipelines.seals import write_seal
from trainer.errors import PlatewiseError

logger = logging.getLogger(__name__)

#: Resolvers and importers look something up and do no work: they raise no events.
_TFX_NODES = "tfx.dsl.components.common."


class Runner(LocalDagRunner):
    """LocalDagRunner that reports, seals what was finished and trusts no damaged cache."""

    def __init__(self, artifacts: Path, seals: Path, result: RunResult, report: OnEvent) -> None:
        """Take folders of artifacts and of seals, and what to fill and call as it goes on."""
        super().__init__()
        self._artifacts = artifacts
        self._seals = seals
        self._result = result
        self._report = report

    def run_with_ir(self, pipeline: Any, run_options: Any = None) -> None:
        runtime_parameter_utils.substitute_runtime_parameter(
            pipeline, {"pipeline-run-id": datetime.datetime.now().isoformat()}
        )
        deployment = runner_utils.extract_local_deployment_config(pipeline)
        kind = deployment.metadata_connection_config.WhichOneof("connection_config")
        connection = getattr(deployment.metadata_connection_config, kind)
        with metadata.Metadata(connection) as handle:
            cancel_dead_executions(handle.store, self._artifacts)
            self._result.distrusted = distrust_damaged(handle.store, self._artifacts, self._seals)
        for node in pipeline.nodes:
            node_id = node.pipeline_node.node_info.id
            component = launcher.Launcher(
                pipeline_node=node.pipeline_node,
                mlmd_connection=metadata.Metadata(connection),
                pipeline_info=pipeline.pipeline_info,
                pipeline_runtime_spec=pipeline.runtime_spec,
                executor_spec=runner_utils.extract_executor_spec(deployment, node_id),
                custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, node_id),
            )
            own = node.pipeline_node.node_info.type.name.startswith(_TFX_NODES)
            report = (lambda event: None) if own else self._report
            self._run_node(node_id, component, metadata.Metadata(connection), report)

    def _run_node(self, node_id: str, component: Any, connection: Any, report: OnEvent) -> None:
        logger.info("component %s starts", node_id)
        started = time.monotonic()
        report(NodeEvent(node_id, "started"))
        try:
            outcome = self._settle(component.launch(), connection, started)
        except Exception as error:
            seconds = time.monotonic() - started
            cause = root_cause(error)
            logger.exception("component %s failed", node_id)
            self._result.nodes[node_id] = NodeOutcome("failed", seconds)
            report(NodeEvent(node_id, "failed", seconds, cause))
            raise ComponentFailed(node_id, cause, self._result) from error
        logger.info("component %s: %s, %.1f s", node_id, outcome.state, outcome.seconds)
        self._result.nodes[node_id] = outcome
        report(NodeEvent(node_id, outcome.state, outcome.seconds))

    def _settle(self, launched: Any, connection: Any, started: float) -> NodeOutcome:
        """Outcome as ML Metadata holds it: ``launch`` returns quietly in every case."""
        with connection as handle:
            state, outputs = _read_outcome(handle.store, launched)
        if state == "run":
            for uri in _to_seal(outputs):
                write_seal(self._seals, uri)
        uris = {key: [a.uri for a in artifacts] for key, artifacts in outputs.items()}
        return NodeOutcome(state, time.monotonic() - started, uris)


def _read_outcome(store: Any, launched: Any) -> tuple[State, dict[str, list[Any]]]:
    states = proto.Execution
    execution = None
    if launched is not None and launched.execution_id is not None:
        (execution,) = store.get_executions_by_id([launched.execution_id])
    if execution is None or execution.last_known_state not in (states.COMPLETE, states.CACHED):
        raise PlatewiseError(
            "did not run, because an input of it does not exist; the log says which"
        )
    events = [
        event
        for event in store.get_events_by_execution_ids([execution.id])
        if event.type in (proto.Event.OUTPUT, proto.Event.INTERNAL_OUTPUT)
    ]
    by_id = {a.id: a for a in store.get_artifacts_by_id([e.artifact_id for e in events])}
    outputs: dict[str, list[Any]] = {}
    for event in events:
        outputs.setdefault(event.path.steps[0].key, []).append(by_id[event.artifact_id])
    return ("cached" if execution.last_known_state == states.CACHED else "run"), outputs


def _to_seal(outputs: dict[str, list[Any]]) -> Iterator[str]:
    for artifact in (a for artifacts in outputs.values() for a in artifacts):
        yield artifact.uri
        if PUSHED_DESTINATION in artifact.custom_properties:
            yield artifact.custom_properties[PUSHED_DESTINATION].string_value
