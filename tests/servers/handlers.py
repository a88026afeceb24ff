"""What each call does: a few have a rule of their own, the rest create, get, list or delete."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from google.protobuf import field_mask_pb2
from google.protobuf.empty_pb2 import Empty
from servers import jobs as job_states
from servers.jobs import Jobs
from servers.models import Models
from servers.rest import Call
from servers.store import ApiError, Store, canonical, invalid, timestamp

#: Creating these takes a long-running operation; ``Create...OperationMetadata`` is its metadata.
_SLOW_TO_CREATE = {"Endpoint", "MetadataStore", "Tensorboard"}


class Handlers:
    """Answers calls from a store."""

    def __init__(self, store: Store, jobs: Jobs) -> None:
        self.store, self.jobs, self.models = store, jobs, Models(store)
        #: Operations that will fail, by the call that starts them.
        self.operation_failures: dict[str, ApiError] = {}
        models = self.models
        self._own: dict[str, Callable[[Call], Any]] = {
            "GetOperation": lambda call: store.poll(call.message.name),
            "CancelOperation": lambda call: Empty(),
            "UploadModel": models.upload,
            "GetModel": lambda call: models.find(call.message.name),
            "ListModels": models.list_models,
            "ListModelVersions": models.list_versions,
            "MergeVersionAliases": models.merge_aliases,
            "DeleteModel": models.delete,
            "DeleteModelVersion": models.delete_version,
            "ImportModelEvaluation": models.import_evaluation,
            "DeployModel": models.deploy,
            "UndeployModel": models.undeploy,
            "CreateSchedule": self._create_schedule,
            "PauseSchedule": lambda call: self._schedule_state(call, "PAUSED"),
            "ResumeSchedule": lambda call: self._schedule_state(call, "ACTIVE"),
            "AddContextArtifactsAndExecutions": self._add_to_context,
            "AddContextChildren": self._add_children,
            "AddExecutionEvents": self._found("execution", "AddExecutionEventsResponse"),
            "QueryContextLineageSubgraph": self._lineage,
        }

    def handle(self, call: Call) -> Any:
        """The answer's message.

        Raises
        ------
        ApiError
            As the service would.
        NotImplementedError
            A call of the API that nobody needed so far.
        """
        failure = self.operation_failures.pop(call.rpc, None)
        if failure is not None:
            location = re.match(r"projects/[^/]+/locations/[^/]+", _first_name(call.message))
            return self.store.operation(location.group() if location else "", None, error=failure)
        if call.rpc in self._own:
            return self._own[call.rpc](call)
        match = re.fullmatch(r"(Create|Get|List|Delete|Cancel|Update)(\w+)", call.rpc)
        if match is None:
            raise NotImplementedError(f"{call.rpc} is not among the calls that this server knows")
        action, noun = match.groups()
        return getattr(self, f"_{action.lower()}")(call, noun)

    def _create(self, call: Call, noun: str) -> Any:
        request, field = call.message, call.route.body
        collection = re.sub(r".*/", "", call.route.pattern.pattern.replace("\\", ""))
        ids = [name for name in type(request)._meta.fields if name.endswith("_id")]
        wanted = getattr(request, ids[0]) if ids else ""
        resource = self.store.add(request.parent, collection, getattr(request, field), wanted)
        if collection in job_states.COLLECTIONS:
            try:
                self.jobs.start(resource)
            except ApiError:
                self.store.remove(resource.name)
                raise
        if noun in _SLOW_TO_CREATE:
            metadata = getattr(call.route.types, f"Create{noun}OperationMetadata")()
            return self.store.operation(resource.name, resource, metadata)
        return resource

    def _get(self, call: Call, noun: str) -> Any:
        resource = self.store.get(call.message.name)
        if job_states.collection_of(resource) in job_states.COLLECTIONS:
            self.jobs.look(resource)
        return resource

    def _list(self, call: Call, noun: str) -> Any:
        collection = call.route.pattern.pattern.rpartition("/")[2]
        found = self.store.children(call.message.parent, collection)
        page, token = self.store.page(found, call.message)
        response = getattr(call.route.types, f"{call.rpc}Response")
        field = next(name for name in response._meta.fields if name != "next_page_token")
        return response(**{field: page, "next_page_token": token})

    def _delete(self, call: Call, noun: str) -> Any:
        resource = self.store.get(call.message.name)
        if noun == "Endpoint" and resource.deployed_models:
            raise ApiError(400, "FAILED_PRECONDITION", "The endpoint has deployed models.")
        self.store.remove(call.message.name)
        metadata = call.route.types.DeleteOperationMetadata()
        return self.store.operation(resource.name, Empty(), metadata)

    def _cancel(self, call: Call, noun: str) -> Any:
        self.jobs.cancel(self.store.get(call.message.name))
        return Empty()

    def _update(self, call: Call, noun: str) -> Any:
        changed = getattr(call.message, call.route.body)
        stored = self.store.get(changed.name)
        mask = field_mask_pb2.FieldMask(paths=list(call.message.update_mask.paths))
        if not mask.paths:  # all that was given
            mask.paths.extend(
                f.name for f, _ in type(changed).pb(changed).ListFields() if f.name != "name"
            )
        with self.store.lock:
            mask.MergeMessage(
                type(changed).pb(changed),
                type(stored).pb(stored),
                replace_message_field=True,
                replace_repeated_field=True,
            )
            stored.update_time = timestamp()
        return stored

    def _create_schedule(self, call: Call) -> Any:
        schedule = call.message.schedule
        if not schedule.display_name or not schedule.cron:
            raise invalid("Schedule.display_name and cron are required")
        minutes = re.sub(r"^(CRON_)?TZ=\S+ ", "", schedule.cron).split()
        if len(minutes) != 5:
            raise invalid(f"Invalid cron expression: {schedule.cron!r}")
        if schedule.max_concurrent_run_count < 1:
            raise invalid("max_concurrent_run_count must be positive")
        template = schedule.create_pipeline_job_request
        if not template.parent or not template.pipeline_job.pipeline_spec:
            raise invalid("create_pipeline_job_request needs a parent and a pipeline spec")
        self.jobs.check(template.pipeline_job, "pipelineJobs")
        self.store.add(call.message.parent, "schedules", schedule)
        schedule.state = "ACTIVE"
        schedule.next_run_time = timestamp()
        return schedule

    def _schedule_state(self, call: Call, state: str) -> Any:
        schedule = self.store.get(call.message.name)
        schedule.state = state
        return Empty()

    def _found(self, field: str, response: str) -> Callable[[Call], Any]:
        def handle(call: Call) -> Any:
            self.store.get(getattr(call.message, field))
            return getattr(call.route.types, response)()

        return handle

    def _add_to_context(self, call: Call) -> Any:
        self.store.get(call.message.context)
        for name in [*call.message.artifacts, *call.message.executions]:
            self.store.get(name)
        return call.route.types.AddContextArtifactsAndExecutionsResponse()

    def _add_children(self, call: Call) -> Any:
        context = self.store.get(call.message.context)
        for name in call.message.child_contexts:
            child = self.store.get(name)
            child.parent_contexts = [*child.parent_contexts, canonical(context.name)]
        return call.route.types.AddContextChildrenResponse()

    def _lineage(self, call: Call) -> Any:
        self.store.get(call.message.context)
        return call.route.types.LineageSubgraph()


def _first_name(message: Any) -> str:
    """The resource that a request is about."""
    for field in ("parent", "name", "endpoint"):
        if field in type(message)._meta.fields:
            return str(getattr(message, field))
    return ""
