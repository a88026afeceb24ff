"""The real client library against the local server: jobs move on, errors can be read."""

# No postponed annotations here: kfp reads those of its components as they are written.
import json
import threading
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from kfp import compiler, dsl
from servers.vertex import VertexServer

from components.vertex_api import VertexError, attempt, connect, readable_errors

PROJECT, REGION = "screens", "europe-west4"
POOL = {
    "machine_spec": {"machine_type": "n1-standard-4"},
    "replica_count": 1,
    "container_spec": {"image_uri": "image", "args": ["--epochs=3"]},
}


@pytest.fixture
def library(vertex_server: VertexServer) -> Any:
    return connect(PROJECT, REGION)


def custom_job(library: Any, **how: Any) -> Any:
    job = library.CustomJob("train", [POOL], staging_bucket="gs://b/staging", **how)
    job.submit()
    return job


def states(job: Any, n: int) -> list[str]:
    return [job.state.name.removeprefix("JOB_STATE_") for _ in range(n)]


class TestServer:
    def test_a_job_moves_on(self, library: Any, vertex_server: VertexServer) -> None:
        job = custom_job(library, labels={"team": "imaging"})
        assert states(job, 4) == ["PENDING", "RUNNING", "SUCCEEDED", "SUCCEEDED"]
        (request,) = vertex_server.sent("CreateCustomJob")
        pool = request.custom_job.job_spec.worker_pool_specs[0]
        assert list(pool.container_spec.args) == ["--epochs=3"]
        assert request.custom_job.labels["team"] == "imaging"

    def test_a_job_stuck_in_the_queue(self, library: Any, vertex_server: VertexServer) -> None:
        vertex_server.script("customJobs", ["PENDING"])
        job = custom_job(library)
        assert states(job, 5) == ["PENDING"] * 5
        job.cancel()
        assert states(job, 1) == ["CANCELLED"]
        with pytest.raises(Exception, match="is in state CANCELLED"):
            job.cancel()

    def test_a_job_that_fails(self, library: Any, vertex_server: VertexServer) -> None:
        vertex_server.script("customJobs", ["RUNNING", ("FAILED", "out of memory")])
        job = custom_job(library)
        assert states(job, 2) == ["RUNNING", "FAILED"]
        assert job.error.message == "out of memory"

    @pytest.mark.parametrize(("code", "state"), [(0, "SUCCEEDED"), (3, "FAILED")])
    def test_a_runner_does_the_work(
        self, library: Any, vertex_server: VertexServer, code: int, state: str
    ) -> None:
        seen = []

        def runner(job: Any, cancelled: threading.Event) -> int:
            seen.append(job.job_spec.worker_pool_specs[0].container_spec.image_uri)
            return code

        vertex_server.custom_job_runner = runner
        job = custom_job(library)
        vertex_server.wait_for(lambda: states(job, 1)[0] not in ("RUNNING", "PENDING"))
        assert states(job, 1) == [state] and seen == ["image"]
        assert ("status of 3" in job.error.message) == (code == 3)

    def test_a_runner_hears_of_the_cancelling(
        self, library: Any, vertex_server: VertexServer
    ) -> None:
        vertex_server.custom_job_runner = lambda job, cancelled: int(cancelled.wait(20))
        job = custom_job(library)
        job.cancel()
        vertex_server.wait_for(lambda: states(job, 1) == ["CANCELLED"])

    def test_lists_are_filtered_and_paged(self, library: Any, vertex_server: VertexServer) -> None:
        names = [custom_job(library, labels={"n": str(n)}).resource_name for n in range(3)]
        one = library.CustomJob.list(filter='labels.n="1" AND display_name="train"')
        assert [job.resource_name for job in one] == names[1:2]

        parent = f"projects/{PROJECT}/locations/{REGION}"
        service = library.initializer.global_config.create_client(library.CustomJob.client_class)
        pages = service.list_custom_jobs({"parent": parent, "page_size": 2})
        assert [job.name for job in pages] == names
        assert vertex_server.log().count("ListCustomJobs 200") == 3

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            ({"displayNam": "x"}, 'no field named \\"displayNam\\"'),
            ({"displayName": 7}, "Failed to parse displayName"),
            ({"displayName": "x"}, "worker_pool_specs is required"),
            (
                {"displayName": "x", "jobSpec": {"workerPoolSpecs": [{"machineSpec": {}}]}},
                "machine_type is required",
            ),
            ({"displayName": "x", "labels": {"Team": "x"}}, "Invalid label"),
        ],
    )
    def test_what_the_api_would_refuse(self, body: dict[str, Any], why: str) -> None:
        with VertexServer() as server:
            path = f"/v1/projects/{PROJECT}/locations/{REGION}/customJobs"
            request = urllib.request.Request(
                server.endpoint + path, data=json.dumps(body).encode(), method="POST"
            )
            with pytest.raises(HTTPError) as raised:
                urllib.request.urlopen(request)
            answer = json.loads(raised.value.read())["error"]
            assert raised.value.code == 400 and answer["status"] == "INVALID_ARGUMENT"
            assert why.replace("\\", "") in answer["message"]
            with pytest.raises(HTTPError, match="404"):
                urllib.request.urlopen(f"{server.endpoint}/v1/nothing/such")
            assert server.refused[-1] == ("GET /v1/nothing/such", server.refused[-1][1])


