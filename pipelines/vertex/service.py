"""Vertex AI's pipeline jobs and schedules: a thin layer over the client library.

Jobs are created with the request that :mod:`pipelines.vertex.request` builds, not with
``PipelineJob.submit``: that makes the bucket where it is not found, so that a typing error in its
name would quietly become a new bucket.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from components import vertex_api
from components.vertex_api import VertexError
from trainer.strict import ConfigError

_NAME = re.compile(
    r"projects/(?P<project>[^/]+)/locations/(?P<region>[^/]+)/(?P<kind>\w+)/(?P<id>[^/]+)"
)
_CONSOLE = re.compile(
    r"https://console\.cloud\.google\.com/(?:vertex-ai|agent-platform)/(?:locations/(?P<region>[^/]+)/)?"
    r"pipelines/(?:locations/(?P<region2>[^/]+)/)?(?P<page>runs|schedules)/(?P<id>[^/?#]+)"
    r"(?:[^#]*?[?&]project=(?P<project>[^&#]+))?"
)
_ID = re.compile(r"[A-Za-z0-9][-A-Za-z0-9_]{0,127}")


@dataclass(frozen=True)
class Name:
    """Where a job or a schedule is to be found."""

    project: str
    region: str
    #: ``pipelineJobs`` or ``schedules``.
    kind: str
    id: str

    def __str__(self) -> str:
        return f"projects/{self.project}/locations/{self.region}/{self.kind}/{self.id}"


def parse_name(text: str, project: str, region: str, kind: str = "pipelineJobs") -> Name:
    """A job or schedule given as id, full resource name or address of its page in the console.

    Parameters
    ----------
    text
        What the user gave.
    project, region
        What the configuration says; an id alone needs both, an address without ``project=`` the
        former.

    Raises
    ------
    ConfigError
        It is none of the three, names something of another kind, or lacks a project.
    """
    text = text.strip()
    found = _NAME.fullmatch(text)
    if found:
        name = Name(found["project"], found["region"], found["kind"], found["id"])
    elif address := _CONSOLE.match(text):
        page_kind = "pipelineJobs" if address["page"] == "runs" else "schedules"
        where = address["region"] or address["region2"] or region
        name = Name(address["project"] or project, where, page_kind, address["id"])
    elif _ID.fullmatch(text):
        name = Name(project, region, kind, text)
    else:
        raise ConfigError(
            f"{text!r} is neither an id nor a resource name "
            f"(projects/PROJECT/locations/REGION/{kind}/ID) nor a console address"
        )
    if name.kind != kind:
        raise ConfigError(f"{text} names one of {name.kind}, where one of {kind} is wanted")
    if not name.project:
        raise ConfigError(
            f"in which project is {name.id}? Give --config FILE or --vertex.project PROJECT, or "
            "the job's full resource name or console address"
        )
    return name


class Service:
    """Vertex AI in one project and region."""

    def __init__(self, project: str, region: str) -> None:
        self.project, self.region = project, region
        self.aiplatform = vertex_api.connect(project, region)

    @property
    def parent(self) -> str:
        """Under which name jobs and schedules are made."""
        return f"projects/{self.project}/locations/{self.region}"

    def create(self, request: Any) -> Any:
        """Start a job, once, however often the connection breaks: its id is in the request."""
        from google.api_core import exceptions as api

        tries = 0

        def call() -> Any:
            nonlocal tries
            tries += 1
            try:
                return self._jobs.create_pipeline_job(request=request)
            except api.Conflict:  # AlreadyExists, by REST its parent
                if tries == 1:
                    raise
                name = f"{request.parent}/pipelineJobs/{request.pipeline_job_id}"
                return self._jobs.get_pipeline_job(name=name)  # an earlier try did arrive

        return vertex_api.attempt(f"submit {request.pipeline_job_id}", call)

    def get(self, name: str, deadline_s: float = 120.0) -> Any:
        """A job as it is now."""
        return vertex_api.attempt(
            f"look at {_last(name)}", lambda: self._jobs.get_pipeline_job(name=name), deadline_s
        )

    def cancel(self, name: str) -> None:
        """Ask for a job to be stopped; it stops within minutes."""
        with vertex_api.readable_errors(f"cancel {_last(name)}"):
            self._jobs.cancel_pipeline_job(name=name)

    def create_schedule(self, schedule: Any) -> Any:
        """Set up a schedule; not tried again, for a second try would make a second one."""
        with vertex_api.readable_errors(f"make the schedule {schedule.display_name}"):
            return self._schedules.create_schedule(parent=self.parent, schedule=schedule)

    def schedules(self) -> list[Any]:
        """All schedules of the project and region, newest first."""

        def call() -> list[Any]:
            return list(
                self._schedules.list_schedules(
                    request={"parent": self.parent, "order_by": "create_time desc"}
                )
            )

        return vertex_api.attempt("list the schedules", call)

    def schedule(self, doing: str, name: str) -> Any:
        """``get``, ``pause``, ``resume`` or ``delete`` one schedule."""
        with vertex_api.readable_errors(f"{doing} the schedule {_last(name)}"):
            result = getattr(self._schedules, f"{doing}_schedule")(name=name)
            return result.result() if doing == "delete" else result

    def join_experiment(
        self,
        experiment: str,
        job_name: str,
        deadline_s: float = 60.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """List a job under an experiment, which is made where it is missing.

        Raises
        ------
        VertexError
            Not allowed, or the job has no metadata context yet at the deadline.
        """
        utils = self.aiplatform.utils
        with vertex_api.readable_errors(f"list the job under experiment {experiment}"):
            context = self.aiplatform.Experiment.get_or_create(experiment).resource_name
            run = self.get(job_name).job_detail.pipeline_run_context.name
            end = time.monotonic() + deadline_s
            while not run and time.monotonic() < end:
                sleep(2.0)
                run = self.get(job_name).job_detail.pipeline_run_context.name
            if not run:
                raise VertexError(
                    f"cannot list the job under experiment {experiment}: after {deadline_s:.0f} s "
                    "Vertex AI has no metadata of it yet; the job itself goes on"
                )
            metadata = self._client(utils.MetadataClientWithOverride)
            metadata.add_context_children(context=context, child_contexts=[run])

    @cached_property
    def _jobs(self) -> Any:
        return self._client(self.aiplatform.utils.PipelineJobClientWithOverride)

    @cached_property
    def _schedules(self) -> Any:
        return self._client(self.aiplatform.utils.ScheduleClientWithOverride)

    def _client(self, kind: Any) -> Any:
        with vertex_api.readable_errors("reach Vertex AI"):
            return self.aiplatform.initializer.global_config.create_client(client_class=kind)


def _last(name: str) -> str:
    return name.rpartition("/")[2]