class TestPipelines:
    @pytest.fixture
    def spec(self, tmp_path: Path) -> str:
        @dsl.container_component
        def step(number: int) -> dsl.ContainerSpec:
            return dsl.ContainerSpec(image="image", command=["echo"], args=[number])

        @dsl.pipeline(name="small")
        def small(needed: int, number: int = 3) -> None:
            last = step(number=number).set_display_name("zzz")
            step(number=needed).after(last)

        path = str(tmp_path / "small.json")
        compiler.Compiler().compile(small, path)
        return path

    def job(self, library: Any, spec: str, **parameters: Any) -> Any:
        return library.PipelineJob(
            display_name="small",
            template_path=spec,
            pipeline_root="gs://b/root",
            parameter_values=parameters,
        )

    def test_run(
        self, library: Any, spec: str, vertex_server: VertexServer, gcs_server: Any
    ) -> None:
        vertex_server.script("pipelineJobs", ["PENDING", "RUNNING", "RUNNING", ("FAILED", "no")])
        job = self.job(library, spec, needed=1)
        job.submit(service_account="a@b.c")
        seen = []
        for _ in range(4):
            state = job.state.name.removeprefix("PIPELINE_STATE_")  # asks the server
            tasks = job.gca_resource.job_detail.task_details
            seen.append((state, [(task.task_name, task.state.name) for task in tasks]))
        assert seen == [
            ("PENDING", []),
            ("RUNNING", [("step", "RUNNING")]),
            ("RUNNING", [("step", "SUCCEEDED"), ("step-2", "RUNNING")]),
            ("FAILED", [("step", "SUCCEEDED"), ("step-2", "FAILED")]),
        ]
        assert job.gca_resource.job_detail.task_details[1].error.message == "no"
        (request,) = vertex_server.sent("CreatePipelineJob")
        assert request.pipeline_job.service_account == "a@b.c"

    def test_in_an_experiment(
        self, spec: str, vertex_server: VertexServer, gcs_server: Any
    ) -> None:
        library = connect(PROJECT, REGION, experiment="screens", experiment_tensorboard=False)
        self.job(library, spec, needed=1).submit(service_account="a@b.c", experiment="screens")
        assert "AddContextChildren 200" in vertex_server.log()

    def test_parameters_are_checked(
        self, library: Any, spec: str, vertex_server: VertexServer, gcs_server: Any
    ) -> None:
        with (
            pytest.raises(VertexError, match="needed has neither a value nor a default"),
            readable_errors("submit"),
        ):
            self.job(library, spec).submit(service_account="a@b.c")

    def test_schedule(self, library: Any, spec: str, vertex_server: VertexServer) -> None:
        schedule = library.PipelineJobSchedule(
            pipeline_job=self.job(library, spec, needed=1), display_name="weekly"
        )
        with pytest.raises(VertexError, match="Invalid cron"), readable_errors("schedule"):
            schedule.create(cron="TZ=Etc/UTC 0 3 * *")
        schedule.create(cron="TZ=Etc/UTC 0 3 * * 1", service_account="a@b.c")
        assert schedule.state.name == "ACTIVE"
        schedule.pause()
        assert schedule.state.name == "PAUSED"
        schedule.update(cron="0 4 * * 1")
        (found,) = library.PipelineJobSchedule.list(filter='display_name="weekly"')
        assert found.cron == "0 4 * * 1" and found.state.name == "PAUSED"
        schedule.delete()
        assert library.PipelineJobSchedule.list() == []


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "said", "advice"),
        [
            (401, "Request had invalid credentials", "gcloud auth application-default login"),
            (
                403,
                "Permission 'aiplatform.customJobs.create' denied on resource",
                "The permission is missing",
            ),
            (
                403,
                "Vertex AI API has not been used in project screens before or it is disabled",
                "gcloud services enable aiplatform.googleapis.com",
            ),
            (404, "Model 7 not found", "Check the name, vertex.project and vertex.region"),
            (
                404,
                "Image us-docker.pkg.dev/p/i:1 not found",
                "The image is not there: build and push it first",
            ),
            (
                400,
                "The bucket gs://b is in US but the job is in region europe-west4",
                "The bucket lies in another region",
            ),
            (
                429,
                "The following quota metrics exceed quota limits: "
                "aiplatform.googleapis.com/custom_model_training_tpu_v5e",
                "The quota is used up",
            ),
            (503, "The service is currently unavailable", "could not be reached in time"),
        ],
    )
    def test_one_message(
        self,
        library: Any,
        vertex_server: VertexServer,
        status: int,
        said: str,
        advice: str,
    ) -> None:
        vertex_server.fail_next(status, said, rpc="CreateCustomJob", times=3)
        with (
            pytest.raises(VertexError) as raised,
            readable_errors("start the training job"),
        ):
            custom_job(library)
        first, second = str(raised.value).splitlines()
        assert first.startswith("cannot start the training job: ")
        assert first.endswith(f"(HTTP {status})")
        assert said in first or status == 401
        assert advice in second
        assert "http://" not in first  # the address of the call says nothing to a reader

    def test_a_credential_that_cannot_be_renewed(self, vertex_server: VertexServer) -> None:
        from google.oauth2.credentials import Credentials

        library = connect(PROJECT, REGION, credentials=Credentials("expired"))
        vertex_server.fail_next(401, "expired", times=5)
        with pytest.raises(VertexError, match="credential has expired"), readable_errors("start"):
            custom_job(library)

    def test_no_credential(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        from google.auth.exceptions import DefaultCredentialsError

        with pytest.raises(VertexError, match="There is no credential"), readable_errors("start"):
            raise DefaultCredentialsError("Your default credentials were not found.")

    def test_other_errors_pass_through(self) -> None:
        with pytest.raises(KeyError), readable_errors("x"):
            raise KeyError("x")

    def test_project_and_region_are_needed(self) -> None:
        with pytest.raises(VertexError, match=r"vertex\.project and vertex\.region must be set"):
            connect("", REGION)


class TestAttempt:
    @pytest.mark.parametrize("how", [{"status": 503}, {"status": 0, "cut": True}])
    def test_goes_on_when_the_service_is_back(
        self, library: Any, vertex_server: VertexServer, how: dict[str, Any]
    ) -> None:
        job = custom_job(library)
        vertex_server.fail_next(rpc="GetCustomJob", times=2, **how)
        found = attempt("look", lambda: library.CustomJob.get(job.resource_name))
        assert found.resource_name == job.resource_name

    def test_gives_up_at_the_deadline(self, library: Any, vertex_server: VertexServer) -> None:
        # The library's own classes try again for minutes; its clients do not.
        client = library.initializer.global_config.create_client(library.CustomJob.client_class)
        vertex_server.fail_next(503, "down for repairs", times=1000)
        name = f"projects/{PROJECT}/locations/{REGION}/customJobs/1"
        with pytest.raises(VertexError, match=r"cannot look: down for repairs.*gave up"):
            attempt("look", lambda: client.get_custom_job(name=name), deadline_s=0.5)

    def test_does_not_wait_for_quota(self, library: Any, vertex_server: VertexServer) -> None:
        vertex_server.fail_next(429, "quota exceeded", times=1000)
        with pytest.raises(VertexError, match="quota is used up"):
            attempt("start", lambda: custom_job(library))
        assert vertex_server.log() == ["CreateCustomJob 429"]
